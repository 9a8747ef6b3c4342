"""Shows runs side by side: what differs between their settings and what came out."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path


def add_arguments(parser: ArgumentParser) -> None:
    """Adds what this subcommand takes."""
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run")


def run(given: Namespace) -> int:
    """Prints the runs side by side and returns 0.

    Raises:
        ConfigError: a folder holds no finished run.
    """
    from rich.console import Console

    from whisperlab.experiment.folder import read_run
    from whisperlab.report.table import sweep_table

    Console().print(sweep_table([read_run(path) for path in given.runs]))
    return 0
