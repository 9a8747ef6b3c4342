"""`python -m whisperlab.runs merge` and `shard.index/shard.count` as commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

REPLAY = (
    "engine=replay", "engine.default_text=one", "dataset=demo_digits", "dataset.subset=5",
    "batch_size=2", "latency_utterances=0", "resamples=50", "max_failed_fraction=1",
)  # fmt: skip


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, timeout=300, check=False
    )


def test_two_shards_and_a_merge_end_with_0_and_a_shard_missing_with_2(tmp_path: Path) -> None:
    folders = [str(tmp_path / name) for name in "01"]
    for index, folder in enumerate(folders):
        split = (f"shard.index={index}", "shard.count=2", f"run_dir={folder}")
        done = command("whisperlab.eval", *REPLAY, *split)
        assert done.returncode == 0, done.stderr
    refused = command("whisperlab.runs", "merge", folders[0], "--output", str(tmp_path / "all"))
    assert refused.returncode == 2
    assert "missing: 1" in refused.stderr
    done = command("whisperlab.runs", "merge", *folders, "--output", str(tmp_path / "all"))
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "all" / "scores.json").read_text(encoding="utf-8"))
    assert scores["utterances"]["total"] == 5
    assert (tmp_path / "all" / "report.html").exists()


def test_an_index_beyond_the_count_is_named_with_its_key(tmp_path: Path) -> None:
    done = command(
        "whisperlab.eval", *REPLAY, "shard.index=2", "shard.count=2", f"run_dir={tmp_path}/run"
    )
    assert done.returncode == 2
    assert "shard.index from 0 to 1" in done.stderr
    assert "ArgsKwargs" not in done.stderr
