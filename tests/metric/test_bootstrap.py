"""The bootstrap interval: scipy, Student and the normal approximation as oracles, determinism, edges."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from scipy.stats import bootstrap, norm
from scipy.stats import t as student

from whisperlab.metric.bootstrap import Interval, degrees_of_freedom, interval
from whisperlab.metric.bootstrap import bounds as bootstrap_bounds
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


def test_bounds_are_scipys_percentiles_of_the_ratio_of_sums_a_little_farther_out() -> None:
    counts = corpus(20, seed=1)
    # Hesterberg 2015, section 4: the tail is Phi(sqrt(n / (n - 1)) t), here 1.6 % instead of 2.5 %.
    tail = norm.cdf(sqrt(20 / 19) * student.ppf(0.025, 19))
    assert tail == pytest.approx(0.0159, abs=0.0001)
    expected = bootstrap(
        ([count.errors for count in counts], [count.reference_length for count in counts]),
        lambda errors, words, axis: errors.sum(axis=axis) / words.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=100_000,
        confidence_level=1 - 2 * tail,
        method="percentile",
        rng=np.random.default_rng(2),
    ).confidence_interval
    # A 1.6 % quantile of 100,000 resamples has a Monte Carlo error of 0.01 standard errors; the
    # standard error here is about 0.027. Four of its sigmas, twice:
    tolerance = 4 * 2 * 0.01 * 0.027
    low, high = bounds(interval(counts, seed=3, resamples=100_000))
    assert low == pytest.approx(expected.low, abs=tolerance)
    assert high == pytest.approx(expected.high, abs=tolerance)


@pytest.mark.parametrize("utterances", [10, 30])
def test_the_width_for_a_proportion_of_few_utterances_is_students(utterances: int) -> None:
    counts = [utterance(1, 1), utterance(0, 1)] * (utterances // 2)
    low, high = bounds(interval(counts, seed=0, resamples=100_000))
    deviation = sqrt(0.25 * utterances / (utterances - 1))
    half = student.ppf(0.975, utterances - 1) * deviation / sqrt(utterances)
    # the resampled proportion is a multiple of 1 / n
    assert high - low == pytest.approx(2 * half, abs=1.01 / utterances)
    assert high - low > 2 * 1.96 * deviation / sqrt(utterances) * 0.98


def test_ninety_five_of_a_hundred_intervals_hold_the_truth_at_twenty_utterances() -> None:
    # The plain percentile interval covers 92.8 % here. 1,000 datasets: sigma 0.7 %.
    population = np.random.default_rng(9).poisson(3.0, size=500)
    words = np.random.default_rng(8).integers(4, 40, size=500)
    truth = population.sum() / words.sum()
    generator = np.random.default_rng(10)
    covered = 0
    for _ in range(1000):
        drawn = generator.integers(0, 500, size=20)
        counts = [utterance(int(population[i]), int(words[i])) for i in drawn]
        low, high = bounds(interval(counts, seed=0, resamples=1000))
        covered += low <= truth <= high
    assert 0.935 <= covered / 1000 <= 0.965


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
    counts = [utterance(1, 4), utterance(1, 4), utterance(0, 9), utterance(2, 5)]
    swapped = [counts[1], counts[0], *counts[2:]]
    assert bounds(interval(counts, seed=1)) == bounds(interval(swapped, seed=1))


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
    # Every utterance of two speakers is wrong, none of the others': a resample holds
    # 0 to 4 bad speakers, so the interval spans everything; utterances alone hide that.
    counts = [utterance(2, 2)] * 50 + [utterance(0, 2)] * 50
    speakers = [f"s{number // 25}" for number in range(100)]
    clustered = interval(counts, seed=0, clusters=speakers)
    assert clustered is not None
    assert (clustered.low, clustered.high, clustered.units) == (0.0, 1.0, 4)
    low, high = bounds(interval(counts, seed=0))
    assert 0.3 < low < high < 0.7


def test_clusters_are_the_sums_of_their_utterances() -> None:
    counts = [utterance(*one) for one in ((0, 3), (2, 5), (1, 4), (0, 8), (3, 9), (0, 7))]
    summed = [counts[0] + counts[1] + counts[3], *counts[2:3], *counts[4:]]
    clusters = ["a", "a", "b", "a", "c", "d"]
    found = interval(counts, seed=3, clusters=clusters)
    assert found is not None
    assert found == interval(summed, seed=3)


def test_one_resample_has_one_rate() -> None:
    low, high = bounds(interval(corpus(20, seed=3), seed=0, resamples=1))
    assert low == high


def test_clusters_of_one_utterance_each_change_nothing() -> None:
    counts = corpus(30, seed=6)
    names = [f"speaker{number}" for number in range(30)]
    assert interval(counts, seed=2, clusters=names) == interval(counts, seed=2)


@pytest.mark.parametrize(
    "counts",
    [[], [utterance(1, 4)], [utterance(1, 4), *[utterance(0, 4)] * 2], [utterance(0, 0)] * 5],
    ids=["nothing", "one utterance", "three", "no reference words"],
)
def test_an_undefined_interval_is_none(counts: list[ErrorCounts]) -> None:
    assert interval(counts, seed=0) is None


@pytest.mark.parametrize("few", [1, 2, 3])
def test_fewer_than_four_clusters_have_no_interval(few: int) -> None:
    names = [f"speaker{number % few}" for number in range(12)]
    assert interval(corpus(12, seed=1), seed=0, clusters=names) is None


def test_four_utterances_have_an_interval() -> None:
    low, high = bounds(interval([utterance(1, 4), utterance(0, 4)] * 2, seed=0))
    assert (low, high) == (0.0, 0.25)


def test_resamples_without_reference_words_are_left_out() -> None:
    # 81 of 256 resamples draw only empty references and have no rate. The bounds are the ends: the
    # one with words four times, and once beside three empty ones.
    empty = ErrorCounts(0, 1, 0, reference_length=0, hypothesis_length=1)
    assert bounds(interval([utterance(1, 4), empty, empty, empty], seed=0)) == (0.25, 1.0)


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


def test_many_utterances_of_few_kinds_have_the_bounds_of_single_draws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = corpus(400, seed=4) * 50  # 20,000 utterances
    quick = bounds(interval(counts, seed=0))
    monkeypatch.setattr("whisperlab.metric.bootstrap.MANY_UNITS", 10**9)
    drawn = bounds(interval(counts, seed=0))
    width = drawn[1] - drawn[0]
    # A 2.5 % bound moves by 2 % of a standard error from seed to seed, half a per cent of the width.
    assert quick == pytest.approx(drawn, abs=4 * 0.01 * width)
    assert quick != drawn  # another stream of random numbers, so this is no accident


def test_one_large_speaker_leaves_few_degrees_of_freedom() -> None:
    assert degrees_of_freedom(np.array([*[0.0] * 30, 1.0])) == 2.0  # 3 * 1 / 1 - 1
    assert degrees_of_freedom(np.array([1.0, -1.0] * 10)) == 19.0  # never more than units less one
    assert degrees_of_freedom(np.zeros(7)) == 6.0


def test_fewer_degrees_of_freedom_take_the_bounds_out_to_student_s_quantile() -> None:
    values = norm.ppf((np.arange(200_000) + 0.5) / 200_000)  # resamples of a standard normal
    for freedom in (4.0, 30.0):
        low, high = bootstrap_bounds(values, 31, 0.95, freedom)
        # of 200,000 order statistics the one next to the quantile
        assert high == pytest.approx(student.ppf(0.975, freedom) * sqrt(31 / 30), abs=2e-3)
        assert low == pytest.approx(-high)
    assert bootstrap_bounds(values, 31, 0.95) == bootstrap_bounds(values, 31, 0.95, 30.0)


def test_normal_residuals_have_nearly_as_many_degrees_of_freedom_as_units_less_one() -> None:
    residuals = np.random.default_rng(1).standard_normal(2_000)
    # the sample kurtosis of 2,000 normal numbers varies by sqrt(24 / 2000) = 0.11 around 3
    assert 1_700 < degrees_of_freedom(residuals) <= 1_999
