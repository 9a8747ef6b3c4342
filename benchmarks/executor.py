"""How much of two processes' time does executor=local lose?

    python benchmarks/executor.py OUT dataset=manifest dataset.path=my.jsonl engine=pocketsphinx

Runs the same evaluation in one piece on one thread and in parts on 2 workers with a thread each, three times in
turn, and prints medians. `passes` is from a worker's start of its main pass to its end (the longest of the
parts), `command` is the whole command with start, load, merge and report. Ideal is half of one piece.
Needs two idle cores and a dataset of some minutes.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from time import perf_counter

ROUNDS = 3
WORKERS = 2
SCORES = ("utterances", "scores", "fingerprint")


def evaluate(folder: Path, overrides: list[str]) -> float:
    """Returns seconds of the whole command."""
    started = perf_counter()
    subprocess.run(
        [
            *(sys.executable, "-m", "whisperlab.eval", *overrides),
            *("latency_utterances=0", "device=cpu", f"run_dir={folder}"),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return perf_counter() - started


def main_pass(folder: Path) -> float:
    """Returns seconds of the main pass: audio seconds / RTFx."""
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    audio = 0.0
    with (folder / "ledger.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            audio += json.loads(line)["record"]["audio_seconds"] or 0.0
    return float(audio / scores["speed"]["rtfx"])


def main() -> None:
    """Runs the rounds and prints the table."""
    out, overrides = Path(sys.argv[1]), sys.argv[2:]
    commands: dict[str, list[float]] = {"one": [], "two": []}
    passes: dict[str, list[float]] = {"one": [], "two": []}
    for number in range(ROUNDS):
        one, two = out / f"one-{number}", out / f"two-{number}"
        commands["one"].append(evaluate(one, overrides))
        parted = ["executor=local", f"executor.workers={WORKERS}", "executor.threads=1"]
        commands["two"].append(evaluate(two, [*overrides, *parted]))
        passes["one"].append(main_pass(one))
        parts = [main_pass(two / "parts" / str(index)) for index in range(WORKERS)]
        passes["two"].append(max(parts))
        same = [json.loads((run / "scores.json").read_text(encoding="utf-8")) for run in (one, two)]
        assert all(same[0][key] == same[1][key] for key in SCORES), "the scores differ"
    print("| | one piece, s | 2 workers, s | of ideal |\n|---|---|---|---|")
    for name, times in (("passes", passes), ("command", commands)):
        single, double = (statistics.median(times[key]) for key in ("one", "two"))
        print(f"| {name} | {single:.1f} | {double:.1f} | {100 * single / WORKERS / double:.0f} % |")


if __name__ == "__main__":
    main()
