"""The rules of a race, on planted outcomes whose best configuration is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom

from whisperlab.experiment.racing import (
    Block,
    Drop,
    Extent,
    Objective,
    Race,
    RaceRules,
    Reason,
    affordable,
)

WER_AND_SPEED = (Objective.WER, Objective.RTFX)


def outcomes(
    random: np.random.Generator, rates: list[float], utterances: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Errors (n_configurations, n_utterances) with a difficulty that all share, and words."""
    words = random.integers(5, 15, utterances)
    hard = random.uniform(0.5, 1.5, utterances)
    errors = [random.binomial(words, np.clip(rate * hard, 0, 1)) for rate in rates]
    return np.array(errors, dtype=np.float64), words.astype(np.float64)


def run(
    race: Race,
    errors: NDArray[np.float64],
    words: NDArray[np.float64],
    block: int = 4,
    costs: dict[Objective, list[float]] | None = None,
) -> list[Drop]:
    drops = []
    for start in range(0, len(words), block):
        part = slice(start, start + block)
        drops += race.add(Block(errors[race.alive, part], words[part]), costs)
    return drops


def test_the_planted_best_wins_and_is_dropped_in_at_most_alpha_of_races() -> None:
    random = np.random.default_rng(0)
    rates = [0.30, 0.20, 0.26, 0.21, 0.45, 0.60]
    races, lost, left = 120, 0, []
    for _ in range(races):
        errors, words = outcomes(random, rates, 120)
        race = Race(len(rates), RaceRules(tolerance=0.02, alpha=0.05))
        drops = run(race, errors, words)
        lost += any(drop.candidate == 1 for drop in drops)
        left.append(len(race.alive))
    assert lost <= binom.ppf(0.999, races, 0.05)
    assert np.median(left) <= 3  # the far ones have gone


def test_planted_ties_all_stay() -> None:
    random = np.random.default_rng(1)
    errors, words = outcomes(random, [0.25], 100)
    race = Race(5, RaceRules(tolerance=0.0, alpha=0.05))
    assert run(race, np.repeat(errors, 5, axis=0), words) == []
    assert race.alive == [0, 1, 2, 3, 4]
    assert race.best == 0


def settled_after(
    race: Race,
    errors: NDArray[np.float64],
    words: NDArray[np.float64],
    costs: dict[Objective, list[float]] | None = None,
) -> int | None:
    """Utterances after which the race was settled."""
    for start in range(0, len(words), 4):
        part = slice(start, start + 4)
        race.add(Block(errors[race.alive, part], words[part]), costs)
        if race.settled(costs) is not None:
            return start + 4
    return None


def test_a_race_of_equals_is_settled_early_where_the_tolerance_allows_it() -> None:
    errors, words = outcomes(np.random.default_rng(1), [0.25], 1000)
    errors = np.repeat(errors, 4, axis=0)
    extent = Extent(1000, 14)
    loose = settled_after(Race(4, RaceRules(0.02, 0.05), extent), errors, words)
    tight = settled_after(Race(4, RaceRules(0.005, 0.05), extent), errors, words)
    assert loose is not None
    assert tight is not None
    assert loose < 450 < tight < 900
    assert settled_after(Race(4, RaceRules(0.02, 0.05)), errors, words) is None


def test_who_is_worse_by_more_than_the_tolerance_is_settled_on_in_at_most_alpha_of_races() -> None:
    random = np.random.default_rng(5)
    words = np.full(200, 10.0)
    races, wrong = 100, 0
    for _ in range(races):
        errors = random.binomial(1, 0.1, (1, 200)) * np.ones((3, 1))
        errors[0, :8] = 10.0  # 4 points worse, all of it in 8 utterances
        errors[2, :8] = 10.0
        errors = errors[:, random.permutation(200)]
        race = Race(3, RaceRules(0.03, 0.05), Extent(200, 10))
        if settled_after(race, errors, words) is not None:
            wrong += race.recommended() != 1
        else:
            assert race.alive == [1]
    assert wrong <= binom.ppf(0.999, races, 0.05)


