"""Does a text depend on what it should not? Runs that differ in one circumstance, set against the first.

Owns the verdict. It does not know which circumstances there are or how runs are made.

- ``invariant``: every text is the first run's, letter for letter.
- ``violated``: a text changed, or was lost, though nothing that is heard has: a bug of batching, padding
  or state, or arithmetic whose rounding depends on the batch.
- ``stable``: texts changed under a circumstance that is heard; no difference of the rate is shown.
- ``sensitive``: they changed, and the rate has: the paired interval excludes zero, or texts were lost.
- ``unknown``: they changed, and there is no interval: fewer than four utterances have both texts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from whisperlab.experiment.pairing import Choices, pair
from whisperlab.experiment.result import Rate, RunResult
from whisperlab.experiment.scoring import rates
from whisperlab.metric.paired import Difference
from whisperlab.metric.protocol import Metric
from whisperlab.normalize.profile import Profile


class Verdict(StrEnum):
    """What became of the texts."""

    INVARIANT = "invariant"
    VIOLATED = "violated"
    STABLE = "stable"
    SENSITIVE = "sensitive"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Changed:
    """An utterance with another text: both texts as they came, and the errors of each."""

    id: str
    reference: str
    before: str
    after: str
    errors_before: int
    errors_after: int


@dataclass(frozen=True, slots=True)
class Circumstance:
    """One run against the first: what changed, and whether it may.

    ``rate`` and ``difference`` (this run minus the first) are over the ``utterances`` that both have a
    text for. ``newly_lost`` have one in the first run alone.
    """

    name: str
    must_equal: bool
    run: RunResult
    utterances: int
    rate: Rate
    changed: tuple[Changed, ...]
    newly_lost: tuple[str, ...]
    difference: Difference | None

    @property
    def share(self) -> float:
        """Share of the utterances whose text is another."""
        return len(self.changed) / self.utterances

    @property
    def verdict(self) -> Verdict:
        """What this comes to."""
        if not self.changed and not self.newly_lost:
            return Verdict.INVARIANT
        if self.must_equal:
            return Verdict.VIOLATED
        if self.newly_lost:
            return Verdict.SENSITIVE
        if self.difference is None:
            return Verdict.UNKNOWN
        shown = self.difference.p <= 1 - self.difference.level
        return Verdict.SENSITIVE if shown else Verdict.STABLE


@dataclass(frozen=True, slots=True)
class Invariance:
    """The first run under its name, and every circumstance against it."""

    baseline: str
    run: RunResult
    rate: Rate
    circumstances: tuple[Circumstance, ...]
    profile: Profile
    choices: Choices

    @property
    def violated(self) -> tuple[Circumstance, ...]:
        """The circumstances under which texts changed that must not."""
        return tuple(one for one in self.circumstances if one.verdict is Verdict.VIOLATED)


def invariance(
    runs: Mapping[str, RunResult],
    must_equal: Collection[str],
    profile: Profile,
    metrics: Sequence[Metric],
    choices: Choices,
) -> Invariance:
    """Returns every run set against the first of them.

    Raises:
        ConfigError: runs that cannot be compared.
    """
    (baseline, first), *others = runs.items()
    choices = replace(choices, shared_only=True)  # the audio may differ on purpose
    alone = pair([first, first], profile, metrics, choices)
    found = rates(alone.scored[0], metrics, resamples=choices.resamples, seed=choices.seed)
    return Invariance(
        baseline=baseline,
        run=first,
        rate=found[choices.metric],
        circumstances=tuple(
            _circumstance(name, name in must_equal, first, run, profile, metrics, choices)
            for name, run in others
        ),
        profile=profile,
        choices=choices,
    )


def _circumstance(
    name: str,
    must_equal: bool,
    first: RunResult,
    run: RunResult,
    profile: Profile,
    metrics: Sequence[Metric],
    choices: Choices,
) -> Circumstance:
    pairing = pair([first, run], profile, metrics, choices)
    changed = tuple(
        Changed(
            one.outcome.id,
            one.outcome.reference,
            one.outcome.text,
            two.outcome.text,
            one.counts[choices.metric].errors,
            two.counts[choices.metric].errors,
        )
        for one, two in zip(*pairing.scored, strict=True)
        if one.outcome.text != two.outcome.text
    )
    found = rates(pairing.scored[1], metrics, resamples=choices.resamples, seed=choices.seed)
    return Circumstance(
        name=name,
        must_equal=must_equal,
        run=run,
        utterances=len(pairing.scored[0]),
        rate=found[choices.metric],
        changed=changed,
        newly_lost=pairing.newly_lost(1),
        difference=pairing.difference(1, choices),
    )
