"""What difference a dataset can show, before anything is run on it.

Owns the planning of a paired comparison from a pilot's counts. It does not know runs or reports.

The difference of two pooled rates varies, over datasets of n utterances, with a standard error of
about s / sqrt(n), where s is the spread of the utterances' own contributions. A pair of pilot runs
gives s; one pilot run gives it for a supposed second system, whose errors on the same utterances
are correlated with the pilot's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from whisperlab.metric.bootstrap import FEWEST_UNITS, unit_totals
from whisperlab.metric.counts import ErrorCounts

POWER = 0.8
"""How often a true difference of the smallest detectable size is called significant (Cohen 1988)."""

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Spread:
    """Standard deviation of one unit's contribution to the difference of two rates.

    ``units`` is the number of utterances or clusters that it was measured on, ``correlation`` how
    much the errors of both systems go together over them.
    """

    deviation: float
    units: int
    correlation: float

    def smallest_difference(
        self, units: int, *, power: float = POWER, alpha: float = ALPHA
    ) -> float:
        """Returns the true difference that ``units`` units show with ``power`` at ``alpha``.

        Source: the normal approximation of a two-sided paired test, as in Bickel and Doksum 2015,
        section 4.9: (z of 1 - alpha / 2 + z of power) standard errors.

        >>> round(Spread(0.1, 100, 0.0).smallest_difference(100), 4)
        0.028
        """
        return _quantiles(power, alpha) * self.deviation / math.sqrt(units)

    def units_needed(self, difference: float, *, power: float = POWER, alpha: float = ALPHA) -> int:
        """Returns how many units show a true ``difference`` with ``power`` at ``alpha``.

        >>> Spread(0.1, 100, 0.0).units_needed(0.028)
        101
        """
        return math.ceil((_quantiles(power, alpha) * self.deviation / difference) ** 2)

    def units_to_exclude(self, margin: float, *, power: float = POWER, alpha: float = ALPHA) -> int:
        """Returns how many units show, of equal systems, that one is not worse by ``margin``.

        The one-sided bound of level 1 - ``alpha`` then lies below the margin with ``power``.

        >>> Spread(0.1, 100, 0.0).units_to_exclude(0.02)
        155
        """
        # a one-sided test at alpha is a two-sided one at 2 alpha
        return self.units_needed(margin, power=power, alpha=2 * alpha)


def paired_spread(
    first: Sequence[ErrorCounts],
    second: Sequence[ErrorCounts],
    clusters: Sequence[str] | None = None,
) -> Spread | None:
    """Returns the spread between two pilot runs; ``None`` where a rate or a spread is undefined.

    Undefined is a spread of fewer than four units (`FEWEST_UNITS`).

    Raises:
        ValueError: the runs or ``clusters`` differ in length.
    """
    if len(first) != len(second):
        raise ValueError(f"expected the same utterances, got {len(first)} and {len(second)}")
    one, other = _contributions(first, clusters), _contributions(second, clusters)
    if one is None or other is None:
        return None
    return Spread(float(np.std(other - one, ddof=1)), len(one), _correlation(one, other))


def supposed_spread(
    pilot: Sequence[ErrorCounts], correlation: float, clusters: Sequence[str] | None = None
) -> Spread | None:
    """Returns the spread between the pilot and a system of equal spread and given correlation.

    Correlation 0 is a system that fails on quite other utterances: the largest spread to expect.

    Raises:
        ValueError: ``correlation`` is not in [0, 1], or ``clusters`` has another length.
    """
    if not 0 <= correlation <= 1:
        raise ValueError(f"expected a correlation from 0 to 1, got {correlation}")
    contributions = _contributions(pilot, clusters)
    if contributions is None:
        return None
    # Var(B - A) = Var(A) + Var(B) - 2 Cov(A, B)
    deviation = float(np.std(contributions, ddof=1)) * math.sqrt(2 * (1 - correlation))
    return Spread(deviation, len(contributions), correlation)


def _contributions(
    counts: Sequence[ErrorCounts], clusters: Sequence[str] | None
) -> NDArray[np.float64] | None:
    """Returns (errors - rate x length) / mean length by unit: the ratio's linear part."""
    errors, lengths = unit_totals([counts], clusters).T
    if len(errors) < FEWEST_UNITS or not lengths.any():
        return None
    rate = errors.sum() / lengths.sum()
    linear: NDArray[np.float64] = (errors - rate * lengths) / lengths.mean()
    return linear


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Returns Pearson's correlation; 0 where one of the two does not vary."""
    if not first.any() or not second.any():
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _quantiles(power: float, alpha: float) -> float:
    if not (0 < power < 1 and 0 < alpha < 1):
        raise ValueError(f"expected power and alpha between 0 and 1, got {power} and {alpha}")
    normal = NormalDist()
    return normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)
