"""Says what each factor of a sweep does to the error rate, and which runs nothing beats."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path


def add_arguments(parser: ArgumentParser) -> None:
    """Adds what this subcommand takes."""
    parser.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="folders of finished runs over one dataset",
    )
    parser.add_argument(
        "--output-dir", type=Path, required=True, metavar="DIR", help="where report.html goes"
    )


def run(given: Namespace) -> int:
    """Prints table, effects and front, writes the page and returns 0.

    Raises:
        ConfigError: a folder holds no finished run, or the runs are over different data.
        WriteError: the page cannot be written.
    """
    from whisperlab.runs.sweeping import show_effects

    show_effects(given.runs, given.output_dir)
    return 0
