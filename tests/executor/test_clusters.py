"""The benchmarks' real clusters on loopback: one worker killed, and still the run in one piece."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from whisperlab.executor.protocol import Part
from whisperlab.executor.slurm import SlurmExecutor

CLUSTERS = Path(__file__).parents[2] / "benchmarks" / "cluster"
REPLAY = ("engine=replay", "engine.default_text=one", "engine.seconds_per_utterance=0.4")
EMBEDDED = ("model=whisperlab-digits",)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "engine"), [("ray", REPLAY), ("slurm", REPLAY), ("ray", EMBEDDED)]
)
def test_a_real_cluster_gives_the_scores_of_one_piece(name: str, engine: tuple[str, ...]) -> None:
    ran = subprocess.run(
        [sys.executable, str(CLUSTERS / f"{name}.py"), *engine, "resamples=100"],
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    if ran.stderr.startswith("skipped: "):
        pytest.skip(ran.stderr.strip())
    assert ran.returncode == 0, ran.stderr
    assert "one worker killed" in ran.stdout


@pytest.mark.slow
def test_a_stop_while_an_array_is_submitted_to_a_real_slurm_leaves_nothing_in_its_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitit = pytest.importorskip("submitit", reason="pip install 'whisperlab[slurm]'")
    missing = [one for one in ("munged", "slurmctld", "slurmd", "srun") if which(one) is None]
    if missing:
        pytest.skip(f"not installed: {missing}")
    monkeypatch.syspath_prepend(str(CLUSTERS))
    slurm = import_module("slurm")

    submits = submitit.SlurmExecutor._submit_command

    def interrupted(self: Any, command: str) -> Any:
        submits(self, command)
        queued.append(jobs())
        raise KeyboardInterrupt

    def jobs() -> list[str]:
        asked = subprocess.run(["squeue", "--noheader"], capture_output=True, text=True, check=True)
        return asked.stdout.splitlines()

    monkeypatch.setattr(submitit.SlurmExecutor, "_submit_command", interrupted)
    queued: list[list[str]] = []
    parts = []
    for index in range(2):
        folder = tmp_path / "parts" / str(index)
        folder.mkdir(parents=True)
        parts.append(Part(index, ("sleep", "600"), folder / "worker.log"))
    with slurm.cluster() as environment:
        monkeypatch.setenv("SLURM_CONF", environment["SLURM_CONF"])
        with pytest.raises(KeyboardInterrupt):
            SlurmExecutor(poll_seconds=1.0).run(parts, lambda: None)
        assert queued[0]  # it had been submitted
        assert jobs() == []
