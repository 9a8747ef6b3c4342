"""A search whose blocks are run elsewhere: the decisions and counts of the one in this process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from ray_stand_in import StandIn
from replay_runs import race_content
from slurm_programs import write_programs

from whisperlab.errors import ConfigError
from whisperlab.experiment.ledger import Ledger, outcome_to_json, read_ledger
from whisperlab.search.searching import search

TEXTS = "one two three,one,three three three three three three three three three,six seven"
SPACE = (
    "engine=replay", "space=none", f"+space.engine.default_text=[{TEXTS}]", "dataset=demo_digits",
    "resamples=100", "batch_size=2",
)  # fmt: skip
SLOW = 0.05
"""Seconds an utterance takes: long enough to be killed in mid race."""
Content = dict[str, Any]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Content:
    folder = tmp_path_factory.mktemp("whole")
    search(*SPACE, f"search_dir={folder}")
    return race_content(folder)


def command(folder: Path, seconds: float, *overrides: str) -> list[str]:
    return [
        sys.executable, "-m", "whisperlab.search", *SPACE, *overrides,
        f"engine.seconds_per_utterance={seconds}", f"search_dir={folder}",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def slow_whole(tmp_path_factory: pytest.TempPathFactory) -> Content:
    folder = tmp_path_factory.mktemp("slow")
    subprocess.run(command(folder, SLOW), check=True, capture_output=True, timeout=300)
    return race_content(folder)


def until_recorded(process: subprocess.Popen[bytes], outcomes: Path, lines: int) -> None:
    deadline = time.monotonic() + 200
    while sum(one.read_bytes().count(b"\n") for one in outcomes.glob("*.jsonl")) < lines:
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_search_in_parts_loses_one_is_stopped_goes_on_and_is_the_search_in_one_piece(
    tmp_path: Path, slow_whole: Content
) -> None:
    folder = tmp_path / "parts"
    spread = command(folder, SLOW, "executor=local", "executor.workers=2")
    with subprocess.Popen(spread, stderr=subprocess.PIPE) as process:
        until_recorded(process, folder / "parts" / "1" / "outcomes", 3)
        children = psutil.Process(process.pid).children()
        (victim,) = [one for one in children if "shard.index=1" in one.cmdline()]
        victim.kill()
        until_recorded(process, folder / "parts" / "1" / "outcomes", 7)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=100)
    assert process.returncode == 143
    assert not any(one.is_running() for one in children)
    again = subprocess.run(spread, capture_output=True, text=True, check=False, timeout=300)
    assert again.returncode == 0, again.stderr
    assert "Recommended: engine.default_text=" in again.stdout
    assert race_content(folder) == slow_whole
    shares = [
        {(ledger.name, one.id) for ledger in place.iterdir() for one in read_ledger(ledger)}
        for place in sorted((folder / "parts").glob("*/outcomes"))
    ]
    assert len(shares) == 2
    assert all(shares)
    assert not shares[0] & shares[1]


def test_a_part_whose_command_has_gone_does_not_wait_for_ever(tmp_path: Path) -> None:
    folder, said = tmp_path / "parts" / "0", tmp_path / "said"
    part = command(folder, 0.0, "shard.count=2")
    starts = (
        "import pathlib, subprocess, time\n"
        f"subprocess.Popen({part!r}, stderr=open({str(said)!r}, 'w'))\n"
        f"while not any(one.stat().st_size for one in pathlib.Path({str(folder)!r}).glob('outcomes/*')):\n"
        "    time.sleep(0.05)"
    )
    subprocess.run([sys.executable, "-c", starts], check=True, capture_output=True, timeout=100)
    deadline = time.monotonic() + 60
    while "has gone; run the same command again" not in said.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_search_as_an_array_of_slurm_is_the_search_in_one_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Content
) -> None:
    pytest.importorskip("submitit", reason="needs submitit: pip install 'whisperlab[slurm]'")
    monkeypatch.setenv("PATH", f"{write_programs(tmp_path)}{os.pathsep}{os.environ['PATH']}")
    folder = tmp_path / "search"
    search(*SPACE, f"search_dir={folder}", "executor=slurm", "executor.poll_seconds=0.2")
    assert race_content(folder) == whole


@pytest.mark.parametrize(
    ("data", "counts"), [("dataset.subset=null", True), ("dataset.subset=6", False)]
)
def test_what_lies_beside_counts_if_it_is_of_the_same_data(
    tmp_path: Path, data: str, counts: bool
) -> None:
    part = tmp_path / "parts" / "0"
    search(*SPACE, data, f"search_dir={part}")
    for path in (part / "outcomes").iterdir():
        with Ledger(path) as ledger:
            ledger.replace(
                [outcome_to_json(replace(one, text="planted")) for one in read_ledger(path)]
            )
    search(*SPACE, f"search_dir={tmp_path}")
    texts = {text for heard in race_content(tmp_path)["heard"].values() for _, text, _ in heard}
    assert ("planted" in texts) is counts


@pytest.mark.slow
def test_a_search_on_ranks_of_torchrun_is_the_search_in_one_piece(
    tmp_path: Path, whole: Content
) -> None:
    search(*SPACE, f"search_dir={tmp_path}", "executor=torchrun")
    assert race_content(tmp_path) == whole


def test_a_search_on_actors_keeps_them_from_block_to_block_and_is_the_one_in_one_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Content
) -> None:
    ray = StandIn()
    monkeypatch.setitem(sys.modules, "ray", ray)
    search(*SPACE, f"search_dir={tmp_path}", "executor=ray")
    assert race_content(tmp_path) == whole
    assert len(ray.actors) == 2
    assert not any(actor.alive for actor in ray.actors)


def test_a_search_on_ray_itself_loses_an_actor_and_is_the_one_in_one_piece(
    tmp_path: Path, slow_whole: Content
) -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install 'whisperlab[ray]'")
    spread = command(tmp_path, SLOW, "executor=ray", "executor.address=local")
    environment = {**os.environ, "RAY_worker_niceness": "0"}
    with subprocess.Popen(spread, stderr=subprocess.PIPE, env=environment) as process:
        until_recorded(process, tmp_path / "outcomes", 4)
        children = psutil.Process(process.pid).children(recursive=True)
        next(one for one in children if "ray::Hand" in " ".join(one.cmdline())).kill()
        _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert race_content(tmp_path) == slow_whole


@pytest.mark.parametrize("executor", ["local", "slurm"])
def test_more_parts_than_run_at_once_are_refused(tmp_path: Path, executor: str) -> None:
    with pytest.raises(
        ConfigError, match=r"executor\.part_count: .* got 3 for executor\.workers=2"
    ):
        search(*SPACE, f"search_dir={tmp_path}", f"executor={executor}", "executor.part_count=3")


def test_memory_is_refused_where_it_cannot_be_measured(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="memory"):
        search(*SPACE, f"search_dir={tmp_path}", "executor=local", "search.objectives=[wer,memory]")
