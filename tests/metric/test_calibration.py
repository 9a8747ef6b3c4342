"""The risk-coverage curve against hand-computed areas and a brute-force oracle."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlab.metric.calibration import CURVE_POINTS, RiskPoint, risk_coverage


def test_the_curve_is_the_pooled_rate_of_those_kept() -> None:
    # kept in order 0.9, 0.5, 0.2: 1/10, then 1/14, then 5/20
    found = risk_coverage([0.2, 0.9, 0.5], errors=[4, 1, 0], words=[6, 10, 4])
    assert found is not None
    assert found.curve == (
        RiskPoint(1 / 3, 0.1),
        RiskPoint(2 / 3, 1 / 14),
        RiskPoint(1.0, 0.25),
    )
    assert found.area == pytest.approx((0.1 + 1 / 14 + 0.25) / 3)
    # the best order: 0/4, 1/14, 5/20
    assert found.best == pytest.approx((0 + 1 / 14 + 0.25) / 3)
    assert found.overall == 0.25
    assert found.excess == pytest.approx(0.1 / 3)


def test_a_confidence_that_is_the_same_everywhere_comes_to_the_corpus_rate() -> None:
    found = risk_coverage([0.5] * 4, errors=[0, 1, 2, 3], words=[5, 5, 5, 5])
    assert found is not None
    assert found.area == found.overall == 0.3
    assert found.curve == (RiskPoint(1.0, 0.3),)


def test_utterances_without_reference_words_have_no_risk_and_one_utterance_no_order() -> None:
    assert risk_coverage([], [], []) is None
    assert risk_coverage([0.1, 0.9], errors=[1, 2], words=[0, 8]) is None
    found = risk_coverage([0.1, 0.9, 0.8], errors=[1, 2, 0], words=[0, 8, 8])
    assert found is not None
    assert found.utterances == 2


def test_sequences_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="expected as many errors and words as confidences"):
        risk_coverage([0.1], [1, 2], [1, 2])


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(1, 9)), min_size=2, max_size=300
    )
)
def test_the_area_is_the_mean_of_a_plain_loop_and_never_below_the_best(
    utterances: list[tuple[int, int, int]],
) -> None:
    confidences, errors, words = zip(*utterances, strict=True)
    found = risk_coverage(confidences, errors, words)
    assert found is not None
    risks = []
    for confidence in confidences:
        kept = [item for item in utterances if item[0] >= confidence]
        risks.append(sum(item[1] for item in kept) / sum(item[2] for item in kept))
    assert found.area == pytest.approx(sum(risks) / len(risks))
    assert found.best <= found.overall + 1e-12
    assert len(found.curve) <= CURVE_POINTS
    assert found.curve[-1] == RiskPoint(1.0, pytest.approx(found.overall))  # type: ignore[arg-type]
