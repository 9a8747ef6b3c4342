"""Torchrun with two ranks on loopback: one killed in mid run, and still the run in one piece."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from replay_runs import content, evaluate

SECONDS = 0.4
"""What an utterance takes: long enough to be killed in the middle of a run."""


@pytest.mark.slow
def test_two_ranks_of_which_one_is_killed_give_the_scores_of_one_piece(tmp_path: Path) -> None:
    whole, split = tmp_path / "whole", tmp_path / "split"
    subprocess.run(evaluate(whole, SECONDS), check=True, capture_output=True, timeout=300)
    command = evaluate(split, SECONDS, "executor=torchrun")
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
