"""Effects on planted factorials: the truth is known to the last error."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import binom

from whisperlab.errors import ConfigError
from whisperlab.experiment.effects import Effect, Effects, effects
from whisperlab.metric.counts import ErrorCounts

LEVELS = {"precision": ("none", "int8"), "chain": ("none", "trim", "denoise"), "beam": ("1", "5")}
WORDS = 100


def planted(precision: str, chain: str, beam: str) -> float:
    """The true error rate of a cell: three main effects, and int8 is worse behind denoise."""
    rate = 0.20
    rate += 0.02 if precision == "int8" else 0.0
    rate += {"none": 0.0, "trim": -0.01, "denoise": 0.05}[chain]
    rate += -0.03 if beam == "5" else 0.0
    return rate + (0.04 if (precision, chain) == ("int8", "denoise") else 0.0)


def factorial() -> tuple[dict[str, list[str]], list[tuple[str, ...]]]:
    cells = list(itertools.product(*LEVELS.values()))
    return {name: [cell[axis] for cell in cells] for axis, name in enumerate(LEVELS)}, cells


def counts(errors: int) -> ErrorCounts:
    return ErrorCounts(errors, 0, 0, WORDS, WORDS)


def effect(found: Effects, *wanted: tuple[str, str]) -> Effect:
    names, levels = (tuple(part) for part in zip(*wanted, strict=True))
    (one,) = [one for one in found.found if (one.factors, one.levels) == (names, levels)]
    return one


def test_planted_effects_come_out_to_the_last_digit() -> None:
    factors, cells = factorial()
    runs = [[counts(round(WORDS * planted(*cell)))] * 5 for cell in cells]
    found = effects(factors, runs, resamples=50, seed=0)
    # int8: 2 points, and 4 more in a third of its cells.
    assert effect(found, ("precision", "int8")).value == pytest.approx(0.02 + 0.04 / 3)
    assert effect(found, ("chain", "trim")).value == pytest.approx(-0.01)
    assert effect(found, ("chain", "denoise")).value == pytest.approx(0.05 + 0.04 / 2)
    assert effect(found, ("beam", "5")).value == pytest.approx(-0.03)
    assert effect(found, ("precision", "int8"), ("chain", "denoise")).value == pytest.approx(0.04)
    for pair in (
        (("precision", "int8"), ("chain", "trim")),
        (("precision", "int8"), ("beam", "5")),
        (("chain", "denoise"), ("beam", "5")),
    ):
        assert effect(found, *pair).value == pytest.approx(0.0, abs=1e-12)
    assert len(found.found) == (1 + 2 + 1) + (2 + 1 + 2)
    assert all(one.references[0] in ("none", "1") for one in found.found)


def test_intervals_cover_the_planted_effect_as_often_as_they_promise() -> None:
    factors, cells = factorial()
    truth = {("precision", "int8"): 0.02 + 0.04 / 3, ("beam", "5"): -0.03}
    studies, covered = 60, dict.fromkeys(truth, 0)
    for study in range(studies):
        random = np.random.default_rng(study)
        shift = random.normal(0, 0.08, 60)  # how hard an utterance is, for every cell alike
        runs = [
            [
                counts(int(random.binomial(WORDS, min(max(planted(*cell) + one, 0), 1))))
                for one in shift
            ]
            for cell in cells
        ]
        found = effects(factors, runs, resamples=300, seed=study)
        for name, value in truth.items():
            one = effect(found, name)
            assert one.low is not None
            assert one.high is not None
            covered[name] += one.low <= value <= one.high
    for hits in covered.values():
        assert binom.ppf(0.001, studies, 0.95) <= hits


def test_what_is_hard_for_all_cells_widens_no_interval() -> None:
    factors, cells = factorial()
    random = np.random.default_rng(0)
    hard = random.integers(-15, 15, 50)
    runs = [[counts(round(WORDS * planted(*cell)) + int(one)) for one in hard] for cell in cells]
    one = effect(effects(factors, runs, resamples=200, seed=0), ("beam", "5"))
    assert one.low == pytest.approx(-0.03)
    assert one.high == pytest.approx(-0.03)


def test_a_missing_and_a_repeated_combination_are_named() -> None:
    factors, cells = factorial()
    runs = [[counts(1)] * 3 for _ in cells]
    short = {name: values[:-1] for name, values in factors.items()}
    with pytest.raises(ConfigError, match="no run with precision=int8 chain=denoise beam=5"):
        effects(short, runs[:-1], resamples=10, seed=0)
    twice = {name: [*values, values[0]] for name, values in factors.items()}
    with pytest.raises(ConfigError, match="two runs with precision=none chain=none beam=1"):
        effects(twice, [*runs, runs[0]], resamples=10, seed=0)


@pytest.mark.parametrize("few", [1, 3])
def test_too_few_utterances_have_an_effect_and_no_interval(few: int) -> None:
    runs = [[counts(10)] * few, [counts(4)] * few]
    found = effects({"beam": ["1", "5"]}, runs, resamples=10, seed=0)
    assert found.found[0].value == pytest.approx(-0.06)
    assert found.found[0].low is None
