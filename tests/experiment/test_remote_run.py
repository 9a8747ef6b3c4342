"""An evaluation of another's server: its busy moments stand in the ledger and in no latency."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from openai_peer import Answer, running_peer
from remote_examples import VERBOSE, refusal

WAIT_SECONDS = 1.5
BUSY = Answer(refusal("overloaded"), 503, {"retry-after-ms": str(round(1000 * WAIT_SECONDS))})
OK = Answer(VERBOSE)
BAD = Answer(refusal("invalid_audio", "this one is no sound"), 400)


def test_waiting_for_a_busy_server_is_in_no_latency_and_failures_are_states(
    tmp_path: Path,
) -> None:
    # main pass: u0 (busy first), u1 (refused), u2; then a warm-up and two timed ones, one of them busy
    answers = [BUSY, OK, BAD, OK, OK, BUSY, OK, OK]
    with running_peer(answers) as peer:
        done = subprocess.run(
            [
                sys.executable, "-m", "whisperlab.eval", "engine=remote",
                f"engine.base_url={peer.base_url}", "engine.api_key_env=PEER_KEY",
                "engine.concurrency=1", "dataset.subset=3", "batch_size=3", "latency_utterances=2",
                f"run_dir={tmp_path / 'run'}",
            ],
            capture_output=True, text=True, check=False,
            env={**os.environ, "PEER_KEY": "sk-canary"},
        )  # fmt: skip
    assert done.returncode == 3, done.stderr  # one of three failed
    scores = json.loads((tmp_path / "run" / "scores.json").read_text(encoding="utf-8"))
    assert (scores["utterances"]["ok"], scores["utterances"]["failed"]) == (2, 1)
    latency = scores["speed"]["latency_seconds"]
    assert latency["utterances"] == 2
    assert latency["p99"] < WAIT_SECONDS / 2
    assert scores["speed"]["stages"]["retry_wait"] >= WAIT_SECONDS
    assert scores["speed"]["stages"]["remote"] < WAIT_SECONDS
    lines = (tmp_path / "run" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line)["record"] for line in lines]
    assert sorted(record["error"]["code"] for record in records if record["error"]) == [
        "invalid_audio"
    ]
    assert all(record["timings"].get("total", 0.0) < WAIT_SECONDS for record in records)
    log = (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8")
    assert log.count("request is sent again") == 2
    everything = "".join(
        path.read_text(encoding="utf-8") for path in (tmp_path / "run").iterdir() if path.is_file()
    )
    assert "PEER_KEY" in everything
    assert "canary" not in everything + done.stdout + done.stderr
    assert all(asked.headers["authorization"] == "Bearer sk-canary" for asked in peer.asked)
