"""Runs over the same utterances, set against the first of them: Comparison.

Owns which utterances are compared and what is said about them. It does not know where runs lie or
how a comparison is shown.

Compared are the utterances that every run has a text for; what a run lost (failed, timed out) is
counted apart and stands beside the difference, since a run that fails on hard utterances would
otherwise look better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whisperlab.errors import ConfigError
from whisperlab.experiment.result import Rate, RunResult
from whisperlab.experiment.scoring import (
    CONFIDENCE_LEVEL,
    PRIMARY_METRIC,
    ScoredUtterance,
    rates,
    score_outcomes,
    slice_members,
)
from whisperlab.metric.bootstrap import RESAMPLES
from whisperlab.metric.counts import NO_ERRORS, ErrorCounts
from whisperlab.metric.detectable import paired_spread
from whisperlab.metric.matched_pairs import MatchedPairs, matched_pairs
from whisperlab.metric.paired import Difference, difference, tie_groups
from whisperlab.metric.protocol import Metric
from whisperlab.normalize.profile import Profile
from whisperlab.utterance import Outcome

SCHEMA = 1
"""Number of comparison.json's schema."""

LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Names of the runs in the order in which they were given."""

UNHEARD_IDENTITY = frozenset({"source", "rows_sha256", "skipped"})
"""Facts of a dataset's identity that may differ while the utterances are the same."""


@dataclass(frozen=True, slots=True)
class Choices:
    """How runs are compared.

    ``metric`` is the one that utterances, slices and ranks go by. ``clusters`` is the slice column
    (speaker, session) whose values are drawn whole; ``None`` draws utterances. ``shared_only``
    compares what the runs have in common where their datasets differ, which is refused otherwise.
    """

    metric: str = PRIMARY_METRIC
    clusters: str | None = None
    shared_only: bool = False
    worst: int = 10
    resamples: int = RESAMPLES
    level: float = CONFIDENCE_LEVEL
    seed: int = 0


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
    metric. ``worst`` are the utterances that got worse, most errors added first. ``newly_lost``
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
        ConfigError: fewer than two or too many runs, runs over different utterances, an unknown
            metric or cluster column, or nothing left to compare.
    """
    if not 1 < len(runs) <= len(LABELS):
        raise ConfigError(f"expected 2 to {len(LABELS)} runs to compare, got {len(runs)}")
    if choices.metric not in {metric.name for metric in metrics}:
        known = ", ".join(metric.name for metric in metrics)
        raise ConfigError(f"metric {choices.metric!r}: expected one of {known}")
    shared = _shared(runs, choices)
    lost = [
        tuple(sorted(o.id for o in run.outcomes if o.id in shared and not o.state.scored))
        for run in runs
    ]
    compared = shared.difference(*lost)
    if not compared:
        raise ConfigError("no utterance has a text in every run; there is nothing to compare")
    scored = tuple(
        tuple(score_outcomes([o for o in run.outcomes if o.id in compared], profile, metrics))
        for run in runs
    )
    clusters = _clusters(scored[0], choices.clusters)
    counts = [[item.counts[choices.metric] for item in items] for items in scored]
    everywhere = len({outcome.id for run in runs for outcome in run.outcomes})
    return Comparison(
        runs=tuple(
            ComparedRun(
                label,
                run,
                rates(items, metrics, resamples=choices.resamples, seed=choices.seed),
                missing,
            )
            for label, run, items, missing in zip(LABELS, runs, scored, lost, strict=False)
        ),
        profile=profile,
        choices=choices,
        utterances=len(compared),
        left_out={
            "not in every run": everywhere - len(shared),
            "without text in a run": len(shared) - len(compared),
        },
        differences=tuple(
            _against(label, scored[0], items, choices, clusters, set(missing) - set(lost[0]))
            for label, items, missing in zip(LABELS[1:], scored[1:], lost[1:], strict=False)
        ),
        ranking=_ranking(counts, choices, clusters),
        scored=scored,
    )


def _shared(runs: Sequence[RunResult], choices: Choices) -> frozenset[str]:
    """Returns the ids that all runs have with one reference."""
    references = [{outcome.id: outcome.reference for outcome in run.outcomes} for run in runs]
    shared = frozenset(
        id_
        for id_, reference in references[0].items()
        if all(other.get(id_) == reference for other in references[1:])
    )
    if choices.shared_only:
        return shared
    for label, other, run in zip(LABELS[1:], references[1:], runs[1:], strict=False):
        only_first = len(references[0].keys() - other.keys())
        only_other = len(other.keys() - references[0].keys())
        reworded = len(references[0].keys() & other.keys()) - sum(
            other.get(id_) == reference for id_, reference in references[0].items()
        )
        remedy = "compare runs of one dataset, or only what they share: --shared"
        if only_first or only_other or reworded:
            raise ConfigError(
                f"A ({runs[0].folder}) and {label} ({run.folder}) are over different utterances: "
                f"{only_first} only in A, {only_other} only in {label}, {reworded} with another "
                f"reference; {remedy}"
            )
        differing = _identity_differences(runs[0].card.dataset, run.card.dataset)
        if differing:
            raise ConfigError(
                f"A ({runs[0].folder}) and {label} ({run.folder}) have the same references but "
                f"other audio: their datasets differ in {', '.join(differing)}; {remedy}"
            )
    return shared


def _identity_differences(first: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    keys = (first.keys() | other.keys()) - UNHEARD_IDENTITY
    return sorted(key for key in keys if first.get(key) != other.get(key))


def _clusters(items: Sequence[ScoredUtterance], column: str | None) -> list[str] | None:
    if column is None:
        return None
    missing = [item.outcome.id for item in items if column not in item.outcome.slices]
    if missing:
        columns = sorted({name for item in items for name in item.outcome.slices})
        raise ConfigError(
            f"clusters {column!r}: {len(missing)} utterances have no such column, the first is "
            f"{missing[0]}; the dataset's columns are {', '.join(columns) or 'none'}"
        )
    return [item.outcome.slices[column] for item in items]


def _against(
    label: str,
    first: Sequence[ScoredUtterance],
    other: Sequence[ScoredUtterance],
    choices: Choices,
    clusters: Sequence[str] | None,
    newly_lost: set[str],
) -> RunDifference:
    def tested(
        one: Sequence[ScoredUtterance],
        two: Sequence[ScoredUtterance],
        metric: str,
        drawn: Sequence[str] | None,
    ) -> Difference | None:
        return difference(
            [item.counts[metric] for item in one],
            [item.counts[metric] for item in two],
            seed=choices.seed,
            clusters=drawn,
            resamples=choices.resamples,
            level=choices.level,
        )

    spread = paired_spread(
        [item.counts[choices.metric] for item in first],
        [item.counts[choices.metric] for item in other],
        clusters,
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
        drawn = None if clusters is None else [clusters[place] for place in places]
        slices.append(
            SliceDifference(
                column,
                value,
                len(members),
                _pooled(members, choices.metric),
                _pooled(matching, choices.metric),
                tested(members, matching, choices.metric, drawn),
            )
        )
    return RunDifference(
        label=label,
        differences={name: tested(first, other, name, clusters) for name in first[0].counts},
        matched_pairs=(
            matched_pairs((one.edits, two.edits) for one, two in zip(first, other, strict=True))
            if choices.metric == PRIMARY_METRIC
            else None
        ),
        detectable=None if spread is None else spread.smallest_difference(spread.units),
        worse=len(worse),
        same=len(changes) - len(worse) - better,
        better=better,
        worst=tuple(worst[: choices.worst]),
        newly_lost=tuple(sorted(newly_lost)),
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
