"""Spaces of configurations: products, lists, draws, and what is refused."""

from __future__ import annotations

import pytest

from whisperlab.errors import ConfigError
from whisperlab.search.space import combinations, drawn, listed

RANGES = {"engine": {"beam": {"low": 1e-40, "high": 1e-8, "log": True}}, "decode": {"beam_size": {"low": 1, "high": 8}}}  # fmt: skip


def test_a_product_holds_every_combination_once() -> None:
    found = combinations(
        {"model": ["tiny", "base"], "decode.beam_size": [1, 5], "preprocess": [[]]}
    )
    assert len(found) == len(set(found)) == 4
    assert ("model=base", "decode.beam_size=1", "preprocess=[]") in found


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"model": "tiny"}, r"space\.model: expected a list of values, got 'tiny'"),
        ({"decode": {"beam_size": []}}, r"space\.decode\.beam_size"),
        ({str(key): list(range(10)) for key in range(5)}, "at most 10000 combinations, got 100000"),
    ],
)
def test_a_space_without_values_or_without_end_is_refused(
    space: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        combinations(space)


def test_a_line_is_split_as_a_shell_would() -> None:
    assert listed(["model=tiny 'engine.path=/a b'"]) == [("model=tiny", "engine.path=/a b")]


def test_draws_lie_in_their_ranges_and_are_the_seed_s() -> None:
    pytest.importorskip("optuna")
    draws = drawn(RANGES, 16, seed=3)
    assert draws == drawn(RANGES, 16, seed=3)
    assert draws != drawn(RANGES, 16, seed=4)
    values = [dict(override.split("=") for override in draw) for draw in draws]
    beams = sorted(float(value["engine.beam"]) for value in values)
    assert 1e-40 <= beams[0] < 1e-30 < 1e-18 < beams[-1] <= 1e-8  # spread over the decades
    assert {int(value["decode.beam_size"]) for value in values} <= set(range(1, 9))


@pytest.mark.parametrize(
    "limits", [{"low": 1}, {"low": "a", "high": 2}, {"low": 1, "high": 2, "base": 3}, {"low": 2, "high": 1}]
)  # fmt: skip
def test_a_wrong_range_is_named(limits: dict[str, object]) -> None:
    pytest.importorskip("optuna")
    with pytest.raises(ConfigError, match=r"search\.ranges\.decode\.beam_size"):
        drawn({"decode": {"beam_size": limits}}, 4, seed=0)
