"""Counts add; rates are never averaged."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from whisperlab.metric.counts import NO_ERRORS, ErrorCounts

NUMBER = st.integers(min_value=0, max_value=1000)
COUNTS = st.builds(ErrorCounts, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER)


@given(a=COUNTS, b=COUNTS, c=COUNTS)
def test_adding_is_pooling_in_any_order(a: ErrorCounts, b: ErrorCounts, c: ErrorCounts) -> None:
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert a + NO_ERRORS == a
    assert (a + b).errors == a.errors + b.errors


def test_the_rate_of_a_sum_weighs_by_length() -> None:
    short = ErrorCounts(1, 0, 0, reference_length=1, hypothesis_length=1)
    long = ErrorCounts(0, 0, 0, reference_length=9, hypothesis_length=9)
    assert (short + long).rate == 0.1  # the mean of the rates would be 0.5


@given(counts=COUNTS)
def test_only_a_corpus_without_reference_units_has_no_rate(counts: ErrorCounts) -> None:
    assert (counts.rate is None) == (counts.reference_length == 0)
