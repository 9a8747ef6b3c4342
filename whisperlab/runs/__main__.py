"""`python -m whisperlab.runs COMMAND ...`: what can be done with finished runs, without inference."""

from __future__ import annotations

import argparse
import signal
import sys

from whisperlab.config.arguments import ArgumentParser, end_with
from whisperlab.errors import WhisperlabError
from whisperlab.runs import (
    compare,
    detectable,
    effects,
    gate,
    matrix,
    merge,
    reproduce,
    rescore,
    score,
    track,
)

SUBCOMMANDS = {
    "compare": compare,
    "detectable": detectable,
    "effects": effects,
    "gate": gate,
    "matrix": matrix,
    "merge": merge,
    "reproduce": reproduce,
    "rescore": rescore,
    "score": score,
    "track": track,
}
"""Modules by subcommand. Each is light to import and has ``add_arguments(parser)`` and
``run(given) -> exit code``; its docstring's first line is its help."""


def arguments() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = ArgumentParser(
        prog="python -m whisperlab.runs",
        description="Work on finished runs, without inference.",
        epilog="Exit codes: 0 done, 2 usage, 4 dataset, 10 gate not passed or not reproduced, 74 cannot write.",
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in SUBCOMMANDS.items():
        purpose = str(module.__doc__).splitlines()[0]
        module.add_arguments(commands.add_parser(name, help=purpose, description=purpose))
    return parser


def main() -> int:
    """Returns the exit code; a known error is one line on stderr."""
    given = arguments().parse_args()
    try:
        return int(SUBCOMMANDS[given.command].run(given))
    except WhisperlabError as error:
        if given.debug:
            sys.excepthook(type(error), error, error.__traceback__)
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    end_with(main)
