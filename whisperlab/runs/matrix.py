"""Sets configurations against conditions: one matrix of runs over one dataset, clean and perturbed.

Owns the subcommand's arguments. The matrix itself is `whisperlab.experiment.matrix`.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from whisperlab.errors import ConfigError
from whisperlab.runs.comparison_arguments import add_comparison_arguments


def add_arguments(parser: ArgumentParser) -> None:
    """Adds what this subcommand takes."""
    parser.add_argument(
        "runs",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="folders of runs, or of sweeps: every finished run below counts",
    )
    add_comparison_arguments(parser)
    parser.add_argument(
        "--output-dir",
        type=Path,
        metavar="D",
        help="write matrix.html and matrix.json there (default: print alone)",
    )


def run(given: Namespace) -> int:
    """Prints the matrix, writes it where asked, and returns 0.

    Raises:
        ConfigError: no finished run, or runs that do not belong into one matrix.
        WriteError: the files cannot be written.
    """
    from whisperlab.report.matrix import markdown, write_matrix
    from whisperlab.runs.comparing import matrix_folders

    found = matrix_folders(_folders(given.runs), given)
    print(markdown(found))
    if given.output_dir is not None:
        print(f"report: {write_matrix(found, given.output_dir)}")
    return 0


def _folders(named: list[Path]) -> list[Path]:
    """Returns the folders of runs at or below those named, each once: as named, then as begun."""
    from whisperlab.experiment.folder import SCORES, read_card

    def begun(folder: Path) -> str:
        card = read_card(folder)
        return str(card.attempts[0]["started"]) if card is not None and card.attempts else ""

    found: dict[Path, None] = {}
    for folder in named:
        below = sorted((path.parent for path in sorted(folder.rglob(SCORES))), key=begun)
        if not below:
            raise ConfigError(f"{folder}: no finished run there or below ({SCORES})")
        found.update(dict.fromkeys(below))
    return list(found)
