"""Do intervals cover and tests err as often as they promise? Simulation from two real runs.

    python -m whisperlab.eval engine=pocketsphinx profile=whisper-english latency_utterances=0 \
        dataset=manifest dataset.path=../shared/data/english_dev/manifest.jsonl run_dir=A
    (the same with 'preprocess=[denoise]' run_dir=B)
    python benchmarks/intervals.py counts A B > experiments/2026-11-24-intervals/counts.csv
    python benchmarks/intervals.py simulate experiments/2026-11-24-intervals/counts.csv
    (one table alone: --table rates|speakers|differences|power|few)
    python benchmarks/intervals.py time

`counts` keeps numbers only: errors and words of every utterance, the segments of MAPSSWE, a number
for the speaker. `simulate` takes the utterances of the table for the world: each simulated dataset
is drawn from them with replacement, so the truth is known. About eight minutes on an idle thread; the
shipped functions are called, with 1,000 instead of 10,000 resamples.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from unittest.mock import patch

import numpy as np

from whisperlab.metric.bootstrap import interval
from whisperlab.metric.counts import ErrorCounts
from whisperlab.metric.matched_pairs import Segment, matched_pairs, p_by_utterance, segments
from whisperlab.metric.paired import difference

DATASETS = 2000
RESAMPLES = 1000
ALPHA = 0.05
SIZES = (20, 50, 100, 265, 1000)
POWER_SIZES = (265, 1000, 2000, 4000)
WORSE, BETTER = 0.03, 0.02
FEW_SIZES, FEW_WORDS, FEW_RATE = (2, 3, 4, 5, 8, 20), 20, 0.3
Generator = np.random.Generator


@dataclass(frozen=True)
class Item:
    """One utterance under both runs, and its segments."""

    speaker: str
    words: int
    first: int
    second: int
    segments: tuple[Segment, ...]

    def swapped(self) -> Item:
        """Returns the utterance with the runs' places exchanged."""
        exchanged = tuple(Segment(s.second, s.first) for s in self.segments)
        return Item(self.speaker, self.words, self.second, self.first, exchanged)

    def changed(self, by: int) -> Item:
        """Returns the utterance with the second run equal to the first but for one word."""
        same = [Segment(s.first, s.first) for s in self.segments if s.first]
        if by > 0:
            same.append(Segment(0, 1))
        elif by < 0:
            same[0] = Segment(same[0].first, same[0].first - 1)
        return Item(self.speaker, self.words, self.first, self.first + by, tuple(same))


def write_counts(first: Path, second: Path) -> None:
    """Prints the table of two runs over the same utterances, scored under the first's profile."""
    from whisperlab.config.build import build_profile
    from whisperlab.experiment.folder import read_run
    from whisperlab.experiment.pairing import Choices, pair
    from whisperlab.metric.wer import WordErrorRate

    runs = [read_run(path) for path in (first, second)]
    pairing = pair(runs, build_profile(runs[0].card.config), [WordErrorRate()], Choices())
    speakers: dict[str, int] = {}
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("speaker", "words", "first", "second", "segments"))
    for one, two in zip(*pairing.scored, strict=True):
        name = one.outcome.slices.get("speaker", one.outcome.id)
        cut = " ".join(f"{s.first}:{s.second}" for s in segments(one.edits, two.edits))
        counts = one.counts["wer"]
        number = speakers.setdefault(name, len(speakers))
        writer.writerow(
            (number, counts.reference_length, counts.errors, two.counts["wer"].errors, cut)
        )


def read_counts(path: Path) -> list[Item]:
    """Returns the table's utterances."""
    with path.open(encoding="utf-8") as lines:
        return [
            Item(
                row["speaker"],
                int(row["words"]),
                int(row["first"]),
                int(row["second"]),
                tuple(Segment(*map(int, cut.split(":"))) for cut in row["segments"].split()),
            )
            for row in csv.DictReader(lines)
        ]


def counts_of(items: Sequence[Item], run: str) -> list[ErrorCounts]:
    """Returns the items' counts in one run."""
    return [ErrorCounts(getattr(item, run), 0, 0, item.words, item.words) for item in items]


def drawn(items: Sequence[Item], size: int, generator: Generator) -> list[Item]:
    """Returns a dataset of ``size`` utterances."""
    return [items[number] for number in generator.integers(0, len(items), size=size)]


def rate_coverage(
    make: Callable[[int, Generator], list[Item]], truth: float, size: int, *, speakers: bool = False
) -> tuple[float, float]:
    """Returns the share of datasets whose interval lies above and below the true rate, in per cent."""
    generator = np.random.default_rng(size)
    above = below = 0
    for _ in range(DATASETS):
        items = make(size, generator)
        names = [item.speaker for item in items] if speakers else None
        found = interval(counts_of(items, "first"), seed=0, resamples=RESAMPLES, clusters=names)
        above += found is not None and found.low > truth
        below += found is not None and found.high < truth
    return 100 * above / DATASETS, 100 * below / DATASETS


