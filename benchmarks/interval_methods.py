"""Which bootstrap interval? Coverage of seven methods over simulated datasets.

    python benchmarks/interval_methods.py experiments/2026-11-24-intervals/counts.csv
    python benchmarks/interval_methods.py experiments/2026-11-24-intervals/counts.csv --speakers

The world is the table of intervals.py. Methods: the normal interval with the linearised standard
error and Student's quantile; percentile; expanded percentile (the one that ships, Hesterberg 2015);
BCa (Efron 1987), plain and expanded; studentised (bootstrap-t); expanded with Pan and Wall's degrees
of freedom (ships where clusters are drawn). About five minutes on one thread; with ``--speakers``, whole
speakers drawn, one minute.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from intervals import Item, made_up_speakers, read_counts
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from whisperlab.metric.bootstrap import degrees_of_freedom

DATASETS = 2000
RESAMPLES = 1000
TAIL = 0.025
Numbers = NDArray[np.float64]
Maker = Callable[[int, np.random.Generator], tuple[Numbers, Numbers]]
METHODS = (
    "Student",
    "percentile",
    "expanded",
    "BCa",
    "expanded BCa",
    "studentised",
    "Pan and Wall",
)


def intervals(numerators: Numbers, lengths: Numbers, generator: np.random.Generator) -> Numbers:
    """Returns low and high of every method for the ratio of sums, shape (n_methods, 2)."""
    size = len(numerators)
    columns = np.array([numerators, lengths, numerators**2, numerators * lengths, lengths**2])
    ratio, error = _ratio_and_error(columns.sum(axis=1), size)
    drawn = generator.integers(0, size, size=(RESAMPLES, size))
    sums = np.array([column.take(drawn).sum(axis=1) for column in columns])
    ratios, errors = _ratio_and_error(sums, size)
    widening = np.sqrt(size / (size - 1))
    student = stdtrit(size - 1, TAIL)
    expanded = ndtr(widening * student)
    low, high = ratio + student * error, ratio - student * error
    found = [(low, high)]
    found += [tuple(np.quantile(ratios, (tail, 1 - tail))) for tail in (TAIL, expanded)]
    influence = numerators - ratio * lengths
    spread = (influence**2).sum()
    acceleration = (influence**3).sum() / (6 * spread**1.5) if spread else 0.0
    below = np.mean(ratios < ratio) + np.mean(ratios == ratio) / 2
    bias = ndtri(np.clip(below, 1 / RESAMPLES, 1 - 1 / RESAMPLES))
    for tail in (TAIL, expanded):
        shifted = bias + ndtri([tail, 1 - tail])
        found.append(
            tuple(np.quantile(ratios, ndtr(bias + shifted / (1 - acceleration * shifted))))
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.nan_to_num((ratios - ratio) / errors, nan=0.0)
    lowest, highest = np.quantile(t, (TAIL, 1 - TAIL), method="inverted_cdf")
    found.append((ratio - highest * error, ratio - lowest * error) if error else (ratio, ratio))
    uneven = ndtr(widening * stdtrit(degrees_of_freedom(influence), TAIL))
    found.append(tuple(np.quantile(ratios, (uneven, 1 - uneven))))
    return np.array(found)


def _ratio_and_error(sums: Numbers, size: int) -> tuple[Numbers, Numbers]:
    """Returns the ratio of sums and its linearised standard error."""
    numerator, length, squares, products, length_squares = sums
    ratio = numerator / length
    variance = squares - 2 * ratio * products + ratio**2 * length_squares
    return ratio, np.sqrt(np.maximum(variance, 0) * size / (size - 1)) / length


def row(name: str, make: Maker, truth: float, size: int) -> None:
    """Prints the share of datasets in which each method covers the truth, in per cent."""
    generator = np.random.default_rng(size)
    covered = np.zeros(len(METHODS))
    for _ in range(DATASETS):
        low, high = intervals(*make(size, generator), generator).T
        covered += (low <= truth) & (truth <= high)
    cells = " | ".join(f"{100 * number / DATASETS:.1f}" for number in covered)
    print(f"| {name} | {size} | {cells} |", flush=True)


def whole_speakers(items: list[Item]) -> Maker:
    """Returns a maker of datasets whose units are the sums of whole speakers."""
    place = np.unique([item.speaker for item in items], return_inverse=True)[1]
    errors, words = (
        np.bincount(place, weights=part)
        for part in ([item.first for item in items], [item.words for item in items])
    )

    def make(size: int, generator: np.random.Generator) -> tuple[Numbers, Numbers]:
        chosen = generator.integers(0, len(errors), size=size)
        return errors[chosen], words[chosen]

    return make


def show_speakers(items: list[Item], truth: float) -> None:
    """Prints the rows with whole speakers drawn."""
    for size in (20, 50, 147):
        row("real speakers", whole_speakers(items), truth, size)
    for size in (10, 20, 53):
        row("made-up speakers of 5", whole_speakers(made_up_speakers(items)), truth, size)


def show_utterances(items: list[Item], truth: float) -> None:
    """Prints the rows with utterances drawn."""
    errors = np.array([item.first for item in items], dtype=float)
    words = np.array([item.words for item in items], dtype=float)
    wrong = np.mean(errors > 0)

    def rate(size: int, generator: np.random.Generator) -> tuple[Numbers, Numbers]:
        chosen = generator.integers(0, len(items), size=size)
        return errors[chosen], words[chosen]

    def rare(size: int, generator: np.random.Generator) -> tuple[Numbers, Numbers]:
        chosen = generator.integers(0, len(items), size=size)
        return generator.binomial(errors[chosen].astype(int), 0.1).astype(float), words[chosen]

    def changes(share: float) -> Maker:
        def make(size: int, generator: np.random.Generator) -> tuple[Numbers, Numbers]:
            chosen = generator.integers(0, len(items), size=size)
            chance = generator.random(size)
            better = (chance >= share) & (chance < share + share / wrong) & (errors[chosen] > 0)
            return (chance < share).astype(float) - better, words[chosen]

        return make

    for size in (20, 50, 265, 1000):
        row(f"WER {100 * truth:.1f} %", rate, truth, size)
    for size in (50, 265, 1000):
        row(f"WER {10 * truth:.1f} %", rare, 0.1 * truth, size)
    for share in (0.15, 0.025):
        for size in (100, 265, 1000):
            row(f"no difference, {200 * share:g} % of utterances change", changes(share), 0.0, size)


def main() -> None:
    """Reads the command line and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("counts", type=Path)
    parser.add_argument("--speakers", action="store_true", help="draw whole speakers")
    given = parser.parse_args()
    items = read_counts(given.counts)
    truth = sum(item.first for item in items) / sum(item.words for item in items)
    print("| what | units |", " | ".join(METHODS), "|")
    print("|---|---" + "|---" * len(METHODS) + "|")
    (show_speakers if given.speakers else show_utterances)(items, truth)


if __name__ == "__main__":
    main()
