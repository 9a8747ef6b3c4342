"""The paired bootstrap: scipy and the t test as oracles, consistency of interval and p, ranking."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, ttest_rel

from whisperlab.metric.counts import ErrorCounts
from whisperlab.metric.paired import Difference, difference, tie_groups


def utterance(errors: int, words: int = 10) -> ErrorCounts:
    return ErrorCounts(errors, 0, 0, reference_length=words, hypothesis_length=words)


def found(result: Difference | None) -> Difference:
    assert result is not None
    return result


def pair(utterances: int, seed: int, worse: float) -> tuple[list[ErrorCounts], list[ErrorCounts]]:
    generator = np.random.default_rng(seed)
    words = generator.integers(3, 30, size=utterances)
    first = generator.poisson(0.15 * words)
    second = first + generator.binomial(2, worse, size=utterances)
    return (
        [utterance(int(e), int(n)) for e, n in zip(first, words, strict=True)],
        [utterance(int(e), int(n)) for e, n in zip(second, words, strict=True)],
    )


def test_the_value_is_the_second_rate_minus_the_first() -> None:
    result = found(
        difference([utterance(1), utterance(3)] * 2, [utterance(2), utterance(1)] * 2, seed=0)
    )
    assert result.value == pytest.approx(3 / 20 - 4 / 20)
    assert result.low < 0 < result.high


def test_bounds_are_scipys_paired_bootstrap_of_the_difference() -> None:
    first, second = pair(300, seed=1, worse=0.1)
    expected = bootstrap(
        (
            [count.errors for count in first],
            [count.errors for count in second],
            [count.reference_length for count in first],
        ),
        lambda one, other, words, axis: (
            (other.sum(axis=axis) - one.sum(axis=axis)) / words.sum(axis=axis)
        ),
        paired=True,
        vectorized=True,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(2),
    ).confidence_interval
    result = found(difference(first, second, seed=3, resamples=20_000))
    # four sigmas of a 2.5 % quantile's Monte Carlo error, twice, and 1 % for the expanded bounds
    error = (expected.high - expected.low) / 4
    assert result.low == pytest.approx(expected.low, abs=(0.16 + 0.02) * error)
    assert result.high == pytest.approx(expected.high, abs=(0.16 + 0.02) * error)


def test_p_is_the_paired_t_tests_where_all_utterances_have_equal_length() -> None:
    generator = np.random.default_rng(5)
    first = 1 + generator.poisson(2.0, size=400)
    second = first + generator.integers(-1, 2, size=400)
    expected = ttest_rel(second, first).pvalue
    assert 0.02 < expected < 0.98
    result = found(
        difference([utterance(int(e)) for e in first], [utterance(int(e)) for e in second], seed=1)
    )
    assert result.p == pytest.approx(expected, abs=0.03)


def test_runs_that_swap_places_swap_the_sign() -> None:
    first, second = pair(80, seed=2, worse=0.1)
    forth, back = (
        found(difference(first, second, seed=4)),
        found(difference(second, first, seed=4)),
    )
    assert (forth.value, forth.low, forth.high) == (-back.value, -back.high, -back.low)
    assert forth.p == back.p


def test_what_is_hard_for_both_cancels_out() -> None:
    # errors of 0 to 9 per utterance, but the second run has exactly one more in every utterance
    first = [utterance(number % 10, 20) for number in range(100)]
    second = [utterance(number % 10 + 1, 20) for number in range(100)]
    result = found(difference(first, second, seed=0))
    assert result.low == pytest.approx(0.05)
    assert result.high == pytest.approx(0.05)


def test_equal_runs_do_not_differ() -> None:
    first, _ = pair(50, seed=6, worse=0.0)
    result = found(difference(first, first, seed=0))
    assert (result.value, result.low, result.high, result.p) == (0.0, 0.0, 0.0, 1.0)


def test_p_is_never_below_what_the_resamples_can_show() -> None:
    # with 20 units Student's tail of the smallest share of 100 resamples
    result = found(difference([utterance(0)] * 20, [utterance(5)] * 20, seed=0, resamples=100))
    assert 0.02 < result.p < 0.06


@settings(max_examples=60, deadline=None)
@given(
    edits=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=5, max_size=40),
    seed=st.integers(0, 5),
)
def test_the_interval_excludes_zero_exactly_where_p_is_significant(
    edits: list[tuple[int, int]], seed: int
) -> None:
    first = [utterance(one) for one, _ in edits]
    second = [utterance(other) for _, other in edits]
    result = found(difference(first, second, seed=seed, resamples=2000))
    assert (result.low > 0 or result.high < 0) == (result.p <= 0.05)


def test_speakers_are_drawn_whole() -> None:
    # All of the difference is one speaker's: over utterances significant, over speakers not.
    first = [utterance(0)] * 40
    second = [utterance(2)] * 10 + [utterance(0)] * 30
    speakers = [f"s{number // 10}" for number in range(40)]
    assert found(difference(first, second, seed=0)).p < 0.01
    clustered = found(difference(first, second, seed=0, clusters=speakers))
    assert clustered.units == 4
    assert clustered.p > 0.2


@pytest.mark.parametrize(
    ("speakers", "large", "worth", "few"), [(60, 4, 52.92, False), (40, 8, 21.45, True)]
)
def test_one_large_speaker_makes_few_of_many(
    speakers: int, large: int, worth: float, few: bool
) -> None:
    # one utterance of 10 words a speaker, of the first speaker ``large``: (4 + 59)^2 / (4^2 + 59)
    names = ["first"] * large + [f"s{number}" for number in range(speakers - 1)]
    counts = [utterance(number % 2) for number in range(len(names))]
    result = found(difference(counts, counts[::-1], seed=0, clusters=names))
    assert result.effective_units == pytest.approx(worth, abs=0.01)
    assert result.has_few_clusters is few


def test_utterances_are_never_few_clusters() -> None:
    result = found(difference([utterance(1)] * 4, [utterance(0)] * 4, seed=0))
    assert (result.effective_units, result.has_few_clusters) == (None, False)


def test_references_of_different_length_are_divided_by_their_own() -> None:
    # a profile that takes an alternative reference gives the second run another word count
    result = found(difference([utterance(1, 10)] * 5, [utterance(1, 8)] * 5, seed=0))
    assert result.value == pytest.approx(1 / 8 - 1 / 10)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([], []),
        ([utterance(1)], [utterance(0)]),
        ([utterance(1)] * 3, [utterance(0)] * 3),
        ([utterance(0, 0)] * 4, [utterance(0, 0)] * 4),
    ],
    ids=["nothing", "one utterance", "three", "no reference words"],
)
def test_an_undefined_difference_is_none(
    first: list[ErrorCounts], second: list[ErrorCounts]
) -> None:
    assert difference(first, second, seed=0) is None


def test_runs_over_different_utterances_are_refused() -> None:
    with pytest.raises(ValueError, match="same utterances"):
        difference([utterance(1)] * 3, [utterance(1)] * 4, seed=0)


def test_runs_that_cannot_be_told_apart_share_a_group() -> None:
    best, same = pair(300, seed=7, worse=0.0)
    _, worse = pair(300, seed=7, worse=0.5)
    nearly = [same[0] + ErrorCounts(1, 0, 0, 0, 0), *same[1:]]
    assert tie_groups([worse, best, nearly], seed=0) == ((1, 2), (0,))


def test_a_single_run_is_its_own_group() -> None:
    assert tie_groups([[utterance(1)] * 5], seed=0) == ((0,),)


def test_many_pairs_are_held_to_a_stricter_p() -> None:
    # p of this pair lies between 0.05 / 6 and 0.05: enough for two runs, not among four equal ones
    first = [utterance(1)] * 40
    second = [utterance(2)] * 8 + [utterance(0)] + [utterance(1)] * 31
    assert 0.05 / 6 < found(difference(first, second, seed=0)).p < 0.05
    assert tie_groups([first, second], seed=0) == ((0,), (1,))
    assert tie_groups([first, second, first, first], seed=0) == ((0, 2, 3, 1),)


def test_a_run_without_reference_words_cannot_be_ranked() -> None:
    with pytest.raises(ValueError, match="reference units"):
        tie_groups([[utterance(1)] * 3, [utterance(0, 0)] * 3], seed=0)
