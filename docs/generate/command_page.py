"""What every command takes, from its own parser or from its configuration's help.

Owns the body of docs/commands.md. It does not know MkDocs.
"""

from __future__ import annotations

import os
from typing import Final

import yaml

from whisperlab.__main__ import COMMANDS
from whisperlab.completion.scripts import parsers
from whisperlab.config.compose import CONF_DIR

COLUMNS: Final = "100"
"""Width at which help is wrapped."""


def page() -> str:
    """Returns the body of docs/commands.md: one section a command."""
    os.environ["COLUMNS"] = COLUMNS
    return "\n\n".join(
        f"## python -m {name}\n\n{purpose[0].upper()}{purpose[1:]}.\n\n{_help(name)}"
        for name, purpose in COMMANDS.items()
    )


def _help(name: str) -> str:
    conf = CONF_DIR / f"{name.rpartition('.')[2]}.yaml"
    if conf.is_file():
        words = yaml.safe_load(conf.read_text(encoding="utf-8"))["hydra"]["help"]
        footer = words.get("footer", "")
        return (
            f"```text\n{words['header'].strip()}\n\n{footer.strip()}\n```\n\n"
            f"It takes [every option](options.md) of `conf/{conf.name}` as `key=value`."
        )
    return "\n\n".join(f"```text\n{one.format_help().strip()}\n```" for one in parsers(name))
