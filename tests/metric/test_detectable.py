"""The smallest detectable difference: hand-computed spreads, and power where it is promised."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from whisperlab.metric.counts import ErrorCounts
from whisperlab.metric.detectable import Spread, paired_spread, supposed_spread
from whisperlab.metric.paired import difference


def utterance(errors: int, words: int = 10) -> ErrorCounts:
    return ErrorCounts(errors, 0, 0, reference_length=words, hypothesis_length=words)


def found(spread: Spread | None) -> Spread:
    assert spread is not None
    return spread


def test_the_spread_of_two_runs_is_that_of_their_differences() -> None:
    # differences per word 0, 0, 0.2, -0.2: standard deviation sqrt(0.08 / 3)
    first = [utterance(1), utterance(1), utterance(1), utterance(3)]
    second = [utterance(1), utterance(1), utterance(3), utterance(1)]
    assert found(paired_spread(first, second)).deviation == pytest.approx(sqrt(0.08 / 3))


def test_a_supposed_system_has_twice_the_variance_less_what_goes_together() -> None:
    pilot = [utterance(0), utterance(2)] * 10
    one = np.std([0.0, 0.2] * 10, ddof=1)
    assert found(supposed_spread(pilot, 0.0)).deviation == pytest.approx(sqrt(2) * one)
    assert found(supposed_spread(pilot, 0.5)).deviation == pytest.approx(one)
    assert found(supposed_spread(pilot, 1.0)).deviation == 0.0


def test_four_times_the_utterances_show_half_the_difference() -> None:
    spread = Spread(0.3, 50, 0.0)
    assert spread.smallest_difference(400) == pytest.approx(spread.smallest_difference(100) / 2)
    needed = spread.units_needed(spread.smallest_difference(400))
    assert needed in (400, 401)


def test_the_promised_power_is_reached() -> None:
    # 80 % of 400 simulated datasets; sigma 2 %, tolerance three of them
    generator = np.random.default_rng(3)
    errors = generator.poisson(1.5, size=2000)
    changed = (
        errors
        + generator.binomial(1, 0.1, size=2000)
        - np.minimum(errors, generator.binomial(1, 0.06, size=2000))
    )
    counts = [[utterance(int(e)) for e in run] for run in (errors, changed)]
    truth = (changed.sum() - errors.sum()) / 20_000
    needed = found(paired_spread(counts[0], counts[1])).units_needed(truth)
    significant = 0
    for _ in range(400):
        drawn = generator.integers(0, 2000, size=needed)
        first, second = ([run[i] for i in drawn] for run in counts)
        result = difference(first, second, seed=0, resamples=500)
        significant += result is not None and result.p <= 0.05
    assert significant / 400 == pytest.approx(0.8, abs=0.06)


def test_speakers_that_differ_as_a_whole_need_more_of_them() -> None:
    first = [utterance(1)] * 40
    second = [utterance(3)] * 10 + [utterance(1)] * 30
    speakers = [f"s{number // 10}" for number in range(40)]
    by_speaker = found(paired_spread(first, second, speakers))
    assert by_speaker.units == 4
    # one of four speakers differs by 20 words of 100: deviation 0.1 a speaker
    assert by_speaker.deviation == pytest.approx(0.1)
    assert by_speaker.smallest_difference(4) > 2 * found(
        paired_spread(first, second)
    ).smallest_difference(40)


@pytest.mark.parametrize(
    "counts",
    [[], [utterance(1)], [utterance(1), utterance(0), utterance(2)], [utterance(0, 0)] * 4],
    ids=str,
)
def test_too_little_to_know_a_spread_is_none(counts: list[ErrorCounts]) -> None:
    assert supposed_spread(counts, 0.0) is None
    assert paired_spread(counts, counts) is None


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="correlation"):
        supposed_spread([utterance(1)] * 3, 1.5)
    with pytest.raises(ValueError, match="power"):
        Spread(0.1, 10, 0.0).smallest_difference(10, power=1.0)
    with pytest.raises(ValueError, match="same utterances"):
        paired_spread([utterance(1), utterance(0)], [utterance(1)] * 3)
