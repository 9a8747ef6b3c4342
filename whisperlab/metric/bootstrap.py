"""How sure a pooled error rate is: percentile bootstrap over utterances or clusters.

Owns the resampling. It does not know where counts come from or how an interval is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whisperlab.metric.counts import ErrorCounts

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
    resamples: int = 10_000,
    level: float = 0.95,
) -> Interval | None:
    """Returns the percentile bootstrap interval of the pooled rate, or ``None`` when undefined.

    Utterances are drawn with replacement, as many as there are; errors and reference units of a
    draw are summed before they are divided. With ``clusters`` (one name per utterance) whole
    clusters are drawn: right when utterances of one speaker resemble each other. Resamples without
    a reference unit have no rate and are left out.

    The result depends on the order of ``counts``: sort by utterance id first. Undefined are fewer
    than two units (nothing varies) and a corpus without reference units.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13; for WER:
    Bisani and Ney 2004, "Bootstrap estimates for confidence intervals in ASR performance
    evaluation".

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
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(f"expected resamples >= 1 and 0 < level < 1, got {resamples} and {level}")
    # shape (n_units, 2): errors, reference units
    totals = np.array(
        [(count.errors, count.reference_length) for count in counts], dtype=np.int64
    ).reshape(-1, 2)
    if clusters is not None:
        totals = _sum_by_cluster(totals, clusters)
    units = len(totals)
    if units < 2 or not totals[:, 1].any():  # noqa: PLR2004 one unit never varies
        return None
    rates = _resampled_rates(totals, resamples, np.random.default_rng(seed))
    tail = (1 - level) / 2
    low, high = np.quantile(rates, (tail, 1 - tail))
    return Interval(float(low), float(high), level, resamples, units)


def _sum_by_cluster(totals: NDArray[np.int64], clusters: Sequence[str]) -> NDArray[np.int64]:
    if len(clusters) != len(totals):
        raise ValueError(
            f"expected one cluster per utterance, got {len(clusters)} for {len(totals)}"
        )
    number_of = {name: number for number, name in enumerate(dict.fromkeys(clusters))}
    summed = np.zeros((len(number_of), 2), dtype=np.int64)
    np.add.at(summed, [number_of[name] for name in clusters], totals)
    return summed


def _resampled_rates(
    totals: NDArray[np.int64], resamples: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Returns the rates of the resamples that have a reference unit, shape (<= resamples,)."""
    errors, lengths = np.ascontiguousarray(totals.T)
    units = len(totals)
    block = max(1, _DRAWS_PER_BLOCK // units)
    rates = []
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = generator.integers(0, units, size=(rows, units))
        drawn_errors = errors.take(drawn).sum(axis=1)  # shape (rows,)
        drawn_lengths = lengths.take(drawn).sum(axis=1)
        defined = drawn_lengths > 0
        rates.append(drawn_errors[defined] / drawn_lengths[defined])
    return np.concatenate(rates)
