"""The bootstrap interval: scipy and the normal approximation as oracles, determinism, edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap

from whisperlab.metric.bootstrap import Interval, interval
from whisperlab.metric.counts import ErrorCounts


def utterance(errors: int, words: int) -> ErrorCounts:
    return ErrorCounts(errors, 0, 0, reference_length=words, hypothesis_length=words)


def corpus(utterances: int, seed: int) -> list[ErrorCounts]:
    generator = np.random.default_rng(seed)
    return [
        utterance(int(generator.poisson(0.2 * words)), int(words))
        for words in generator.integers(1, 30, size=utterances)
    ]


def bounds(result: Interval | None) -> tuple[float, float]:
    assert result is not None
    return result.low, result.high


def test_bounds_are_scipys_of_the_ratio_of_sums() -> None:
    counts = corpus(200, seed=1)
    expected = bootstrap(
        ([count.errors for count in counts], [count.reference_length for count in counts]),
        lambda errors, words, axis: errors.sum(axis=axis) / words.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(2),
    ).confidence_interval
    # A 2.5 % quantile of 20,000 resamples has a Monte Carlo error of 0.02 standard errors; the
    # standard error here is about 0.009. Four of its sigmas, twice:
    tolerance = 4 * 2 * 0.02 * 0.009
    low, high = bounds(interval(counts, seed=3, resamples=20_000))
    assert low == pytest.approx(expected.low, abs=tolerance)
    assert high == pytest.approx(expected.high, abs=tolerance)


def test_bounds_of_a_large_corpus_are_the_normal_approximations() -> None:
    # 4,000 one-word utterances, one in four wrong: the rate is a proportion.
    counts = [utterance(1, 1), *[utterance(0, 1)] * 3] * 1000
    standard_error = (0.25 * 0.75 / 4000) ** 0.5
    low, high = bounds(interval(counts, seed=0))
    # 5 % of a standard error covers discreteness (1/4000) and Monte Carlo error.
    assert low == pytest.approx(0.25 - 1.96 * standard_error, abs=0.05 * standard_error + 1 / 8000)
    assert high == pytest.approx(0.25 + 1.96 * standard_error, abs=0.05 * standard_error + 1 / 8000)


def test_the_same_seed_gives_the_same_bounds_and_another_seed_others() -> None:
    counts = corpus(50, seed=4)
    assert interval(counts, seed=7) == interval(counts, seed=7)
    assert interval(counts, seed=7) != interval(counts, seed=8)


def test_the_order_of_equal_utterances_does_not_matter() -> None:
    counts = [utterance(1, 4), utterance(1, 4), utterance(0, 9)]
    assert interval(counts, seed=1) == interval([counts[1], counts[0], counts[2]], seed=1)


def test_a_higher_level_is_a_wider_interval_around_the_rate() -> None:
    counts = corpus(100, seed=5)
    rate = sum(count.errors for count in counts) / sum(count.reference_length for count in counts)
    low_95, high_95 = bounds(interval(counts, seed=1))
    low_50, high_50 = bounds(interval(counts, seed=1, level=0.5))
    assert low_95 < low_50 < rate < high_50 < high_95


def test_utterances_without_errors_have_no_width() -> None:
    assert bounds(interval([utterance(0, 5)] * 10, seed=0)) == (0.0, 0.0)


def test_insertions_of_an_empty_reference_count_in_the_numerator() -> None:
    hallucinated = ErrorCounts(0, 6, 0, reference_length=0, hypothesis_length=6)
    low, high = bounds(interval([utterance(0, 6), hallucinated] * 20, seed=0))
    assert low < 1.0 < high  # 6 insertions for every 6 words


def test_whole_clusters_are_drawn() -> None:
    # Every utterance of the one speaker is wrong, none of the other's: each resample holds
    # 0, 1 or 2 bad speakers, so the interval spans everything; utterances alone hide that.
    counts = [utterance(2, 2)] * 50 + [utterance(0, 2)] * 50
    speakers = ["bad"] * 50 + ["good"] * 50
    clustered = interval(counts, seed=0, clusters=speakers)
    assert clustered is not None
    assert (clustered.low, clustered.high, clustered.units) == (0.0, 1.0, 2)
    low, high = bounds(interval(counts, seed=0))
    assert 0.3 < low < high < 0.7


def test_clusters_are_the_sums_of_their_utterances() -> None:
    counts = [utterance(0, 3), utterance(2, 5), utterance(1, 4), utterance(0, 8)]
    summed = [counts[0] + counts[1] + counts[3], counts[2]]
    clusters = ["a", "a", "b", "a"]
    assert interval(counts, seed=3, clusters=clusters) == interval(summed, seed=3)


def test_one_resample_has_one_rate() -> None:
    low, high = bounds(interval(corpus(20, seed=3), seed=0, resamples=1))
    assert low == high


def test_clusters_of_one_utterance_each_change_nothing() -> None:
    counts = corpus(30, seed=6)
    names = [f"speaker{number}" for number in range(30)]
    assert interval(counts, seed=2, clusters=names) == interval(counts, seed=2)


@pytest.mark.parametrize(
    "counts",
    [[], [utterance(1, 4)], [utterance(0, 0)] * 5],
    ids=["nothing", "one utterance", "no reference words"],
)
def test_an_undefined_interval_is_none(counts: list[ErrorCounts]) -> None:
    assert interval(counts, seed=0) is None


def test_one_cluster_has_no_interval() -> None:
    assert interval(corpus(10, seed=1), seed=0, clusters=["same"] * 10) is None


def test_resamples_without_reference_words_are_left_out() -> None:
    # One of four resamples draws the empty reference twice and has no rate.
    empty = ErrorCounts(0, 1, 0, reference_length=0, hypothesis_length=1)
    assert bounds(interval([utterance(1, 4), empty], seed=0)) == (0.25, 0.5)


def test_a_corpus_larger_than_a_block_of_draws_is_resampled_too() -> None:
    counts = [utterance(1, 10), utterance(0, 10)] * 60_000
    low, high = bounds(interval(counts, seed=0, resamples=40))
    assert 0.049 < low < 0.05 < high < 0.051


@pytest.mark.parametrize(
    "wrong",
    [{"resamples": 0}, {"level": 0.0}, {"level": 1.0}, {"clusters": ["a"]}],
    ids=str,
)
def test_a_wrong_argument_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        interval(corpus(3, seed=0), seed=0, **wrong)  # type: ignore[arg-type]  # wrong on purpose
