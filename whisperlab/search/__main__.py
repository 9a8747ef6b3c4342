"""`python -m whisperlab.search`: compose, race, show."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whisperlab.config.arguments import end_with
from whisperlab.config.command import overridden, own_config_dir, run_command

EXIT_NO_TEXT = 3
"""As of an evaluation of which too many utterances failed."""


def main() -> int:
    """Returns the exit code; imports the heavy half only when a search really runs."""

    def job(config: Mapping[str, Any]) -> int:
        from whisperlab.search.searching import search_configured, show

        folder = Path(str(config["search_dir"]))
        is_part = config["shard"]["count"] > 1
        print(f"search folder {folder}; the same command with search_dir={folder} resumes it")
        result = search_configured(config, overridden(), own_config_dir())
        if is_part:
            return 0
        show(result)
        return EXIT_NO_TEXT if result.recommended is None and result.failed else 0

    return run_command("search", job)


if __name__ == "__main__":
    end_with(main)
