"""Is this run a regression? The gate: what is shown, not what is hoped.

Owns the rule. It does not know exit codes or files.

With 95 % confidence (``alpha`` 0.05, one-sided each way) the difference run - baseline lies below
``high`` and above ``low``:

- ``passed``: ``high`` is at most the allowed difference. The run is shown to be no worse than allowed.
- ``regression``: ``low`` exceeds it. The run is shown to be worse than allowed.
- ``inconclusive``: the data are too few to say which; never silently a pass. So are fewer than four
  utterances or clusters, of which no interval is defined, unless none of two or more utterances has
  another number of errors.
- ``lost``: the run has no text for utterances that the baseline transcribed. It is not passed,
  whatever its error rate: the hard utterances may be the ones that it lost.

A run that is truly worse than allowed passes at most in ``alpha`` of datasets (a non-inferiority
test); two equal runs with the same errors in every utterance always pass.

Source: CPMP 2000, "Points to consider on switching between superiority and non-inferiority", EMEA,
section IV; Schuirmann 1987 for the two one-sided tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from whisperlab.errors import ConfigError
from whisperlab.experiment.pairing import Choices, pair
from whisperlab.experiment.result import RunResult
from whisperlab.metric.detectable import paired_spread
from whisperlab.metric.paired import Difference
from whisperlab.metric.protocol import Metric
from whisperlab.normalize.profile import Profile

MAX_ALPHA = 0.5
"""At 0.5 the bound is the estimate itself; beyond it "shown" means nothing."""


class Verdict(StrEnum):
    """What the gate says of a run."""

    PASSED = "passed"
    REGRESSION = "regression"
    INCONCLUSIVE = "inconclusive"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class GateResult:
    """The verdict and what it rests on; rates and differences are fractions.

    ``tested`` has the one-sided bounds, each of confidence 1 - ``alpha``; ``None`` where they
    are undefined. ``changed`` is the number of utterances with another number of errors.
    ``units_needed`` is how many would suffice if the systems were equal, where that can be said.
    """

    verdict: Verdict
    metric: str
    clusters: str | None
    max_delta: float
    alpha: float
    tested: Difference | None
    changed: int
    utterances: int
    newly_lost: tuple[str, ...]
    units_needed: int | None


def gate(
    run: RunResult,
    baseline: RunResult,
    profile: Profile,
    metrics: Sequence[Metric],
    choices: Choices,
    *,
    max_delta: float,
    alpha: float,
) -> GateResult:
    """Returns whether ``run`` is at most ``max_delta`` (a fraction) worse than ``baseline``.

    ``choices.level`` is not used: the bounds' level follows from ``alpha``.

    Raises:
        ConfigError: ``alpha`` is out of range, or the runs cannot be compared.
    """
    if not 0 < alpha < MAX_ALPHA:
        raise ConfigError(f"alpha: expected a probability above 0 and below 0.5, got {alpha:g}")
    pairing = pair([baseline, run], profile, metrics, choices)
    old, new = (pairing.counts(number, choices.metric) for number in (0, 1))
    tested = pairing.difference(1, replace(choices, level=1 - 2 * alpha))
    changed = sum(one.errors != two.errors for one, two in zip(old, new, strict=True))
    spread = paired_spread(old, new, pairing.clusters)
    result = GateResult(
        verdict=Verdict.INCONCLUSIVE,
        metric=choices.metric,
        clusters=choices.clusters,
        max_delta=max_delta,
        alpha=alpha,
        tested=tested,
        changed=changed,
        utterances=len(old),
        newly_lost=pairing.newly_lost(1),
        units_needed=(
            spread.units_to_exclude(max_delta, alpha=alpha) if spread and max_delta > 0 else None
        ),
    )
    comparable = len(old) > 1 and any(one.reference_length for one in old)
    return replace(result, verdict=_verdict(result, alike=comparable and not changed))


def _verdict(result: GateResult, *, alike: bool) -> Verdict:
    if result.newly_lost:
        return Verdict.LOST
    if result.tested is None:
        return Verdict.PASSED if alike and result.max_delta >= 0 else Verdict.INCONCLUSIVE
    if result.tested.high <= result.max_delta:
        return Verdict.PASSED
    return Verdict.REGRESSION if result.tested.low > result.max_delta else Verdict.INCONCLUSIVE