@dataclass(frozen=True)
class Tested:
    """Shares of datasets in per cent: interval covers the truth, p of the tests at most 0.05.

    ``segments`` is MAPSSWE as NIST defines it, ``utterances`` the same with utterances for units.
    """

    covered: float
    bootstrap: float
    segments: float
    utterances: float


def pair_tests(make: Callable[[int, Generator], list[Item]], truth: float, size: int) -> Tested:
    """Returns how the paired interval and the tests did over simulated datasets."""
    generator = np.random.default_rng(size)
    covered = bootstrap = by_segments = by_utterances = 0
    for _ in range(DATASETS):
        items = make(size, generator)
        found = difference(
            counts_of(items, "first"), counts_of(items, "second"), seed=0, resamples=RESAMPLES
        )
        covered += found is not None and found.low <= truth <= found.high
        bootstrap += found is not None and found.p <= ALPHA
        p = matched_pairs(segment for item in items for segment in item.segments).p
        by_segments += p is not None and p <= ALPHA
        p = p_by_utterance(item.segments for item in items)
        by_utterances += p is not None and p <= ALPHA
    found_in = (covered, bootstrap, by_segments, by_utterances)
    return Tested(*(100 * number / DATASETS for number in found_in))


def one_word(
    items: Sequence[Item], worse: float, better: float
) -> Callable[[int, Generator], list[Item]]:
    """Returns a maker of pairs whose second run has one word more (fewer) wrong in some utterances.

    ``better`` is the share among all utterances; only those with an error can get better.
    """
    wrong = sum(item.first > 0 for item in items) / len(items)

    def make(size: int, generator: Generator) -> list[Item]:
        chance = generator.random(size)
        made = []
        for item, u in zip(drawn(items, size, generator), chance, strict=True):
            gains = u < worse
            loses = not gains and item.first > 0 and u < worse + better / wrong
            made.append(item.changed(1 if gains else -1 if loses else 0))
        return made

    return make


def thinned(items: Sequence[Item], share: float) -> Callable[[int, Generator], list[Item]]:
    """Returns a maker of datasets in which only ``share`` of the errors is left."""

    def make(size: int, generator: Generator) -> list[Item]:
        return [
            Item(item.speaker, item.words, int(generator.binomial(item.first, share)), 0, ())
            for item in drawn(items, size, generator)
        ]

    return make


