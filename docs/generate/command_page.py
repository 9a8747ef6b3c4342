"""What every command takes, from its own parser or from its configuration's help.

Owns the body of docs/commands.md. It does not know MkDocs.
"""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Iterator
from typing import Final

import yaml

from whisperlab.__main__ import COMMANDS
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


def parsers(name: str) -> Iterator[argparse.ArgumentParser]:
    """Yields the parser of a plain command and those of its subcommands."""
    parser = _parser(name)
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


def _parser(name: str) -> argparse.ArgumentParser:
    for module in (f"{name}.__main__", name, f"{name}.commands"):
        try:
            found = getattr(importlib.import_module(module), "arguments", None)
        except ModuleNotFoundError:
            continue
        if found is not None:
            made = found()
            assert isinstance(made, argparse.ArgumentParser)
            return made
    raise LookupError(f"{name}: no conf/*.yaml and no arguments()")
