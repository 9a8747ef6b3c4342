"""Says how small a difference a dataset can show, from a pilot run on it or on one like it.

Owns the subcommand's arguments and its table. The planning is `whisperlab.metric.detectable`.
"""

from __future__ import annotations

import math
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from whisperlab.errors import ConfigError
from whisperlab.runs.comparison_arguments import add_comparison_arguments

if TYPE_CHECKING:
    from whisperlab.metric.detectable import Spread

CORRELATIONS = (0.0, 0.5, 0.8, 0.95, 0.99)
"""How much a second system's errors go with the pilot's: from unrelated to nearly the same system."""

MULTIPLES = (1, 2, 4, 10)
"""Sizes of the dataset that are shown when none is asked for, as multiples of the pilot's."""


def add_arguments(parser: ArgumentParser) -> None:
    """Adds what this subcommand takes."""
    parser.add_argument("pilot", type=Path, metavar="RUN", help="folder of the pilot run")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="RUN",
        help="a second run over the same utterances; without it, how much a second system's "
        "errors would go with the pilot's is supposed",
    )
    parser.add_argument(
        "--sizes", type=int, nargs="+", metavar="N", help="sizes of the dataset to show"
    )
    parser.add_argument(
        "--difference",
        type=float,
        metavar="POINTS",
        help="say how large a dataset shows this difference, in percentage points",
    )
    parser.add_argument(
        "--power", type=float, default=0.8, metavar="P", help="how often it is to be shown (0.8)"
    )
    parser.add_argument(
        "--alpha", type=float, default=0.05, metavar="P", help="of the two-sided test (0.05)"
    )
    add_comparison_arguments(parser)


def run(given: Namespace) -> int:
    """Prints the table and returns 0.

    Raises:
        ConfigError: a folder holds no finished run, or an argument is out of range.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from whisperlab.report import notation
    from whisperlab.runs.comparing import spreads

    _check(given)
    folders = [given.pilot] if given.against is None else [given.pilot, given.against]
    found = spreads(folders, given, CORRELATIONS)
    units = "utterances" if given.clusters is None else f"values of {given.clusters}"
    wanted = given.sizes or [multiple * found[0].units for multiple in MULTIPLES]
    kind = "supposed" if given.against is None else "measured"
    table = Table(
        units,
        *[f"{spread.correlation:.2f}" for spread in found],
        box=box.SIMPLE_HEAD,
        title=f"smallest difference in {given.metric.upper()} points, by {kind} correlation",
        caption=f"seen in {100 * given.power:g} % of datasets at p <= {given.alpha:g}",
        title_justify="left",
        caption_justify="left",
    )
    for size in wanted:
        sizes = [_smallest(spread, size, given) for spread in found]
        table.add_row(notation.count(size), *[notation.points(s).lstrip("+") for s in sizes])
    console = Console()
    console.print(table)
    if given.difference is not None:
        needed = [
            spread.units_needed(given.difference / 100, power=given.power, alpha=given.alpha)
            for spread in found
        ]
        table = Table(
            "points",
            *[f"{spread.correlation:.2f}" for spread in found],
            box=box.SIMPLE_HEAD,
            title=f"{units} that show it, by {kind} correlation",
            title_justify="left",
        )
        table.add_row(f"{given.difference:g}", *map(notation.count, needed))
        console.print(table)
    return 0


def _smallest(spread: Spread, size: int, given: Namespace) -> float:
    return spread.smallest_difference(size, power=given.power, alpha=given.alpha)


def _check(given: Namespace) -> None:
    for name in ("power", "alpha"):
        if not 0 < getattr(given, name) < 1:
            raise ConfigError(
                f"--{name}: expected a probability above 0 and below 1, got {getattr(given, name):g}"
            )
    if any(size < 1 for size in given.sizes or ()):
        raise ConfigError(f"--sizes: expected numbers of at least 1, got {given.sizes}")
    if given.difference is not None and not 0 < given.difference < math.inf:
        raise ConfigError(f"--difference: expected points above 0, got {given.difference:g}")
