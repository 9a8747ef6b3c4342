"""Whether a confidence knows where the errors are: the risk-coverage curve and its area.

Owns the curve. It does not know which figure of an engine is taken for the confidence.

Utterances are kept in order of falling confidence; the risk is the pooled error rate of those kept. A
confidence that knows something has its errors at the end: the curve lies below the corpus rate until
everything is kept. The area under it is the mean risk over all coverages, between that of the best
order there is (by the true error rates) and the corpus rate, which is what a confidence that knows
nothing comes to.

Source: El-Yaniv and Wiener 2010, "On the foundations of noise-free selective classification", JMLR 11;
Geifman, Uziel and El-Yaniv 2019 (area, and its excess over the best).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST_UTTERANCES = 2
"""One utterance has no order."""

CURVE_POINTS = 101
"""One point a per cent of coverage is what a plot can show."""


@dataclass(frozen=True, slots=True)
class RiskPoint:
    """``risk`` is the error rate of the ``coverage`` (both fractions) that is kept."""

    coverage: float
    risk: float


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """The curve of ``utterances``, thinned to `CURVE_POINTS`, and areas over all of it.

    ``area`` lies between ``best`` and, unless the confidence is worse than chance, ``overall``.
    """

    utterances: int
    area: float
    best: float
    overall: float
    curve: tuple[RiskPoint, ...]

    @property
    def excess(self) -> float:
        """Area beyond the best: 0 for a confidence that orders the utterances by their errors."""
        return self.area - self.best


def risk_coverage(
    confidences: Sequence[float], errors: Sequence[int], words: Sequence[int]
) -> RiskCoverage | None:
    """Returns the curve of utterances with reference words, ``None`` with fewer than two of them.

    Utterances of equal confidence come and go together: their order says nothing.

    Raises:
        ValueError: the sequences differ in length.

    >>> sure_of_the_right_ones = risk_coverage([0.9, 0.8, 0.1], [0, 0, 3], [10, 10, 10])
    >>> sure_of_the_right_ones.overall, round(sure_of_the_right_ones.area, 4)
    (0.1, 0.0333)
    >>> sure_of_the_right_ones.excess
    0.0
    >>> risk_coverage([0.9], [0], [10]) is None
    True
    """
    if not len(confidences) == len(errors) == len(words):
        raise ValueError(
            f"expected as many errors and words as confidences, got {len(errors)} and "
            f"{len(words)} for {len(confidences)}"
        )
    counted = np.array([errors, words], dtype=np.int64).T
    spoken = counted[:, 1] > 0
    counted, order = counted[spoken], np.asarray(confidences, dtype=float)[spoken]
    if len(counted) < FEWEST_UTTERANCES:
        return None
    coverages, risks = _curve(order, counted)
    best = _curve(-counted[:, 0] / counted[:, 1], counted)
    chosen = np.unique(np.linspace(0, len(coverages) - 1, CURVE_POINTS).round().astype(int))
    return RiskCoverage(
        utterances=len(counted),
        area=_area(coverages, risks),
        best=_area(*best),
        overall=float(counted[:, 0].sum() / counted[:, 1].sum()),
        curve=tuple(RiskPoint(float(coverages[at]), float(risks[at])) for at in chosen),
    )


def _area(coverages: NDArray[np.float64], risks: NDArray[np.float64]) -> float:
    """Returns the mean risk over all utterances' coverages: each counts with its group's."""
    return float((np.diff(coverages, prepend=0.0) * risks).sum())


def _curve(
    confidences: NDArray[np.float64], counted: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns coverage and risk behind each group of equal confidence, the surest first."""
    falling = np.argsort(-confidences, kind="stable")
    ordered = confidences[falling]
    sums = counted[falling].cumsum(axis=0)
    last_of_group = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    return (last_of_group + 1) / len(ordered), sums[last_of_group, 0] / sums[last_of_group, 1]
