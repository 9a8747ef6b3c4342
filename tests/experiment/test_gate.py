"""The gate's rule: shown no worse, shown worse, too small to tell, lost utterances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compared_runs import SAID, outcome, run, wrong

from whisperlab.errors import ConfigError
from whisperlab.experiment.gate import GateResult, Verdict, gate
from whisperlab.experiment.pairing import Choices
from whisperlab.experiment.result import RunResult
from whisperlab.metric.wer import WordErrorRate
from whisperlab.normalize.profile import Profile

RAW = Profile(name="raw", version="1")


def errors(*numbers: int) -> RunResult:
    return run(*[outcome(f"u{n:04}", wrong(number)) for n, number in enumerate(numbers)])


def held(new: RunResult, old: RunResult, max_delta: float = 0.01, **options: Any) -> GateResult:
    alpha = options.pop("alpha", 0.05)
    choices = Choices(resamples=2000, **options)
    return gate(new, old, RAW, [WordErrorRate()], choices, max_delta=max_delta, alpha=alpha)


OLD = errors(*[1] * 200)


def test_equal_runs_pass_even_where_nothing_may_be_lost() -> None:
    result = held(OLD, OLD, max_delta=0.0)
    assert (result.verdict, result.changed, result.utterances) == (Verdict.PASSED, 0, 200)


def test_a_run_that_is_shown_to_be_no_worse_than_allowed_passes() -> None:
    # 2 of 2,000 words more, upper bound about +0.2 %
    assert held(errors(2, 2, *[1] * 198), OLD).verdict is Verdict.PASSED


def test_a_better_run_passes() -> None:
    assert held(errors(*[0] * 20, *[1] * 180), OLD, max_delta=0.0).verdict is Verdict.PASSED


def test_a_run_that_is_shown_to_be_worse_than_allowed_is_a_regression() -> None:
    result = held(errors(*[3] * 100, *[1] * 100), OLD)
    assert result.verdict is Verdict.REGRESSION
    assert result.tested is not None
    assert result.tested.low > 0.01


def test_a_small_dataset_cannot_tell_and_says_how_many_would() -> None:
    # of 20 utterances 4 are worse and 3 better
    old = errors(*[1] * 20)
    result = held(errors(2, 2, 2, 2, 0, 0, 0, *[1] * 13), old)
    assert result.verdict is Verdict.INCONCLUSIVE
    # deviation of a difference is about sqrt(7 / 20) / 10 words: (2.486 x 0.06 / 0.01)^2
    assert result.units_needed == pytest.approx(222, abs=15)


def test_a_difference_beyond_the_margin_that_is_not_shown_is_no_regression() -> None:
    # significantly worse than equal, but not shown to be worse than allowed
    result = held(errors(*[2] * 12, *[1] * 188), OLD, max_delta=0.005)
    assert result.tested is not None
    assert 0 < result.tested.low < 0.005 < result.tested.value < result.tested.high
    assert result.verdict is Verdict.INCONCLUSIVE


def test_lost_utterances_fail_the_gate_whatever_the_rate() -> None:
    easy = run(*[outcome(f"u{n:04}", None if n == 0 else SAID) for n in range(200)])
    result = held(easy, OLD)
    assert (result.verdict, result.newly_lost) == (Verdict.LOST, ("u0000",))


def test_what_the_baseline_lost_as_well_does_not_count_against_the_run() -> None:
    lost = run(*[outcome(f"u{n:04}", None if n == 0 else wrong(1)) for n in range(200)])
    assert held(lost, lost).verdict is Verdict.PASSED


def test_one_utterance_cannot_tell() -> None:
    assert held(errors(1), errors(1)).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("few", [2, 3])
def test_two_or_three_utterances_show_nothing(few: int) -> None:
    better, worse = errors(*[1] * few), errors(*range(2, 2 + few))
    assert held(better, worse).verdict is Verdict.INCONCLUSIVE
    assert held(worse, better).verdict is Verdict.INCONCLUSIVE
    assert held(worse, worse).verdict is Verdict.PASSED
    assert held(worse, worse, max_delta=-0.01).verdict is Verdict.INCONCLUSIVE


def test_a_stricter_alpha_asks_for_more() -> None:
    new = errors(*[2] * 12, *[1] * 188)
    assert held(new, OLD, max_delta=0.0095, alpha=0.05).verdict is Verdict.PASSED
    assert held(new, OLD, max_delta=0.0095, alpha=0.001).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, float("nan")])
def test_an_alpha_that_means_nothing_is_refused(alpha: float) -> None:
    with pytest.raises(ConfigError, match="alpha"):
        held(OLD, OLD, alpha=alpha)


def test_a_run_that_is_worse_than_allowed_passes_in_at_most_alpha_of_datasets() -> None:
    # Truth: 6 % of utterances worse by one word of ten, 0.6 points; allowed are 0.6. 100 datasets:
    # sigma of a 5 % share 2.2 %.
    generator = np.random.default_rng(4)
    old = errors(*[1] * 150)
    passed = 0
    for _ in range(100):
        changed = generator.random(150) < 0.06
        result = held(errors(*(1 + changed.astype(int))), old, max_delta=0.006)
        passed += result.verdict is Verdict.PASSED
    assert passed / 100 <= 0.05 + 3 * 0.022
