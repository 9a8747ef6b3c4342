"""How sure a pooled error rate is: bootstrap over utterances or clusters.

Owns the drawing of resamples and the way from resamples to bounds. It does not know where counts
come from, how an interval is shown, or pairs of runs (``paired.py``).

Bounds are the expanded percentile interval: the percentiles of the resampled rates, taken a little
farther out, so that for a mean the width is that of Student's interval. The plain percentile
interval is too short by a factor of sqrt((n - 1) / n) and by the normal quantile in place of t's: at
20 utterances it covers the truth in 92.0 % of datasets instead of 95 %, the expanded one in 94.3 %.
BCa and the studentised bootstrap are second-order accurate for a smooth statistic, but where two runs
of 100 utterances differ in five of them they covered 91 and 86 % (expanded: 96 %);
experiments/2026-11-24-intervals has the measurements.

Student's quantile has the degrees of freedom of the variance that is estimated. For utterances that is
their number less one. Clusters can be of very different size, and a variance that hangs on one large
speaker is known as badly as from few: their degrees of freedom are estimated from how unevenly the
clusters' residuals make up the variance (Pan and Wall 2002); 147 real speakers, one of whom has 45 of 265
utterances, so cover 94.9 % instead of 93.3 %. No interval can know of a speaker whom the sample lacks.

Source: Hesterberg 2015, "What Teachers Should Know About the Bootstrap", The American Statistician
69(4), section 4 ("expanded percentile interval"); Pan and Wall 2002, "Small-sample adjustments in using
the sandwich variance estimator in generalized estimating equations", Statistics in Medicine 21(10).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from whisperlab.metric.counts import ErrorCounts

RESAMPLES = 10_000
"""With 10,000 a 2.5 % bound moves by 2 % of a standard error from seed to seed."""

FEWEST_UNITS = 4
"""Of fewer no resample lies far enough out: a 95 % interval held the truth in 67.8 % of datasets of two utterances,
in 86.5 % of three, in 94.5 % of four (experiments/2026-11-24-intervals, table "few")."""

MANY_UNITS, UNITS_PER_KIND = 20_000, 20
"""From so many units on, and so many with the same counts, drawing how often each kind of unit occurs
is faster than drawing units (76 ns a kind against 5 ns a unit)."""

_DRAWS_PER_BLOCK = 100_000
"""Drawn units held at once: 1.6 MB of indices and gathered counts, so a block stays in cache."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided interval of a rate, as fractions, and how it was made.

    ``units`` is the number of things drawn: utterances, or clusters (speakers, sessions).
    """

    low: float
    high: float
    level: float
    resamples: int
    units: int


def interval(
    counts: Sequence[ErrorCounts],
    *,
    seed: int,
    clusters: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> Interval | None:
    """Returns the bootstrap interval of the pooled rate, or ``None`` when undefined.

    Utterances are drawn with replacement, as many as there are; errors and reference units of a
    draw are summed before they are divided. With ``clusters`` (one name per utterance) whole
    clusters are drawn: right when utterances of one speaker resemble each other. Resamples without
    a reference unit have no rate and are left out.

    The result depends on the order of ``counts``: sort by utterance id first. Undefined are fewer
    than four units (`FEWEST_UNITS`) and a corpus without reference units.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13; for WER:
    Bisani and Ney 2004, "Bootstrap estimates for confidence intervals in ASR performance
    evaluation"; for the bounds see the module.

    Raises:
        ValueError: ``clusters`` has another length than ``counts``, ``resamples`` is below 1, or
            ``level`` is outside (0, 1).

    >>> right, wrong = ErrorCounts(0, 0, 0, 10, 10), ErrorCounts(2, 0, 0, 10, 10)
    >>> wer = interval([right, wrong] * 50, seed=0)
    >>> 0.07 < wer.low < 0.1 < wer.high < 0.13
    True
    >>> interval([right], seed=0) is None
    True
    """
    check_arguments(resamples, level)
    totals = unit_totals([counts], clusters)
    units = len(totals)
    if units < FEWEST_UNITS or not totals[:, 1].any():
        return None
    errors, lengths = resampled_sums(totals, resamples, seed)
    defined = lengths > 0
    freedom = units - 1.0
    if units < len(counts):
        rate = totals[:, 0].sum() / totals[:, 1].sum()
        freedom = degrees_of_freedom(totals[:, 0] - rate * totals[:, 1])
    low, high = bounds(errors[defined] / lengths[defined], units, level, freedom)
    return Interval(low, high, level, resamples, units)


def check_arguments(resamples: int, level: float) -> None:
    """Raises ValueError unless there is a resample to draw and a level to reach."""
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(f"expected resamples >= 1 and 0 < level < 1, got {resamples} and {level}")


def unit_totals(
    runs: Sequence[Sequence[ErrorCounts]], clusters: Sequence[str] | None
) -> NDArray[np.int64]:
    """Returns errors and reference units of what is drawn, shape (n_units, 2 * n_runs).

    Columns are errors and length of the first run, then of the second, and so on. All runs are over
    the same utterances in the same order.

    Raises:
        ValueError: the runs or ``clusters`` differ in length.
    """
    sizes = {len(counts) for counts in runs}
    if len(sizes) != 1:
        raise ValueError(f"expected runs over the same utterances, got {sorted(sizes)} of them")
    totals = np.hstack(
        [
            np.array(
                [(count.errors, count.reference_length) for count in counts], dtype=np.int64
            ).reshape(-1, 2)
            for counts in runs
        ]
    )
    return totals if clusters is None else _sum_by_cluster(totals, clusters)


def _sum_by_cluster(totals: NDArray[np.int64], clusters: Sequence[str]) -> NDArray[np.int64]:
    if len(clusters) != len(totals):
        raise ValueError(
            f"expected one cluster per utterance, got {len(clusters)} for {len(totals)}"
        )
    number_of = {name: number for number, name in enumerate(dict.fromkeys(clusters))}
    summed = np.zeros((len(number_of), totals.shape[1]), dtype=np.int64)
    np.add.at(summed, [number_of[name] for name in clusters], totals)
    return summed


def resampled_sums(totals: NDArray[np.int64], resamples: int, seed: int) -> NDArray[np.int64]:
    """Returns each column's sum in every resample, shape (n_columns, resamples)."""
    generator = np.random.default_rng(seed)
    columns = np.ascontiguousarray(totals.T)
    units = len(totals)
    if units >= MANY_UNITS:
        kinds, repeats = np.unique(totals, axis=0, return_counts=True)
        if units > UNITS_PER_KIND * len(kinds):
            # Units of a kind are exchangeable: how often each kind is drawn is multinomial.
            drawn = generator.multinomial(units, repeats / units, size=resamples)
            return np.ascontiguousarray((drawn @ kinds).T)
    block = max(1, _DRAWS_PER_BLOCK // units)
    sums = np.empty((len(columns), resamples), dtype=np.int64)
    for start in range(0, resamples, block):
        stop = min(start + block, resamples)
        drawn = generator.integers(0, units, size=(stop - start, units))
        for row, column in enumerate(columns):
            sums[row, start:stop] = column.take(drawn).sum(axis=1)
    return sums


def degrees_of_freedom(residuals: NDArray[np.float64]) -> float:
    """Returns how well the variance of a sum is known from its units' ``residuals``, at least 1.

    For many residuals of a normal distribution their number less one; fewer where few of them make
    up the sum of squares. Never more than their number less one.

    >>> round(degrees_of_freedom(np.array([1.0, -1.0, 1.0, -1.0])), 6)
    3.0
    >>> round(degrees_of_freedom(np.array([9.0] + [0.1] * 99)), 1)
    2.1
    """
    squares = residuals**2
    most = len(squares) - 1.0
    fourth = float((squares**2).sum())
    if not fourth:
        return most
    # A normal residual's fourth moment is three times its variance squared.
    return min(most, max(1.0, 3 * float(squares.sum()) ** 2 / fourth - 1))


def effective_units(sizes: NDArray[np.int64]) -> float:
    """Returns how many units of equal size would know a mean as well as units of these ``sizes``.

    Source: Kish 1965, "Survey Sampling", section 8.2.

    >>> effective_units(np.array([10, 10, 10, 10])), effective_units(np.array([97, 1, 1, 1])) < 1.1
    (4.0, True)
    """
    weights = sizes.astype(np.float64)
    return float(weights.sum() ** 2 / (weights**2).sum())


def bounds(
    values: NDArray[np.float64], units: int, level: float, freedom: float | None = None
) -> tuple[float, float]:
    """Returns the expanded percentile bounds of resampled ``values`` of ``units`` drawn units.

    ``freedom`` are the degrees of freedom of Student's quantile, ``units`` - 1 when ``None``.

    The bounds are order statistics, so that a bound is on the same side of zero as `p_value` says.
    Below four units (`FEWEST_UNITS`) no percentile lies far enough out; the bounds are then the extremes.
    """
    ordered = np.sort(values)
    count = len(ordered)
    # ordinary tail -> Student's quantile -> the tail of the resamples that lies as far out
    tail = float(
        ndtr(_widening(units) * stdtrit(units - 1 if freedom is None else freedom, (1 - level) / 2))
    )
    rank = min(max(math.floor(tail * (count + 1)), 1), (count + 1) // 2)
    return float(ordered[rank - 1]), float(ordered[count - rank])


def p_value(values: NDArray[np.float64], units: int, freedom: float) -> float:
    """Returns the two-sided p of "zero is the truth": 1 - level of the interval that just reaches 0.

    Never below what ``len(values)`` resamples can show.
    """
    count = len(values)
    beyond = min(int((values <= 0).sum()), int((values >= 0).sum()))
    tail = (beyond + 1) / (count + 1)
    return min(1.0, 2 * float(stdtr(freedom, ndtri(min(tail, 0.5)) / _widening(units))))


def _widening(units: int) -> float:
    """sqrt(n / (n - 1)): resamples vary by 1 / n, an unbiased variance divides by n - 1."""
    return math.sqrt(units / (units - 1))
