"""Percentiles by linear interpolation."""

from __future__ import annotations

import pytest

from whisperlab.metric.latency import percentile


@pytest.mark.parametrize(
    ("seconds", "percent", "expected"),
    [
        ([2.0], 99, 2.0),
        ([3.0, 1.0, 2.0], 50, 2.0),  # order does not matter
        ([float(n) for n in range(1, 21)], 95, 19.05),  # rank 1 + 19 * 0.95
        ([1.0, 2.0], 0, 1.0),
        ([1.0, 2.0], 100, 2.0),
    ],
)
def test_percentile_by_hand(seconds: list[float], percent: float, expected: float) -> None:
    assert percentile(seconds, percent) == pytest.approx(expected, abs=1e-12)


def test_percentile_of_nothing_is_none() -> None:
    assert percentile([], 50) is None
