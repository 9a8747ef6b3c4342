"""The rules of a race of configurations: who is dropped after which block, and why.

Owns the decisions, as a pure function of error counts and costs: the same outcomes give the same
decisions, so a race that was killed comes to the same end. It does not transcribe, read or write.

A configuration is dropped when the bets against it (`whisperlab.metric.sequential`) show that

- **worse**: its error rate is higher than another's by more than the tolerance; or
- **dominated**: its error rate is higher than that of configurations which cost no more in any of the
  chosen objectives. Where the error rate is the only objective, every other one costs no more.

A race is **settled** when the one to be recommended is shown (by the same module's `NearBets`) to be no
worse by more than the tolerance than anyone still in it, and costs no more: going on could gain
nothing that counts. That is claimed wrongly with probability at most ``alpha``, over all looks and
all that might be recommended.

Each rule drops a configuration to which it should not apply with probability at most ``alpha``, however
often one looks: the bet against a configuration is the mean over all its opponents. Costs are compared
as they were measured; their noise is in no ``alpha``.

A budget that cannot take everyone to the end of the data adds a third reason, **unaffordable**: the
highest error rates are set aside, so many that the field shrinks by the same factor from block to block
and the budget ends with the data. Nothing is shown of those; no ``alpha`` covers them.

Source of the pace: Karnin, Koren and Somekh 2013, "Almost optimal exploration in multi-armed bandits"
(sequential halving; here the factor follows from the budget and the blocks are small).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whisperlab.metric.sequential import NearBets, PairwiseBets, log_mean_against

Floats = NDArray[np.float64]


class Objective(StrEnum):
    """What a configuration is chosen for; all but the error rate are costs to be compared."""

    WER = "wer"
    P95 = "p95"
    RTFX = "rtfx"
    MEMORY = "memory"


_BISECTIONS: Final = 40
"""Halvings of [0, 1]: the factor to 12 digits."""


@dataclass(frozen=True, slots=True)
class RaceRules:
    """``tolerance`` is a difference of error rates as a fraction; ``objectives`` hold WER, first."""

    tolerance: float
    alpha: float
    objectives: tuple[Objective, ...] = (Objective.WER,)

    @property
    def costs(self) -> tuple[Objective, ...]:
        """The objectives beside the error rate, in the order of their weight."""
        return tuple(objective for objective in self.objectives if objective is not Objective.WER)


class Reason(StrEnum):
    """Why a configuration was dropped."""

    WORSE = "worse"
    DOMINATED = "dominated"
    UNAFFORDABLE = "unaffordable"


@dataclass(frozen=True, slots=True)
class Block:
    """What the configurations in the race made of some utterances.

    ``errors`` has shape (n_alive, n_utterances), rows in the order of ``Race.alive``; ``words`` are
    the references', shape (n_utterances,).
    """

    errors: Floats
    words: Floats


@dataclass(frozen=True, slots=True)
class Drop:
    """One decision: who, why, with which evidence.

    ``e_value`` is what a bet of 1 against "not to be dropped" has become: at least ``1 / alpha``, or
    what there was when it was set aside. ``best`` led then, with an error rate lower by ``difference``.
    """

    candidate: int
    reason: Reason
    e_value: float
    best: int
    difference: float


@dataclass(frozen=True, slots=True)
class Extent:
    """All the data that a race may hear, in random order: how many utterances, and the longest's words."""

    utterances: int
    longest: float


