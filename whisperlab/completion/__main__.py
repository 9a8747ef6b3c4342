"""`python -m whisperlab.completion SHELL`: prints what makes a shell complete `python -m whisperlab...`."""

from __future__ import annotations

import argparse
import sys

from whisperlab.config.arguments import ArgumentParser, end_with

SHELLS = ("bash", "zsh", "fish")


def arguments() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = ArgumentParser(
        prog="python -m whisperlab.completion",
        description="Print a script that completes commands, groups, choices, keys and options, offline.",
        epilog='bash: eval "$(python -m whisperlab.completion bash)"; zsh the same with zsh; '
        "fish: python -m whisperlab.completion fish | source. Exit codes: 0 done, 2 usage.",
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell that will read it")
    return parser


def main() -> int:
    """Returns the exit code; the configuration is read when the shell is known."""
    shell = arguments().parse_args().shell
    from whisperlab.completion.scripts import script

    sys.stdout.write(script(shell))
    return 0


if __name__ == "__main__":
    end_with(main)
