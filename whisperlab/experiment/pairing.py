"""Which utterances of several runs are set against each other: Choices, Pairing.

Owns what may be compared at all. It does not know what is said about the difference.

Compared are the utterances that every run has a text for; what a run lost (failed, timed out) is
counted apart and stands beside the difference, since a run that fails on hard utterances would
otherwise look better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whisperlab.errors import ConfigError
from whisperlab.experiment.result import RunResult
from whisperlab.experiment.scoring import (
    CONFIDENCE_LEVEL,
    PRIMARY_METRIC,
    ScoredUtterance,
    score_outcomes,
)
from whisperlab.metric.bootstrap import RESAMPLES
from whisperlab.metric.counts import ErrorCounts
from whisperlab.metric.paired import Difference, difference
from whisperlab.metric.protocol import Metric
from whisperlab.normalize.profile import Profile

LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Names of the runs in the order in which they were given."""

UNHEARD_IDENTITY = frozenset({"source", "rows_sha256", "skipped", "order"})
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
class Pairing:
    """Several runs over the same utterances; ``scored[i][j]`` is run i's utterance j, sorted by id.

    ``lost[i]`` are the shared utterances that run i has no text for. ``clusters`` names each
    utterance's cluster; ``None`` where utterances are drawn. ``left_out`` counts utterances that not
    every run has or has a text for.
    """

    scored: tuple[tuple[ScoredUtterance, ...], ...]
    lost: tuple[tuple[str, ...], ...]
    clusters: tuple[str, ...] | None
    left_out: Mapping[str, int]

    def counts(self, number: int, metric: str) -> list[ErrorCounts]:
        """Returns a run's counts by utterance."""
        return [item.counts[metric] for item in self.scored[number]]

    def difference(
        self,
        number: int,
        choices: Choices,
        *,
        metric: str | None = None,
        places: Sequence[int] | None = None,
    ) -> Difference | None:
        """Returns the run's rate minus the first's, tested as ``choices`` say.

        ``metric`` stands for another than theirs; ``places`` are the utterances that count, ``None`` all.
        """
        counted = range(len(self.scored[0])) if places is None else places
        first, other = (self.counts(run, metric or choices.metric) for run in (0, number))
        return difference(
            [first[place] for place in counted],
            [other[place] for place in counted],
            seed=choices.seed,
            clusters=self.clusters and [self.clusters[place] for place in counted],
            resamples=choices.resamples,
            level=choices.level,
        )

    def newly_lost(self, number: int) -> tuple[str, ...]:
        """Returns what the run has no text for though the first run has."""
        return tuple(sorted(set(self.lost[number]) - set(self.lost[0])))


def pair(
    runs: Sequence[RunResult], profile: Profile, metrics: Sequence[Metric], choices: Choices
) -> Pairing:
    """Returns the utterances that all runs have a text for, scored under ``profile``.

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
    lost = tuple(
        tuple(sorted(o.id for o in run.outcomes if o.id in shared and not o.state.scored))
        for run in runs
    )
    compared = shared.difference(*lost)
    if not compared:
        raise ConfigError("no utterance has a text in every run; there is nothing to compare")
    scored = tuple(
        tuple(score_outcomes([o for o in run.outcomes if o.id in compared], profile, metrics))
        for run in runs
    )
    everywhere = len({outcome.id for run in runs for outcome in run.outcomes})
    return Pairing(
        scored,
        lost,
        _clusters(scored[0], choices.clusters),
        {
            "not in every run": everywhere - len(shared),
            "without text in a run": len(shared) - len(compared),
        },
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


def _clusters(items: Sequence[ScoredUtterance], column: str | None) -> tuple[str, ...] | None:
    if column is None:
        return None
    missing = [item.outcome.id for item in items if column not in item.outcome.slices]
    if missing:
        columns = sorted({name for item in items for name in item.outcome.slices})
        raise ConfigError(
            f"clusters {column!r}: {len(missing)} utterances have no such column, the first is "
            f"{missing[0]}; the dataset's columns are {', '.join(columns) or 'none'}"
        )
    return tuple(item.outcome.slices[column] for item in items)