@dataclass(slots=True)
class Race:
    """A race of ``count`` configurations, numbered from 0; ``alive`` are those still in it.

    Without its ``extent`` a race is never settled: it ends with one left, or with the data.
    """

    count: int
    rules: RaceRules
    extent: Extent | None = None
    alive: list[int] = field(init=False)
    errors: Floats = field(init=False)
    """Errors by configuration, over the utterances it has heard."""
    words: Floats = field(init=False)
    """Reference words by configuration, likewise."""
    _worse: PairwiseBets = field(init=False)
    _higher: PairwiseBets = field(init=False)
    _near: NearBets | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.alive = list(range(self.count))
        self.errors, self.words = np.zeros(self.count), np.zeros(self.count)
        self._worse = PairwiseBets(self.count, self.rules.tolerance)
        self._higher = PairwiseBets(self.count, 0.0)
        if self.extent is not None:
            size, longest = self.extent.utterances, self.extent.longest
            self._near = NearBets(self.count, self.rules.tolerance, size, longest)

    def add(
        self, block: Block, costs: Mapping[Objective, Sequence[float]] | None = None
    ) -> list[Drop]:
        """Takes in one block of everyone alive; returns whom it drops, by number.

        ``costs`` are measured so far, by objective and configuration; smaller is better, NaN unknown
        (a configuration of unknown cost neither dominates nor is dominated).
        """
        members = self.alive
        self.errors[members] += block.errors.sum(axis=1)
        self.words[members] += block.words.sum()
        for bets in (self._worse, self._higher):
            bets.add(block.errors, block.words, members)
        if self._near is not None:
            self._near.add(block.errors, block.words, members)
        best = self.best
        if best is None:
            return []
        everyone = ~np.eye(self.count, dtype=bool)
        worse = log_mean_against(self._worse.log_capital(), everyone)
        dominated = log_mean_against(
            self._higher.log_capital(), everyone & self._no_dearer(costs or {})
        )
        threshold = -np.log(self.rules.alpha)
        drops = []
        for candidate in members:
            if candidate == best:
                continue
            for reason, evidence in ((Reason.WORSE, worse), (Reason.DOMINATED, dominated)):
                if evidence[candidate] >= threshold:
                    drops.append(self._drop(candidate, reason, float(evidence[candidate]), best))
                    break
        dropped = {drop.candidate for drop in drops}
        self.alive = [candidate for candidate in members if candidate not in dropped]
        return drops

    def set_aside(self, keep: int) -> list[Drop]:
        """Returns whom a budget for ``keep`` configurations leaves out: the highest error rates."""
        best = self.best
        if best is None or keep >= len(self.alive):
            return []
        ranked = sorted(self.alive, key=lambda candidate: (self.rate(candidate) or 0.0, candidate))
        everyone = ~np.eye(self.count, dtype=bool)
        evidence = log_mean_against(self._worse.log_capital(), everyone)
        left_out = ranked[max(keep, 1) :]
        self.alive = [candidate for candidate in self.alive if candidate not in left_out]
        return [
            self._drop(candidate, Reason.UNAFFORDABLE, float(evidence[candidate]), best)
            for candidate in left_out
        ]

    @property
    def best(self) -> int | None:
        """The lowest error rate among those alive, ties by number; ``None`` before the first word."""
        rates = {candidate: self.rate(candidate) for candidate in self.alive}
        known = [candidate for candidate in self.alive if rates[candidate] is not None]
        return min(known, key=lambda candidate: rates[candidate] or 0.0, default=None)

    def rate(self, candidate: int) -> float | None:
        """The error rate so far; ``None`` before the first word."""
        words = self.words[candidate]
        return float(self.errors[candidate] / words) if words else None

    def recommended(self, costs: Mapping[Objective, Sequence[float]] | None = None) -> int | None:
        """Returns whom to take: among those alive and within the tolerance of the best, the cheapest.

        Costs count in the order of the objectives, then the error rate; without costs, the best.
        """
        best = self.best
        if best is None:
            return None
        bound = (self.rate(best) or 0.0) + self.rules.tolerance
        near = [one for one in self.alive if (self.rate(one) or 0.0) <= bound]

        def price(candidate: int) -> tuple[float, ...]:
            measured = [(costs or {}).get(cost, ())[candidate:][:1] for cost in self.rules.costs]
            known = [np.nan_to_num(one[0], nan=np.inf) if one else np.inf for one in measured]
            return (*(float(value) for value in known), self.rate(candidate) or 0.0)

        return min(near, key=price) if self.rules.costs else best

    def settled(self, costs: Mapping[Objective, Sequence[float]] | None = None) -> float | None:
        """Returns the evidence that the recommended one is good enough; ``None`` while there is not enough.

        It is the least e-value, over the others still in the race, against "the recommended one is worse by
        more than the tolerance", divided by how many might have been recommended: at least ``1 / alpha``.
        """
        chosen = self.recommended(costs)
        others = [candidate for candidate in self.alive if candidate != chosen]
        if chosen is None or self._near is None or not others:
            return None
        weakest = self._near.log_capital()[chosen, others].min() - np.log(self.count - 1)
        if weakest < -np.log(self.rules.alpha):
            return None
        no_dearer = self._no_dearer(costs or {})[others, chosen].all()
        return _as_e_value(float(weakest)) if no_dearer else None

    def _no_dearer(self, costs: Mapping[Objective, Sequence[float]]) -> NDArray[np.bool_]:
        """``[suspect, other]``: the other costs no more than the suspect in any objective."""
        allowed = np.ones((self.count, self.count), dtype=bool)
        for objective in self.rules.costs:
            price = np.asarray(costs.get(objective, [np.nan] * self.count), dtype=np.float64)
            allowed &= price[None, :] <= price[:, None]  # False where either is NaN
        return allowed

    def _drop(self, candidate: int, reason: Reason, log_capital: float, best: int) -> Drop:
        difference = (self.rate(candidate) or 0.0) - (self.rate(best) or 0.0)
        return Drop(candidate, reason, _as_e_value(log_capital), best, difference)


def _as_e_value(log_capital: float) -> float:
    # Above this a float overflows, and nobody reads the digits.
    return float(np.exp(min(log_capital, 700.0)))


def affordable(alive: int, blocks_left: int, budget_blocks: float) -> int:
    """Returns how many of ``alive`` configurations to keep for the next block.

    ``budget_blocks`` is what is left, in blocks of one configuration. The field shrinks by one factor
    from block to block, so that the budget lasts for all ``blocks_left``.

    >>> affordable(40, blocks_left=10, budget_blocks=400)
    40
    >>> affordable(40, blocks_left=9, budget_blocks=80)
    27
    >>> affordable(1, blocks_left=9, budget_blocks=3)
    1
    """
    if alive <= 1 or blocks_left < 1 or alive * blocks_left <= budget_blocks:
        return alive
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        factor = (low + high) / 2
        needed = alive * sum(factor**block for block in range(1, blocks_left + 1))
        low, high = (factor, high) if needed <= budget_blocks else (low, factor)
    return max(1, int(alive * low + 0.5))
