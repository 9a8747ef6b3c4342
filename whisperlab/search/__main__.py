"""`python -m whisperlab.search`: compose, race, show."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whisperlab.config.arguments import end_with
from whisperlab.config.command import overridden, own_config_dir, run_command


def main() -> int:
    """Returns the exit code; imports the heavy half only when a search really runs."""

    def job(config: Mapping[str, Any]) -> int:
        from whisperlab.search.searching import search_configured, show

        folder = Path(str(config["search_dir"]))
        is_part = config["shard"]["count"] > 1
        print(f"search folder {folder}; the same command with search_dir={folder} resumes it")
        result = search_configured(config, overridden(), own_config_dir())
        if not is_part:
            show(result)
        return 0

    return run_command("search", job)


if __name__ == "__main__":
    end_with(main)