def test_a_cheaper_one_keeps_a_race_from_being_settled() -> None:
    errors = np.zeros((2, 400))
    errors[1, ::100] = 10.0  # a point worse, beyond the tolerance, in too few utterances for a drop
    words, rules = np.full(400, 10.0), RaceRules(0.005, 0.05, objectives=WER_AND_SPEED)
    dearer, cheaper = {Objective.RTFX: [1.0, 2.0]}, {Objective.RTFX: [2.0, 1.0]}
    assert settled_after(Race(2, rules, Extent(400, 10)), errors, words, dearer) is not None
    assert settled_after(Race(2, rules, Extent(400, 10)), errors, words, cheaper) is None


def test_the_same_outcomes_give_the_same_decisions() -> None:
    errors, words = outcomes(np.random.default_rng(2), [0.2, 0.3, 0.5], 80)
    rules = RaceRules(tolerance=0.01, alpha=0.05)
    assert run(Race(3, rules), errors, words) == run(Race(3, rules), errors, words)


def test_evidence_reaches_one_over_alpha_and_the_difference_is_against_the_best() -> None:
    errors = np.array([[0.0] * 24, [4.0] * 24])
    words = np.full(24, 10.0)
    race = Race(2, RaceRules(tolerance=0.05, alpha=0.05))
    (drop,) = run(race, errors, words)
    assert drop.candidate == 1
    assert drop.best == 0
    assert drop.reason is Reason.WORSE
    assert drop.e_value >= 20
    assert drop.difference == pytest.approx(0.4)


def test_a_little_worse_and_no_cheaper_is_dominated_a_little_worse_and_cheaper_stays() -> None:
    errors = np.zeros((3, 60))
    errors[1:, ::2] = 1.0  # 5 points worse, within the tolerance of 20
    words = np.full(60, 10.0)
    rules = RaceRules(tolerance=0.20, alpha=0.05, objectives=WER_AND_SPEED)
    race = Race(3, rules)
    costs = {Objective.RTFX: [1.0, 1.0, 0.5]}
    (drop,) = run(race, errors, words, costs=costs)
    assert (drop.candidate, drop.reason) == (1, Reason.DOMINATED)
    assert race.alive == [0, 2]
    assert race.recommended(costs) == 2  # within the tolerance of the best, and faster
    assert Race(3, RaceRules(0.2, 0.05)).recommended() is None


def test_an_unknown_cost_neither_dominates_nor_is_dominated() -> None:
    errors = np.zeros((2, 60))
    errors[1, ::2] = 1.0
    race = Race(2, RaceRules(tolerance=0.20, alpha=0.05, objectives=WER_AND_SPEED))
    costs = {Objective.RTFX: [float("nan"), 1.0]}
    assert run(race, errors, np.full(60, 10.0), costs=costs) == []
    assert race.recommended(costs) == 1  # the other's price is not known


def test_speech_without_words_decides_nothing() -> None:
    race = Race(2, RaceRules(tolerance=0.0, alpha=0.05))
    assert race.add(Block(np.array([[5.0], [0.0]]), np.array([0.0]))) == []
    assert race.best is None
    assert race.recommended() is None


def test_the_highest_rates_are_set_aside_and_nothing_is_claimed_of_them() -> None:
    race = Race(4, RaceRules(tolerance=0.0, alpha=0.05))
    race.add(Block(np.array([[1.0], [3.0], [0.0], [2.0]]), np.array([10.0])))
    drops = race.set_aside(2)
    assert [drop.candidate for drop in drops] == [3, 1]
    assert {drop.reason for drop in drops} == {Reason.UNAFFORDABLE}
    assert race.alive == [0, 2]
    assert race.set_aside(2) == []
    assert [drop.candidate for drop in race.set_aside(0)] == [0]  # one always stays
    assert race.alive == [2]


@given(st.integers(1, 200), st.integers(1, 60), st.floats(0, 5_000))
def test_the_pace_keeps_somebody_and_about_what_the_budget_pays(
    alive: int, blocks: int, budget: float
) -> None:
    spent, field = 0.0, alive
    for left in range(blocks, 0, -1):
        field = affordable(field, left, budget - spent)
        assert 1 <= field <= alive
        if field > budget - spent:
            break  # the runner stops here
        spent += field
    assert spent <= budget
