"""Scores a finished run under another profile from its raw texts, and says which rule did what."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from whisperlab.runs.profile_choice import add_profile_arguments


def add_arguments(parser: ArgumentParser) -> None:
    """Adds what this subcommand takes."""
    parser.add_argument("run_dir", type=Path, metavar="RUN", help="folder of a finished run")
    add_profile_arguments(parser)


def run(given: Namespace) -> int:
    """Rewrites the run's scores and report, prints what changed and returns 0.

    Raises:
        ConfigError: the profile is wrong, or there is no finished run.
        DatasetError: the ledger is damaged, or a text breaks the profile's notation.
        RunInUseError: the run is being written.
        WriteError: the run folder cannot be written.
    """
    from whisperlab.runs.rescoring import rescore_run

    rescore_run(given)
    return 0
