"""How much of two processes' time does executor=local lose?

    python benchmarks/executor.py OUT dataset=manifest dataset.path=my.jsonl engine=pocketsphinx

Runs the same evaluation in one piece on one thread and in parts on 2 workers with a thread each, three times in
turn (or as often as `--rounds=N` behind OUT says), and prints medians. `passes` is from a worker's start of its main pass to its end (the longest of the
parts), `command` is the whole command with start, load, merge and report. Ideal is half of one piece.
Wall times need two idle cores and a dataset of some minutes. `CPU` is what the command and all its workers
computed, beside the same command on two batches alone, which is start, load, merge and report: on a busy
machine the rest tells whether the workers compute more for the same texts. There ideal is one piece.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from time import perf_counter

ROUNDS = 3
FEW = "dataset.subset=4"
"""Two batches, one for each worker."""
WORKERS = 2
SCORES = ("utterances", "scores", "fingerprint")


def evaluate(folder: Path, overrides: list[str]) -> tuple[float, float]:
    """Returns wall and CPU seconds of the whole command with its workers."""
    started, before = perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [
            *(sys.executable, "-m", "whisperlab.eval", *overrides),
            *("latency_utterances=0", "device=cpu", f"run_dir={folder}"),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return perf_counter() - started, used


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
    out, overrides, rounds = Path(sys.argv[1]), sys.argv[2:], ROUNDS
    if overrides and overrides[0].startswith("--rounds="):
        rounds = int(overrides.pop(0).partition("=")[2])
    parted = ["executor=local", f"executor.workers={WORKERS}", "executor.threads=1"]
    ways: dict[str, list[str]] = {"one": [], "two": parted}
    commands, passes, computed = ({"one": [], "two": []} for _ in range(3))
    for number in range(rounds):
        for name, executor in ways.items():
            folder = out / f"{name}-{number}"
            wall, cpu = evaluate(folder, [*overrides, *executor])
            _, around = evaluate(out / f"{name}-{number}-few", [*overrides, FEW, *executor])
            commands[name].append(wall)
            computed[name].append(cpu - around)
            parts = [folder / "parts" / str(index) for index in range(WORKERS)]
            passes[name].append(max(map(main_pass, parts if executor else [folder])))
        runs = [out / f"{name}-{number}" / "scores.json" for name in ways]
        same = [json.loads(run.read_text(encoding="utf-8")) for run in runs]
        assert all(same[0][key] == same[1][key] for key in SCORES), "the scores differ"
    print("| | one piece, s | 2 workers, s | of ideal |\n|---|---|---|---|")
    for name, times in (("passes", passes), ("command", commands)):
        single, double = (statistics.median(times[key]) for key in ("one", "two"))
        print(f"| {name} | {single:.1f} | {double:.1f} | {100 * single / WORKERS / double:.0f} % |")
    single, double = (statistics.median(computed[key]) for key in ("one", "two"))
    print(f"| CPU of the passes | {single:.1f} | {double:.1f} | {100 * single / double:.0f} % |")


if __name__ == "__main__":
    main()
