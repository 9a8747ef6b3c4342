"""Runs of the replay engine over the demo's digits, as commands, and what such a run leaves."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from whisperlab.experiment.checked_lines import read_records
from whisperlab.experiment.ledger import read_ledger

REPLAY = (
    "engine=replay", "engine.default_text=one two three", "dataset=demo_digits", "batch_size=2",
    "latency_utterances=0", "resamples=100",
)  # fmt: skip


def evaluate(folder: Path, seconds: float, *overrides: str) -> list[str]:
    """The command of a run into ``folder`` whose every utterance takes ``seconds``."""
    return [
        sys.executable, "-m", "whisperlab.eval", *REPLAY,
        f"engine.seconds_per_utterance={seconds}", *overrides, f"run_dir={folder}",
    ]  # fmt: skip


def content(folder: Path) -> dict[str, Any]:
    """What must be the same however the run came about: scores, and records without times and attempt."""
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    records = [
        {name: value for name, value in record.items() if name not in ("timings", "attempt")}
        for record in read_records(folder / "ledger.jsonl")
    ]
    kept = ("scores", "utterances", "fingerprint")
    return {"records": records, **{name: scores[name] for name in kept}}


def race_content(folder: Path) -> dict[str, Any]:
    """The same of a search: its decisions and outcomes."""
    decided = [
        {key: value for key, value in one.items() if key != "spent_seconds"}
        for one in read_records(folder / "decisions.jsonl")
        if one["event"] != "loaded"
    ]
    heard = {
        ledger.name: sorted((one.id, one.text, one.state) for one in read_ledger(ledger))
        for ledger in (folder / "outcomes").iterdir()
    }
    return {"decided": decided, "heard": heard}
