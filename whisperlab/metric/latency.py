"""Percentiles of seconds.

Owns the definition of p50, p95 and p99. It does not know what was timed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def percentile(seconds: Sequence[float], percent: float) -> float | None:
    """Returns the percentile by linear interpolation between order statistics, ``None`` of nothing.

    With n values the p-th percentile stands at rank 1 + (n - 1) p / 100. Of 20 values p99 is
    nearly the slowest one: a small sample knows little about its tail.

    Source: Hyndman and Fan 1996, "Sample quantiles in statistical packages", definition 7.

    >>> percentile([0.1, 0.2, 0.3, 0.4, 0.5], 50)
    0.3
    >>> percentile([1.0, 2.0], 95)
    1.95
    >>> percentile([], 50) is None
    True
    """
    return float(np.percentile(seconds, percent)) if len(seconds) else None
