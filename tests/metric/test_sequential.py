"""The sequential test: its arithmetic by hand, its error under every look, its power."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from whisperlab.metric.sequential import STAKES, NearBets, PairwiseBets, log_mean_against

ALPHA = 0.05
Floats = NDArray[np.float64]


def test_the_capital_is_the_mean_over_stakes_of_the_products_of_the_bets() -> None:
    bets = PairwiseBets(count=2, margin=0.1)
    errors = np.array([[3.0, 0.0, 2.0], [1.0, 1.0, 2.0]])
    bets.add(errors, np.array([10.0, 20.0, 5.0]), [0, 1])
    # differences of the suspect 0 less a tenth of the words: 2 - 1, -1 - 2, 0 - 0.5
    by_hand = np.mean(
        [
            math.prod(1 + math.tanh(stake * difference) for difference in (1.0, -3.0, -0.5))
            for stake in STAKES
        ]
    )
    assert math.exp(bets.log_capital()[0, 1]) == pytest.approx(by_hand, rel=1e-12)


def test_who_has_left_is_bet_on_no_longer() -> None:
    bets = PairwiseBets(count=3, margin=0.0)
    bets.add(np.array([[1.0], [0.0], [2.0]]), np.array([5.0]), [0, 1, 2])
    before = bets.log_capital()
    bets.add(np.array([[4.0], [0.0]]), np.array([5.0]), [0, 1])
    after = bets.log_capital()
    assert after[0, 1] > before[0, 1]
    assert (after[2] == before[2]).all()
    assert (after[:, 2] == before[:, 2]).all()


def ever_rejects(random: np.random.Generator, lean: float, looks: int) -> bool:
    """One pair with the same hidden difficulty; the suspect errs with probability + ``lean``."""
    bets = PairwiseBets(count=2, margin=0.0)
    words = random.integers(5, 15, looks).astype(float)
    hard = random.beta(2, 4, looks)
    for look in range(looks):
        rates = np.clip([hard[look] + lean, hard[look]], 0, 1)
        errors = random.binomial(int(words[look]), rates)[:, None].astype(float)
        bets.add(errors, words[look : look + 1], [0, 1])
        if bets.log_capital()[0, 1] >= -math.log(ALPHA):
            return True
    return False


def test_equal_configurations_are_told_apart_in_at_most_alpha_of_races_at_any_look() -> None:
    random = np.random.default_rng(0)
    races = 400
    rejected = sum(ever_rejects(random, 0.0, looks=60) for _ in range(races))
    # More than this many would be seen once in a thousand tries at exactly alpha.
    assert rejected <= binom.ppf(0.999, races, ALPHA)


def test_a_worse_configuration_is_found_out() -> None:
    random = np.random.default_rng(1)
    assert sum(ever_rejects(random, 0.15, looks=60) for _ in range(50)) >= 45


def test_a_suspect_worse_by_less_than_the_margin_is_left_alone() -> None:
    random = np.random.default_rng(2)
    bets = PairwiseBets(count=2, margin=0.2)
    words = np.full(300, 10.0)
    errors = np.array([random.binomial(10, 0.35, 300), random.binomial(10, 0.25, 300)])
    bets.add(errors.astype(float), words, [0, 1])
    assert bets.log_capital()[0, 1] < 0
    strict = PairwiseBets(count=2, margin=0.0)
    strict.add(errors.astype(float), words, [0, 1])
    assert strict.log_capital()[0, 1] > -math.log(ALPHA)


def test_the_mean_counts_closed_bets_as_lost() -> None:
    log_capital = np.log(np.array([[1.0, 8.0, 4.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]))
    np.fill_diagonal(log_capital, -np.inf)
    everyone = ~np.eye(3, dtype=bool)
    only_second = everyone & np.array([[False, True, False]] * 3)
    assert math.exp(log_mean_against(log_capital, everyone)[0]) == pytest.approx(6.0)
    assert math.exp(log_mean_against(log_capital, only_second)[0]) == pytest.approx(4.0)
    nobody = np.zeros((3, 3), dtype=bool)
    assert (log_mean_against(log_capital, nobody) == -np.inf).all()


def said_near_at_any_look(errors: Floats, words: Floats, margin: float) -> bool:
    """True when the bets ever say that the first is worse than the second by at most ``margin``."""
    bets = NearBets(2, margin, len(words), float(words.max()))
    for look in range(0, len(words), 4):
        bets.add(errors[:, look : look + 4], words[look : look + 4], [0, 1])
        if bets.log_capital()[0, 1] >= -math.log(ALPHA):
            return True
    return False


@pytest.mark.parametrize(("per_failure", "failures"), [(1.0, 5), (0.25, 20)])
def test_one_that_fails_totally_in_rare_utterances_is_not_said_to_be_near(
    per_failure: float, failures: int
) -> None:
    random = np.random.default_rng(3)
    words = np.full(100, 10.0)
    errors = np.zeros((2, 100))
    errors[0, :failures] = 10.0 * per_failure
    assert errors[0].sum() / words.sum() > 0.045
    races = 150
    wrong = sum(
        said_near_at_any_look(errors[:, random.permutation(100)], words, margin=0.045)
        for _ in range(races)
    )
    assert wrong <= binom.ppf(0.999, races, ALPHA)


def test_noisy_ones_beyond_the_margin_are_said_to_be_near_in_at_most_alpha_of_races() -> None:
    random = np.random.default_rng(4)
    races, wrong = 150, 0
    for _ in range(races):
        words = random.integers(3, 15, 100).astype(float)
        errors = np.array([random.binomial(words.astype(int), rate) for rate in (0.25, 0.2)])
        margin = (errors[0] - errors[1]).sum() / words.sum() - 0.001
        wrong += said_near_at_any_look(errors.astype(float), words, margin)
    assert wrong <= binom.ppf(0.999, races, ALPHA)


def test_equals_are_said_to_be_near_before_the_data_end() -> None:
    bets = NearBets(2, 0.02, 400, 10.0)
    errors, words = np.ones((2, 200)), np.full(200, 10.0)
    bets.add(errors, words, [0, 1])
    assert bets.log_capital()[0, 1] > -math.log(ALPHA)
    # The rest could not make up for it, were it wholly wrong.
    strict = NearBets(2, 0.06, 205, 10.0)
    strict.add(errors, words, [0, 1])
    assert math.isinf(strict.log_capital()[0, 1])
    # Insertions without end count as one utterance that is wholly wrong.
    errors[0, 0] = 1000.0
    capped = NearBets(2, 0.06, 205, 10.0)
    capped.add(errors, words, [0, 1])
    assert math.isinf(capped.log_capital()[0, 1])
