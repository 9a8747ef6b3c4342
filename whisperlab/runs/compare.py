"""Shows what differs between runs of one dataset, and whether it is real.

Owns the subcommand's arguments and files. The comparison itself is `whisperlab.experiment.comparison`.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import datetime
from pathlib import Path

from whisperlab.runs.comparison_arguments import add_comparison_arguments


def add_arguments(parser: ArgumentParser) -> None:
    """Adds what this subcommand takes."""
    parser.add_argument(
        "runs",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="folders of runs; the first is the baseline",
    )
    add_comparison_arguments(parser)
    parser.add_argument(
        "--worst",
        type=int,
        default=10,
        metavar="K",
        help="list the K worst utterances (default 10)",
    )
    parser.add_argument(
        "--audio",
        choices=("auto", "link", "embed", "none"),
        default="auto",
        help="recordings in the page: linked by path, or inside it (auto: inside up to 10 minutes)",
    )
    parser.add_argument(
        "--output-dir",
        type=Path,
        metavar="D",
        help="where comparison.html and comparison.json go (default: outputs/comparisons/DATE)",
    )


def run(given: Namespace) -> int:
    """Compares, prints, writes both files and returns 0.

    Raises:
        ConfigError: a folder holds no finished run, or the runs cannot be compared.
        WriteError: the files cannot be written.
    """
    from rich.console import Console

    from whisperlab.report.comparison import write_comparison
    from whisperlab.report.comparison_table import comparison_tables
    from whisperlab.report.document import make_folder
    from whisperlab.runs.comparing import compare_folders, recordings

    comparison = compare_folders(given.runs, given)
    folder = given.output_dir or Path(f"outputs/comparisons/{datetime.now():%Y-%m-%d_%H-%M-%S}")
    make_folder(folder)
    sounds = recordings(comparison, folder, given.audio)
    report = write_comparison(comparison, folder, sounds)
    console = Console()
    for table in comparison_tables(comparison):
        console.print(table)
    print(f"report: {report} ({sounds.note})")
    return 0
