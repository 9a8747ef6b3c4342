"""How sure a share of counted things is.

Owns Wilson's interval. It does not know what was counted.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple


class Share(NamedTuple):
    """``found`` of ``of`` as a fraction with its interval; all ``None`` of nothing."""

    value: float | None
    low: float | None
    high: float | None


def share(found: int, of: int, level: float = 0.95) -> Share:
    """Returns the share with Wilson's score interval, which holds for few and for none found.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference",
    JASA 22; Brown, Cai and DasGupta 2001 on why not the normal interval.

    >>> none_of_ten = share(0, 10)
    >>> none_of_ten.value, none_of_ten.low, round(none_of_ten.high, 3)
    (0.0, 0.0, 0.278)
    >>> share(0, 0)
    Share(value=None, low=None, high=None)
    """
    if not of:
        return Share(None, None, None)
    value = found / of
    z = NormalDist().inv_cdf((1 + level) / 2)
    shrunk = 1 + z**2 / of
    centre = (value + z**2 / (2 * of)) / shrunk
    half = z * math.sqrt(value * (1 - value) / of + z**2 / (4 * of**2)) / shrunk
    low = 0.0 if not found else centre - half
    high = 1.0 if found == of else centre + half
    return Share(value, low, high)