def made_up_speakers(items: Sequence[Item]) -> list[Item]:
    """Returns the items with speakers of five utterances of neighbouring error rate."""
    by_rate = sorted(items, key=lambda item: item.first / max(item.words, 1))
    return [replace(item, speaker=str(number // 5)) for number, item in enumerate(by_rate)]


def whole_speakers(items: Sequence[Item]) -> Callable[[int, Generator], list[Item]]:
    """Returns a maker of datasets of ``size`` speakers with all their utterances."""
    by_speaker: dict[str, list[Item]] = {}
    for item in items:
        by_speaker.setdefault(item.speaker, []).append(item)
    groups = list(by_speaker.values())

    def make(size: int, generator: Generator) -> list[Item]:
        chosen = generator.integers(0, len(groups), size=size)
        return [
            replace(item, speaker=f"{place}")
            for place, number in enumerate(chosen)
            for item in groups[number]
        ]

    return make


def show(*cells: object) -> None:
    """Prints a row of the table at once."""
    print(
        "|",
        " | ".join(f"{c:.1f}" if isinstance(c, float) else str(c) for c in cells),
        "|",
        flush=True,
    )


def show_rates(items: list[Item]) -> None:
    """Prints how often the interval of a rate covers the truth, utterances drawn."""
    truth = sum(item.first for item in items) / sum(item.words for item in items)
    for name, make, rate, sizes in (
        (f"WER {100 * truth:.1f} %", lambda n, g: drawn(items, n, g), truth, SIZES),
        (f"WER {10 * truth:.1f} %", thinned(items, 0.1), 0.1 * truth, SIZES[1:]),
    ):
        for size in sizes:
            above, below = rate_coverage(make, rate, size)
            show(name, f"{size} utterances", 100 - above - below, above, below)


def show_speakers(items: list[Item]) -> None:
    """Prints how often the interval of a rate covers the truth, whole speakers drawn."""
    truth = sum(item.first for item in items) / sum(item.words for item in items)
    alike = made_up_speakers(items)
    for name, world, sizes in (
        ("real speakers, one of them with 45 utterances", items, (20, 50, 147)),
        ("made-up speakers of 5 similar utterances", alike, (10, 20, 53)),
    ):
        for size in sizes:
            above, below = rate_coverage(whole_speakers(world), truth, size, speakers=True)
            show(name, f"{size} speakers", 100 - above - below, above, below)
    above, below = rate_coverage(whole_speakers(alike), truth, 20)
    show("the same, but utterances drawn", "20 speakers", 100 - above - below, above, below)


def show_differences(items: list[Item]) -> None:
    """Prints how paired interval and tests do where the runs differ, and where they do not."""
    words = sum(item.words for item in items)
    gap = (sum(item.second for item in items) - sum(item.first for item in items)) / words

    def real(size: int, generator: Generator) -> list[Item]:
        return drawn(items, size, generator)

    def exchanged(size: int, generator: Generator) -> list[Item]:
        turn = generator.random(size) < 1 / 2
        chosen = drawn(items, size, generator)
        return [item.swapped() if t else item for item, t in zip(chosen, turn, strict=True)]

    rows: list[tuple[str, Callable[[int, Generator], list[Item]], float, Sequence[int]]] = [
        (f"real, {100 * gap:+.2f} points", real, gap, SIZES),
        ("none: real runs, places exchanged by chance", exchanged, 0.0, SIZES),
        ("none: 15 % one word worse, 15 % better", one_word(items, 0.15, 0.15), 0.0, SIZES[1:]),
        (
            "none: 2.5 % one word worse, 2.5 % better",
            one_word(items, 0.025, 0.025),
            0.0,
            SIZES[2:],
        ),
    ]
    for name, make, true, sizes in rows:
        for size in sizes:
            found = pair_tests(make, true, size)
            show(name, size, found.covered, found.bootstrap, found.segments, found.utterances)


def show_power(items: list[Item]) -> None:
    """Prints how often a small true difference is found, by the size of the dataset."""
    true = (WORSE - BETTER) * len(items) / sum(item.words for item in items)
    for size in POWER_SIZES:
        found = pair_tests(one_word(items, WORSE, BETTER), true, size)
        show(f"{100 * true:+.3f} points", size, found.bootstrap, found.segments, found.utterances)


def show_few(_: list[Item]) -> None:
    """How often the interval covers 30 % of 20 words an utterance; two and three have none outside."""
    for size in FEW_SIZES:
        generator = np.random.default_rng(size)
        covered = 0
        for errors in generator.binomial(FEW_WORDS, FEW_RATE, size=(DATASETS, size)):
            said = [ErrorCounts(int(number), 0, 0, FEW_WORDS, FEW_WORDS) for number in errors]
            with patch("whisperlab.metric.bootstrap.FEWEST_UNITS", 2):
                found = interval(said, seed=0, resamples=RESAMPLES)
            covered += found is not None and found.low <= FEW_RATE <= found.high
        show(size, f"{100 * covered / DATASETS:.1f}")


TABLES: dict[str, tuple[str, Callable[[list[Item]], None]]] = {
    "rates": ("95 % interval of a rate | units | covers | truth below | truth above", show_rates),
    "speakers": (
        "95 % interval of a rate | units | covers | truth below | truth above",
        show_speakers,
    ),
    "differences": (
        "difference of two runs | utterances | interval covers | p <= 0.05, bootstrap | MAPSSWE "
        "| MAPSSWE by utterance",
        show_differences,
    ),
    "power": (
        f"power: {WORSE:.0%} one word worse, {BETTER:.0%} better | utterances | bootstrap | MAPSSWE "
        "| MAPSSWE by utterance",
        show_power,
    ),
    "few": (
        f"interval of made-up utterances, {FEW_RATE:.0%} of {FEW_WORDS} words wrong: how many | covers",
        show_few,
    ),
}


def simulate(items: list[Item], table: str | None) -> None:
    """Prints all tables, or the one named."""
    words = sum(item.words for item in items)
    truth = sum(item.first for item in items) / words
    gap = sum(item.second for item in items) / words - truth
    print(
        f"\n{len(items)} utterances, {words} words, WER {100 * truth:.2f} %, other run {100 * gap:+.2f} points"
    )
    print(f"{DATASETS} datasets a row, {RESAMPLES} resamples")
    for name, (heading, show_table) in TABLES.items():
        if table in (None, name):
            print(f"\n| {heading} |\n{'|---' * (heading.count('|') + 1)}|", flush=True)
            show_table(items)


def measure() -> None:
    """Prints the seconds of 10,000 resamples of 5,000 utterances, best of three."""
    generator = np.random.default_rng(0)
    runs = [
        [ErrorCounts(int(errors), 0, 0, 20, 20) for errors in generator.poisson(3, size=5000)]
        for _ in range(2)
    ]
    for name, work in (
        ("interval", lambda: interval(runs[0], seed=0)),
        ("difference", lambda: difference(runs[0], runs[1], seed=0)),
    ):
        seconds = []
        for _ in range(3):
            started = perf_counter()
            work()
            seconds.append(perf_counter() - started)
        print(f"{name}: {min(seconds):.2f} s")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    commands = parser.add_subparsers(dest="command", required=True)
    counts = commands.add_parser("counts")
    counts.add_argument("first", type=Path)
    counts.add_argument("second", type=Path)
    simulation = commands.add_parser("simulate")
    simulation.add_argument("counts", type=Path)
    simulation.add_argument("--table", choices=TABLES)
    commands.add_parser("time")
    given = parser.parse_args()
    if given.command == "counts":
        write_counts(given.first, given.second)
    elif given.command == "time":
        measure()
    else:
        simulate(read_counts(given.counts), given.table)


if __name__ == "__main__":
    main()
