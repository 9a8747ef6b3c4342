"""The aim of racing, over outcomes of real recordings that `experiments/2026-11-24-racing` keeps.

A dozen orders of the utterances in the quick suite, the finding's 200 in the slow one.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

FINDING = Path(__file__).parents[2] / "experiments" / "2026-11-24-racing"


@pytest.fixture(scope="module")
def replay() -> ModuleType:
    spec = importlib.util.spec_from_file_location("replay_of_races", FINDING / "replay.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["pocketsphinx", "digits"])
def test_a_race_finds_one_within_the_tolerance_for_a_third_of_the_work(
    replay: ModuleType, name: str
) -> None:
    table = replay.read(FINDING / f"{name}.csv")
    races = [replay.race(table, "shipped", seed, replay.SHARE) for seed in range(12)]
    assert np.mean([one["regret"] <= replay.TOLERANCE for one in races]) >= 0.95
    assert np.median([one["share"] for one in races]) <= 0.3
    assert not any(one["best_shown_worse"] for one in races)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pocketsphinx", "digits"])
def test_the_finding_s_figures_are_what_the_rules_do(
    replay: ModuleType, name: str, tmp_path: Path
) -> None:
    found = replay.replayed(replay.read(FINDING / f"{name}.csv"), 200)
    # Kept where it can be seen if it differs.
    (tmp_path / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    budgeted = found["replays"][0]
    assert budgeted["rule"] == "shipped"
    assert budgeted["within_half_a_point"] >= 0.95
    assert budgeted["median_share_of_work"] <= 0.3
    assert found == json.loads((FINDING / f"{name}.json").read_text(encoding="utf-8"))
