"""The benchmarks' real clusters on loopback: one worker killed, and still the run in one piece."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CLUSTERS = Path(__file__).parents[2] / "benchmarks" / "cluster"
REPLAY = ("engine=replay", "engine.default_text=one", "engine.seconds_per_utterance=0.4")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ray", "slurm"])
def test_a_real_cluster_gives_the_scores_of_one_piece(name: str) -> None:
    ran = subprocess.run(
        [sys.executable, str(CLUSTERS / f"{name}.py"), *REPLAY, "resamples=100"],
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    if ran.stderr.startswith("skipped: "):
        pytest.skip(ran.stderr.strip())
    assert ran.returncode == 0, ran.stderr
    assert "one worker killed" in ran.stdout
