"""Wilson's interval against published values."""

from __future__ import annotations

import pytest

from whisperlab.metric.proportion import Share, share


@pytest.mark.parametrize(
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", Statistics in
    # Medicine 17, table I, method 3
    ("found", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)  # fmt: skip
def test_the_interval_is_newcombe_s(found: int, of: int, low: float, high: float) -> None:
    computed = share(found, of)
    assert computed.value == found / of
    assert (computed.low, computed.high) == pytest.approx((low, high), abs=5e-5)


def test_all_reach_one_and_nothing_has_no_share() -> None:
    assert share(7, 7).high == 1.0
    assert share(0, 0) == Share(None, None, None)
