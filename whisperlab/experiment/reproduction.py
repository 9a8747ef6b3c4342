"""A run issued again beside the run it repeats: what differs, and whether the result is the same.

Owns the comparison. It does not know how a run is issued or how a difference is shown.

Reproduced means: the same utterances, each with the same state and raw text, and the same value and
counts of every metric. Times, machines and versions may differ: they are listed because they explain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from whisperlab.experiment.result import SCHEMA, RunCard, RunResult

REPRODUCTION = "reproduction.json"

EXAMPLES = 10
"""Changed utterances that are named."""

OWN_KEYS = frozenset({"run_dir"})
"""Top-level keys that always differ between two runs."""

CLOCKS = ("processor_mhz", "gpu_mhz")
"""What the machine's description says of this moment alone; it stands with the times."""

ABSENT = "(absent)"


@dataclass(frozen=True, slots=True)
class Changed:
    """One fact of the run card before and after, by its dotted key."""

    key: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class ChangedText:
    """An utterance whose state or raw text is another."""

    id: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Texts:
    """``equal`` of ``utterances`` (in either run) have the same state and text; examples of others."""

    utterances: int
    equal: int
    examples: tuple[ChangedText, ...]

    @property
    def share(self) -> float | None:
        """Equal / all; ``None`` of nothing."""
        return self.equal / self.utterances if self.utterances else None


@dataclass(frozen=True, slots=True)
class Figure:
    """A number before and after; ``None`` is undefined."""

    name: str
    before: float | None
    after: float | None


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What differs between a run and its repetition."""

    configuration: tuple[Changed, ...]
    dataset: tuple[Changed, ...]
    code: tuple[Changed, ...]
    versions: tuple[Changed, ...]
    machine: tuple[Changed, ...]
    texts: Texts
    scores: tuple[Figure, ...]
    """Every metric's value, and its counts as ``wer.substitutions``."""
    times: tuple[Figure, ...]

    @property
    def reproduced(self) -> bool:
        """True when all texts, states and scores are the same."""
        return self.texts.equal == self.texts.utterances and all(
            figure.before == figure.after for figure in self.scores
        )


def compare_runs(before: RunResult, after: RunResult) -> Reproduction:
    """Returns what differs between ``before`` and its repetition."""
    one, other = before.card, after.card
    return Reproduction(
        configuration=_changed(_settings(one), _settings(other)),
        dataset=_changed(one.dataset, other.dataset),
        code=_changed(one.git, other.git),
        versions=_changed(one.versions, other.versions),
        machine=_changed(_lasting(one.hardware), _lasting(other.hardware)),
        texts=_texts(before, after),
        scores=tuple(_scores(before, after)),
        times=tuple(_times(before, after)),
    )


def reproduction_json(found: Reproduction, before: RunResult) -> dict[str, Any]:
    """Returns the content of reproduction.json."""
    return {
        "schema": SCHEMA,
        "of": str(before.folder),
        "fingerprint": before.card.fingerprint,
        "reproduced": found.reproduced,
        **asdict(found),
    }


def _lasting(hardware: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the machine without its clocks, which change from moment to moment."""
    return {name: value for name, value in hardware.items() if name not in CLOCKS}


def _settings(card: RunCard) -> dict[str, Any]:
    return {key: value for key, value in card.config.items() if key not in OWN_KEYS}


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Changed, ...]:
    old, new = dict(_flat(before)), dict(_flat(after))
    return tuple(
        Changed(key, str(old.get(key, ABSENT)), str(new.get(key, ABSENT)))
        for key in sorted(old.keys() | new.keys())
        if old.get(key, ABSENT) != new.get(key, ABSENT)
    )


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            # run.json holds lists where a fresh card has tuples
            yield f"{prefix}{name}", list(value) if isinstance(value, tuple) else value


def _texts(before: RunResult, after: RunResult) -> Texts:
    old, new = (
        {outcome.id: f"{outcome.state.value}: {outcome.text}" for outcome in result.outcomes}
        for result in (before, after)
    )
    names = sorted(old.keys() | new.keys())
    others = [
        ChangedText(name, old.get(name, ABSENT), new.get(name, ABSENT))
        for name in names
        if old.get(name) != new.get(name)
    ]
    return Texts(len(names), len(names) - len(others), tuple(others[:EXAMPLES]))


COUNTS = ("substitutions", "insertions", "deletions", "reference_words", "hypothesis_words")


def _scores(before: RunResult, after: RunResult) -> Iterator[Figure]:
    old, new = before.scores.scores, after.scores.scores
    for metric in sorted(old.keys() | new.keys()):
        rates = [scores.get(metric) for scores in (old, new)]
        yield Figure(metric, *(None if rate is None else rate.value for rate in rates))
        for count in COUNTS:
            yield Figure(
                f"{metric}.{count}",
                *(None if rate is None else float(getattr(rate, count)) for rate in rates),
            )


def _times(before: RunResult, after: RunResult) -> Iterator[Figure]:
    speeds: Sequence[Any] = [result.scores.speed for result in (before, after)]
    yield Figure("rtfx", *(speed.rtfx for speed in speeds))
    for name in ("p50", "p95", "p99"):
        figures = [getattr(speed.latency_seconds, name) for speed in speeds]
        yield Figure(f"latency {name}, s", *figures)
    yield Figure("load, s", *(speed.load_seconds for speed in speeds))
    for name in CLOCKS:
        clocks = [result.card.hardware.get(name) for result in (before, after)]
        fastest = [max(c, default=None) if isinstance(c, list) else c for c in clocks]
        yield Figure(name, *fastest)
