"""`python -m whisperlab.app`: compose, build, listen."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from whisperlab.config.arguments import end_with
from whisperlab.config.command import run_command
from whisperlab.serve.environment import with_environment


def main() -> int:
    """Returns the exit code; imports the heavy half only when the page really starts."""
    sys.argv[1:] = with_environment(sys.argv[1:], os.environ)

    def job(config: Mapping[str, Any]) -> int:
        from whisperlab.app.command import app

        return app(config)

    return run_command("app", job)


if __name__ == "__main__":
    end_with(main)
