"""Whether two runs over the same utterances differ: the paired bootstrap.

Owns the difference of two pooled rates with its interval and p, and ranking in tie groups. It does
not know where counts come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from whisperlab.metric.bootstrap import (
    FEWEST_UNITS,
    RESAMPLES,
    bounds,
    check_arguments,
    degrees_of_freedom,
    effective_units,
    p_value,
    resampled_sums,
    unit_totals,
)
from whisperlab.metric.counts import NO_ERRORS, ErrorCounts

FEW_CLUSTERS = 30
"""Clusters of equal size below which an interval may cover less than it says: real speakers worth 25 of
equal size covered 86 %, worth 40 of them 95 % (experiments/2026-11-24-intervals). Source: Cameron and
Miller 2015, "A Practitioner's Guide to Cluster-Robust Inference", section VI: few are 20 to 50."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Rate of the second run minus rate of the first, as a fraction: negative is better.

    ``p`` is two-sided. ``units`` is the number of things drawn: utterances or clusters. Clusters are
    worth ``effective_units`` of equal size, by their reference units; ``None`` for utterances.
    """

    value: float
    low: float
    high: float
    p: float
    level: float
    resamples: int
    units: int
    effective_units: float | None = None

    @property
    def has_few_clusters(self) -> bool:
        """True where so few or so uneven clusters were drawn that the interval may cover less."""
        return self.effective_units is not None and self.effective_units < FEW_CLUSTERS


def difference(
    first: Sequence[ErrorCounts],
    second: Sequence[ErrorCounts],
    *,
    seed: int,
    clusters: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> Difference | None:
    """Returns the difference of the pooled rates with its paired bootstrap interval and p.

    Both runs' counts of an utterance are drawn together, so what is hard for both cancels out. The
    interval excludes zero exactly where ``p <= 1 - level``. Undefined (``None``) are fewer than four
    units (`FEWEST_UNITS`) and a run without reference units.

    Source: Bisani and Ney 2004, section 3; bounds and p as in ``bootstrap.py``.

    Raises:
        ValueError: the runs or ``clusters`` differ in length, or ``resamples`` or ``level`` is out
            of range.

    >>> right, wrong = ErrorCounts(0, 0, 0, 10, 10), ErrorCounts(1, 0, 0, 10, 10)
    >>> found = difference([right] * 100, [wrong] * 20 + [right] * 80, seed=0)
    >>> round(found.value, 4), found.low > 0, found.p < 0.01
    (0.02, True, True)
    >>> difference([right] * 9, [right] * 9, seed=0).p
    1.0
    """
    check_arguments(resamples, level)
    totals = unit_totals([first, second], clusters)
    rates = [sum(counts, NO_ERRORS).rate for counts in (first, second)]
    if len(totals) < FEWEST_UNITS or rates[0] is None or rates[1] is None:
        return None
    first_errors, first_length, second_errors, second_length = resampled_sums(
        totals, resamples, seed
    )
    defined = (first_length > 0) & (second_length > 0)
    differences = (
        second_errors[defined] / second_length[defined]
        - first_errors[defined] / first_length[defined]
    )
    units = len(totals)
    grouped = units < len(first)
    freedom = degrees_of_freedom(_residuals(totals)) if grouped else units - 1.0
    low, high = bounds(differences, units, level, freedom)
    p = p_value(differences, units, freedom)
    worth = None if clusters is None else effective_units(totals[:, 1])
    return Difference(rates[1] - rates[0], low, high, p, level, resamples, units, worth)


def _residuals(totals: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns each unit's part in the deviation of the difference, linearised."""
    shares = []
    for errors, lengths in (totals.T[:2], totals.T[2:]):
        whole = lengths.sum()
        shares.append((errors - errors.sum() / whole * lengths) / whole)
    return np.asarray(shares[1] - shares[0])


def tie_groups(
    runs: Sequence[Sequence[ErrorCounts]],
    *,
    seed: int,
    clusters: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    alpha: float = 0.05,
) -> tuple[tuple[int, ...], ...]:
    """Returns the runs' numbers in groups, best first; inside a group none is shown to be worse.

    The best run leads the first group, which holds every run that does not differ from its leader;
    the best of the others leads the next. p of all pairs is corrected by Holm's method, so that
    with equal runs a second group appears in at most ``alpha`` of datasets.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".

    Raises:
        ValueError: a run has no reference units, or as `difference`.

    >>> runs = [[ErrorCounts(errors, 0, 0, 10, 10)] * 50 for errors in (3, 1, 3)]
    >>> tie_groups(runs, seed=0)
    ((1,), (0, 2))
    """
    rates = [sum(counts, NO_ERRORS).rate for counts in runs]
    if None in rates:
        raise ValueError("expected runs with reference units, got one without")
    tests: dict[tuple[int, int], float] = {}
    for pair in combinations(range(len(runs)), 2):
        found = difference(
            runs[pair[0]], runs[pair[1]], seed=seed, clusters=clusters, resamples=resamples
        )
        tests[pair] = 1.0 if found is None else found.p
    distinct = _distinct(tests, alpha)
    waiting = sorted(range(len(runs)), key=lambda number: rates[number] or 0.0)
    groups = []
    while waiting:
        leader = waiting[0]
        group = tuple(
            number
            for number in waiting
            if (min(leader, number), max(leader, number)) not in distinct
        )
        groups.append(group)
        waiting = [number for number in waiting if number not in group]
    return tuple(groups)


def _distinct(tests: Mapping[tuple[int, int], float], alpha: float) -> set[tuple[int, int]]:
    """Returns the pairs whose difference stays significant under Holm's correction."""
    distinct = set()
    for step, (pair, p) in enumerate(sorted(tests.items(), key=lambda test: test[1])):
        if p > alpha / (len(tests) - step):
            break
        distinct.add(pair)
    return distinct
