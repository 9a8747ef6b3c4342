"""What all clusters here are asked: the scores of one piece, also with a worker killed in mid run.

Used by the commands beside it. Runs the same small dataset in one piece, on the cluster, and on the cluster
with a kill -9; asserts that counts, scores, fingerprint and every record but its times are the same; prints
a table. `CPU s` are those of the command and of what it waits for: not of Slurm's tasks and Ray's actors.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from whisperlab.experiment.ledger import read_ledger

COMMON = ("latency_utterances=0", "batch_size=2", "device=cpu")
PATIENCE_SECONDS = 900
NOT_COMPARED = ("timings", "attempt")


def programs(*names: str) -> None:
    """Ends the command with a reason where a program is missing."""
    from shutil import which

    missing = [name for name in names if which(name) is None]
    if missing:
        sys.exit(f"skipped: {', '.join(missing)} not installed")


def stop_by_terminating() -> None:
    """Lets SIGTERM unwind this command, so that everything it started ends with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def content(folder: Path) -> tuple[Any, ...]:
    """Returns what must be the same however the run came about."""
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    records = [
        {key: value for key, value in asdict(one).items() if key not in NOT_COMPARED}
        for one in read_ledger(folder / "ledger.jsonl")
    ]
    return scores["utterances"], scores["scores"], scores["fingerprint"], records


@contextmanager
def begun(
    folder: Path, overrides: Sequence[str], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Starts an evaluation; ends it if the caller fails."""
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "whisperlab.eval", *COMMON, *overrides, f"run_dir={folder}"],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        )
        try:
            yield process
            code = process.wait(PATIENCE_SECONDS)
            assert code == 0, (folder.parent / f"{folder.name}.log").read_text(encoding="utf-8")
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()


def lines(ledgers: Sequence[Path]) -> int:
    """Returns how many utterances are recorded in all of ``ledgers``."""
    return sum(one.read_bytes().count(b"\n") for one in ledgers if one.exists())


def kill(
    process: subprocess.Popen[bytes],
    ready: Callable[[], bool],
    victim: Callable[[], psutil.Process],
) -> None:
    """Kills a worker with signal 9 as soon as the run is ``ready`` for it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not ready():
        assert process.poll() is None, "the run ended before anything could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    victim().kill()


def trial(
    name: str,
    arguments: Sequence[str],
    executor: Sequence[str],
    ready: Callable[[Path], bool],
    victim: Callable[[Path], psutil.Process],
    environment: Mapping[str, str] | None = None,
) -> None:
    """Runs the three runs and prints the table; raises when a run differs."""
    variables = environment or {}
    with tempfile.TemporaryDirectory() as place:
        rows, contents = [], []
        for way in ("one piece", name, f"{name}, one worker killed"):
            folder = Path(place) / str(len(rows))
            options = [*arguments, *(executor if rows else [])]
            before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            with begun(folder, options, variables if rows else {}) as process:
                if len(rows) == 2:
                    kill(process, lambda at=folder: ready(at), lambda at=folder: victim(at))
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            rows.append(f"| {way} | {time.perf_counter() - started:.1f} | {used:.1f} |")
            contents.append(content(folder))
            assert contents[-1] == contents[0], f"{way}: not the run in one piece"
            print(f"{way}: {len(contents[-1][3])} records, the same", file=sys.stderr)
    load = ", ".join(f"{one:.0f}" for one in os.getloadavg())
    print(f"load {load}; {os.cpu_count()} cores\n\n| run | wall s | CPU s |\n|---|---|---|")
    print("\n".join(rows))


def part_under_way(folder: Path) -> bool:
    """True when part 1 of a run in parts has recorded its first batch."""
    return lines([folder / "parts" / "1" / "ledger.jsonl"]) >= 2


def worker_of_part(folder: Path) -> psutil.Process:
    """Returns the process that runs part 1, whoever started it."""
    wanted = f"run_dir={folder / 'parts' / '1'}"
    return next(
        one
        for one in psutil.process_iter(["cmdline"])
        if (line := one.info["cmdline"]) and wanted in line and "whisperlab.eval" in line
    )
