"""Torchrun with two ranks on loopback: one killed in mid run, and still the run in one piece."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from whisperlab.experiment.ledger import read_ledger

REPLAY = (
    "engine=replay", "engine.default_text=one two three", "dataset=demo_digits", "batch_size=2",
    "latency_utterances=0", "resamples=100", "engine.seconds_per_utterance=0.4",
)  # fmt: skip


def evaluate(folder: Path, *overrides: str) -> list[str]:
    return [sys.executable, "-m", "whisperlab.eval", *REPLAY, *overrides, f"run_dir={folder}"]


def content(folder: Path) -> tuple[Any, ...]:
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    texts = [(one.id, one.text, one.state) for one in read_ledger(folder / "ledger.jsonl")]
    return scores["utterances"], scores["scores"], scores["fingerprint"], texts


@pytest.mark.slow
def test_two_ranks_of_which_one_is_killed_give_the_scores_of_one_piece(tmp_path: Path) -> None:
    whole, split = tmp_path / "whole", tmp_path / "split"
    subprocess.run(evaluate(whole), check=True, capture_output=True, timeout=300)
    command = evaluate(split, "executor=torchrun")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        ledger = split / "parts" / "1" / "ledger.jsonl"
        deadline = time.monotonic() + 300
        while not ledger.exists() or ledger.read_bytes().count(b"\n") < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        (victim,) = [
            child
            for child in psutil.Process(process.pid).children(recursive=True)
            if "shard.index=1" in child.cmdline()
        ]
        victim.kill()
        _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert content(split) == content(whole)
    card = json.loads((split / "parts" / "1" / "run.json").read_text(encoding="utf-8"))
    assert len(card["attempts"]) >= 2
