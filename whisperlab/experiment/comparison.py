"""Runs over the same utterances, set against the first of them: Comparison.

Owns what is said about a difference. It does not know where runs lie, which utterances may be
compared (``pairing.py``) or how a comparison is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from whisperlab.experiment.pairing import LABELS, Choices, Pairing, pair
from whisperlab.experiment.result import Rate, RunResult
from whisperlab.experiment.scoring import (
    PRIMARY_METRIC,
    ScoredUtterance,
    rates,
    slice_members,
)
from whisperlab.metric.counts import NO_ERRORS, ErrorCounts
from whisperlab.metric.detectable import paired_spread
from whisperlab.metric.matched_pairs import (
    MatchedPairs,
    matched_pairs,
    p_by_utterance,
    segments,
)
from whisperlab.metric.paired import Difference, tie_groups
from whisperlab.metric.protocol import Metric
from whisperlab.normalize.profile import Profile
from whisperlab.utterance import Outcome

SCHEMA = 1
"""Number of comparison.json's schema."""


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One run: its rates over the compared utterances, and the shared ones it has no text for."""

    label: str
    run: RunResult
    rates: Mapping[str, Rate]
    lost: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """Errors in one utterance, first run and other run; ``words`` are reference units."""

    id: str
    first: int
    second: int
    words: int


@dataclass(frozen=True, slots=True)
class SliceDifference:
    """The two rates over the utterances whose slice ``column`` has ``value``, and how sure it is."""

    column: str
    value: str
    utterances: int
    first: float | None
    second: float | None
    difference: Difference | None


@dataclass(frozen=True, slots=True)
class RunDifference:
    """One run minus the first: negative is better.

    ``differences`` are by metric name; ``matched_pairs`` is over words, ``None`` for another
    metric or unit. ``worst`` are the utterances that got worse, most errors added first. ``newly_lost``
    have a text in the first run and none in this one. ``detectable`` is the smallest true difference
    that so many utterances, varying as these do, show four times in five.
    """

    label: str
    differences: Mapping[str, Difference | None]
    matched_pairs: MatchedPairs | None
    detectable: float | None
    worse: int
    same: int
    better: int
    worst: tuple[Change, ...]
    newly_lost: tuple[str, ...]
    slices: tuple[SliceDifference, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Several runs against the first; ``scored[i][j]`` is run i's utterance j, sorted by id.

    ``left_out`` counts utterances that not every run has or has a text for. ``ranking`` holds
    labels in tie groups, best first.
    """

    runs: tuple[ComparedRun, ...]
    profile: Profile
    choices: Choices
    utterances: int
    left_out: Mapping[str, int]
    differences: tuple[RunDifference, ...]
    ranking: tuple[tuple[str, ...], ...]
    scored: tuple[tuple[ScoredUtterance, ...], ...]


def compare(
    runs: Sequence[RunResult], profile: Profile, metrics: Sequence[Metric], choices: Choices
) -> Comparison:
    """Returns the runs set against the first, all scored under ``profile``.

    Raises:
        ConfigError: as `pair`.
    """
    pairing = pair(runs, profile, metrics, choices)
    numbers = range(len(runs))
    return Comparison(
        runs=tuple(
            ComparedRun(
                LABELS[number],
                runs[number],
                rates(
                    pairing.scored[number], metrics, resamples=choices.resamples, seed=choices.seed
                ),
                pairing.lost[number],
            )
            for number in numbers
        ),
        profile=profile,
        choices=choices,
        utterances=len(pairing.scored[0]),
        left_out=pairing.left_out,
        differences=tuple(_against(number, pairing, choices, profile) for number in numbers[1:]),
        ranking=_ranking(
            [pairing.counts(number, choices.metric) for number in numbers],
            choices,
            pairing.clusters,
        ),
        scored=pairing.scored,
    )


def _matched_pairs(
    first: Sequence[ScoredUtterance], other: Sequence[ScoredUtterance]
) -> MatchedPairs:
    found = [segments(one.edits, two.edits) for one, two in zip(first, other, strict=True)]
    tested = matched_pairs(segment for utterance in found for segment in utterance)
    return replace(tested, p_by_utterance=p_by_utterance(found))


def _against(number: int, pairing: Pairing, choices: Choices, profile: Profile) -> RunDifference:
    first, other = pairing.scored[0], pairing.scored[number]
    spread = paired_spread(
        pairing.counts(0, choices.metric), pairing.counts(number, choices.metric), pairing.clusters
    )
    changes = [
        _change(one.outcome, one.counts[choices.metric], two.counts[choices.metric])
        for one, two in zip(first, other, strict=True)
    ]
    worse = [change for change in changes if change.second > change.first]
    better = sum(change.second < change.first for change in changes)
    worst = sorted(worse, key=lambda change: (change.first - change.second, change.id))
    position = {item.outcome.id: index for index, item in enumerate(first)}
    slices = []
    for column, value, members in slice_members(first):
        places = [position[item.outcome.id] for item in members]
        matching = [other[place] for place in places]
        slices.append(
            SliceDifference(
                column,
                value,
                len(members),
                _pooled(members, choices.metric),
                _pooled(matching, choices.metric),
                pairing.difference(number, choices, places=places),
            )
        )
    return RunDifference(
        label=LABELS[number],
        differences={
            name: pairing.difference(number, choices, metric=name) for name in first[0].counts
        },
        matched_pairs=(
            _matched_pairs(first, other)
            if choices.metric == PRIMARY_METRIC and profile.unit == "word"
            else None
        ),
        detectable=None if spread is None else spread.smallest_difference(spread.units),
        worse=len(worse),
        same=len(changes) - len(worse) - better,
        better=better,
        worst=tuple(worst[: choices.worst]),
        newly_lost=pairing.newly_lost(number),
        slices=tuple(slices),
    )


def _change(outcome: Outcome, first: ErrorCounts, second: ErrorCounts) -> Change:
    return Change(outcome.id, first.errors, second.errors, first.reference_length)


def _pooled(items: Sequence[ScoredUtterance], metric: str) -> float | None:
    return sum((item.counts[metric] for item in items), NO_ERRORS).rate


def _ranking(
    counts: Sequence[Sequence[ErrorCounts]], choices: Choices, clusters: Sequence[str] | None
) -> tuple[tuple[str, ...], ...]:
    """Returns the labels in tie groups; nothing where no utterance has reference units."""
    if any(sum(run, NO_ERRORS).rate is None for run in counts):
        return ()
    groups = tie_groups(
        counts,
        seed=choices.seed,
        clusters=clusters,
        resamples=choices.resamples,
        alpha=1 - choices.level,
    )
    return tuple(tuple(LABELS[number] for number in group) for group in groups)
