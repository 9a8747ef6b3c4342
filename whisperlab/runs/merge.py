"""Puts the finished shards of a run together: exactly the scores of the run in one piece."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path


def add_arguments(parser: ArgumentParser) -> None:
    """Adds what this subcommand takes."""
    parser.add_argument(
        "shards", type=Path, nargs="+", metavar="SHARD", help="folders of all shards, in any order"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="RUN", help="folder of the merged run"
    )


def run(given: Namespace) -> int:
    """Writes the merged run folder, prints its table and returns 0.

    Raises:
        ConfigError: shards are missing, stand twice or are of different runs, or the output folder
            holds another run.
        WriteError: the output folder cannot be written.
    """
    from whisperlab.runs.merging import merge_folders

    merge_folders(given.shards, given.output)
    return 0
