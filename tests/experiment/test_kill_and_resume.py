"""kill -9 at a random moment, then the same command: the result is an uninterrupted run's."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from replay_runs import content

BATCH_SIZE = 2
REPLAY = (
    "engine=replay", "engine.default_text=hello there", "engine.seconds_per_utterance=0.06",
    "dataset=demo",
)  # fmt: skip
SLOW_REPLAY = (*REPLAY, "engine.seconds_per_utterance=5")
POCKETSPHINX = ("engine=pocketsphinx", "dataset=demo_digits")


def command(run_dir: Path, *engine: str) -> list[str]:
    return [
        sys.executable, "-m", "whisperlab.eval", *engine, f"batch_size={BATCH_SIZE}",
        "latency_utterances=0", "resamples=100", f"run_dir={run_dir}",
    ]  # fmt: skip


def run(run_dir: Path, *engine: str) -> None:
    finished = subprocess.run(
        command(run_dir, *engine), capture_output=True, text=True, timeout=300, check=False
    )
    assert finished.returncode == 0, finished.stderr


def kill_in_mid_run(run_dir: Path, chance: random.Random, *engine: str) -> int:
    """Starts the command, kills it after a random number of new records; returns complete ones."""
    ledger = run_dir / "ledger.jsonl"
    before = ledger.read_bytes().count(b"\n") if ledger.exists() else 0
    wanted = before + chance.randrange(0, 8)
    process = subprocess.Popen(
        command(run_dir, *engine), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if ledger.exists() and ledger.read_bytes().count(b"\n") > wanted:
            time.sleep(chance.random() * 0.03)
            break
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return ledger.read_bytes().count(b"\n") if ledger.exists() else 0


def campaign(tmp_path: Path, kills: int, *engine: str) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run(whole, *engine)
    chance = random.Random(kills)
    kept = [0]
    for _ in range(kills):
        kept.append(kill_in_mid_run(killed, chance, *engine))
    run(killed, *engine)
    assert kept == sorted(kept)  # nothing recorded is ever lost
    assert kept[-1] > 0
    assert content(killed) == content(whole)
    ids = [record["id"] for record in content(killed)["records"]]
    assert len(ids) == len(set(ids))


def test_three_kills_leave_no_trace_in_the_result(tmp_path: Path) -> None:
    campaign(tmp_path, 3, *REPLAY)


@pytest.mark.slow
def test_twenty_kills_leave_no_trace_in_the_result(tmp_path: Path) -> None:
    campaign(tmp_path, 20, *REPLAY)


@pytest.mark.slow
def test_kills_of_a_real_recogniser_leave_no_trace_in_the_result(tmp_path: Path) -> None:
    campaign(tmp_path, 3, *POCKETSPHINX)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_says_so_by_its_code_and_resumes(
    tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    run_dir = tmp_path / "run"
    process = subprocess.Popen(
        command(run_dir, *REPLAY), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    ledger = run_dir / "ledger.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (ledger.exists() and ledger.stat().st_size):
        time.sleep(0.005)
    process.send_signal(sent)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    attempts = json.loads((run_dir / "run.json").read_text(encoding="utf-8"))["attempts"]
    assert attempts[-1]["end_reason"] == "stopped"
    run(run_dir, *REPLAY)


def test_a_second_writer_ends_with_75_at_once(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    first = subprocess.Popen(
        command(run_dir, *SLOW_REPLAY), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (run_dir / "ledger.jsonl").exists():
            time.sleep(0.005)
        second = subprocess.run(
            command(run_dir, *SLOW_REPLAY), capture_output=True, text=True, timeout=60, check=False
        )
    finally:
        first.kill()
        first.wait()
    assert second.returncode == 75, second.stderr
    assert len(second.stderr.splitlines()) == 1


def test_a_folder_that_cannot_be_written_ends_with_74_before_a_model_is_loaded(
    tmp_path: Path,
) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("not a folder")
    for run_dir in (occupied, occupied / "below", Path("/proc/whisperlab")):
        finished = subprocess.run(
            command(run_dir, "model=large-v3"),  # would need a download
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
        assert finished.returncode == 74, finished.stderr
        assert len(finished.stderr.splitlines()) == 1
