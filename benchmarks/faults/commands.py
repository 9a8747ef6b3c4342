"""Commands of several runs or processes that are stopped or killed at random moments, and run again.

    python benchmarks/faults/commands.py                                   # each command, each way to end it
    python benchmarks/faults/commands.py --only "search on two" --count 20 # one of them, so many a way

A search in one piece and on two workers, an evaluation on two workers and on two ranks of torchrun, a sweep:
whole commands, with imports. Each is ended once it has so many records: SIGINT, SIGTERM, a second one on
its heels, kill -9 of the command alone. Then nothing that it started may be left, and no record lost, and the
same command must end up as the one that nothing befell.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forked import CHECKOUT
from runs import lines
from served import header, quantile, row

sys.path.append(str(CHECKOUT / "tests"))
from replay_runs import content, race_content

TEXTS = "one two three,one,three three three three three three three three three,six seven"
COMMON = ("engine=replay", "dataset=demo_digits", "batch_size=2", "resamples=100", "engine.seconds_per_utterance=0.05")  # fmt: skip
EVAL = ("whisperlab.eval", *COMMON, "engine.default_text=one two three", "latency_utterances=0")
SEARCH = ("whisperlab.search", *COMMON, "space=none", f"+space.engine.default_text=[{TEXTS}]")
LOCAL = ("executor=local", "executor.workers=2")
WAYS: Mapping[str, tuple[int, bool]] = {
    "SIGINT": (signal.SIGINT, False),
    "SIGTERM": (signal.SIGTERM, False),
    "SIGINT twice": (signal.SIGINT, True),
    "SIGTERM twice": (signal.SIGTERM, True),
    "SIGKILL": (signal.SIGKILL, False),
}
PATIENCE_SECONDS = 600.0
MARK = "WHISPERLAB_CAMPAIGN"
"""A variable that every process of a command inherits, by which those that are left are found."""


def _swept(folder: Path) -> dict[str, Any]:
    return {job.name: content(job) for job in sorted(folder.iterdir()) if job.is_dir()}


@dataclass(frozen=True)
class Command:
    """A module with its overrides, the key of its folder, and what must be the same in the end."""

    words: Sequence[str]
    key: str
    content: Callable[[Path], Any]

    def at(self, folder: Path) -> list[str]:
        """Returns the command line."""
        return [sys.executable, "-m", *self.words, f"{self.key}={folder}"]


COMMANDS = {
    "search in one piece": Command(SEARCH, "search_dir", race_content),
    "search on two workers": Command((*SEARCH, *LOCAL), "search_dir", race_content),
    "evaluation on two workers": Command((*EVAL, *LOCAL), "run_dir", content),
    "evaluation on two ranks of torchrun": Command(
        (*EVAL, "executor=torchrun"), "run_dir", content
    ),
    "sweep of three": Command(
        (EVAL[0], "-m", *EVAL[1:], "dataset.subset=4,6,8"), "run_dir", _swept
    ),
}


class Started:
    """A command that runs, with all its processes."""

    def __init__(self, words: Sequence[str], said: Path) -> None:
        self._mark = str(uuid.uuid4())
        with said.open("ab") as file:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=said.parent,
                env={**os.environ, "PYTHONPATH": str(CHECKOUT), MARK: self._mark},
            )  # fmt: skip

    def left(self) -> list[int]:
        """Returns the processes that carry the mark."""
        wanted, found = f"{MARK}={self._mark}".encode(), []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if wanted in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
        return found

    def wait(self) -> int | None:
        """Returns the exit code; ``None`` for one that had to be killed."""
        try:
            return self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None

    def seconds_left(self) -> float | None:
        """Returns how long processes remain behind the command's end; ``None``: they were killed."""
        began = time.perf_counter()
        while left := self.left():
            if time.perf_counter() - began > PATIENCE_SECONDS:
                for pid in left:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                return None
            time.sleep(0.05)
        return time.perf_counter() - began


def recorded(folder: Path) -> dict[Path, frozenset[bytes]]:
    """Returns the whole lines of every ledger below a folder."""
    found = (*folder.rglob("ledger.jsonl"), *folder.rglob("outcomes/*.jsonl"))
    return {path: lines(path) for path in found}


def stop(name: str, ways: Sequence[str], count: int, seed: int) -> None:
    """Prints a row a way to end a command."""
    chance = random.Random(seed)
    command = COMMANDS[name]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        whole = folder / "whole"
        if Started(command.at(whole), folder / "whole.said").wait() != 0:
            raise SystemExit((folder / "whole.said").read_text())
        expected, total = command.content(whole), sum(map(len, recorded(whole).values()))
        for way in ways:
            tally = Tally()
            for one in range(count):
                run_dir = folder / f"{way} {one}".replace(" ", "-")
                _stop_once(command, run_dir, WAYS[way], chance, total, tally)
                tally.resumed(command, run_dir, expected)
            row(name, way, count, *tally.cells())


def _stop_once(
    command: Command, run_dir: Path, way: tuple[int, bool], chance: random.Random, total: int, tally: Tally,
) -> None:  # fmt: skip
    started = Started(command.at(run_dir), run_dir.with_suffix(".said"))
    wanted, until = chance.randrange(total), time.monotonic() + PATIENCE_SECONDS
    while started.process.poll() is None and time.monotonic() < until:
        if run_dir.exists() and sum(map(len, recorded(run_dir).values())) >= wanted:
            break
        time.sleep(0.01)
    time.sleep(chance.random() * 0.3)
    number, again = way
    sent = time.perf_counter()
    started.process.send_signal(number)
    if again:
        time.sleep(chance.random() * 0.3)
        started.process.send_signal(number)
    code = started.wait()
    tally.ended(code, time.perf_counter() - sent, started.seconds_left())


class Tally:
    """What became of commands that were ended."""

    def __init__(self) -> None:
        self._codes: Counter[int | None] = Counter()
        self._took: list[float] = []
        self._remained: list[float] = []
        self._never = self._lost = self._clean = self._identical = 0

    def ended(self, code: int | None, seconds: float, remained: float | None) -> None:
        """Notes how a command ended, and how long its processes were there behind it."""
        self._codes[code] += 1
        self._took.append(seconds)
        self._never += remained is None
        self._remained.append(remained or 0.0)

    def resumed(self, command: Command, run_dir: Path, expected: object) -> None:
        """Resumes; what there was must still be there, and the end be the same."""
        said = run_dir.with_suffix(".said")
        self._clean += "Traceback" not in said.read_text(errors="replace")
        before = recorded(run_dir)
        code = Started(command.at(run_dir), said).wait()
        same = code == 0 and command.content(run_dir) == expected
        lost = sum(len(kept - lines(path)) for path, kept in before.items())
        self._lost += lost
        self._identical += same
        if same and not lost:
            shutil.rmtree(run_dir)
        else:
            print(f"NOT IDENTICAL ({code}, {lost} lost): {run_dir}\n{said.read_text(errors='replace')}", file=sys.stderr)  # fmt: skip

    def cells(self) -> tuple[object, ...]:
        """Returns the cells of a row."""
        took = " / ".join(f"{quantile(self._took, share):.2f}" for share in (0.5, 1.0))
        return (
            dict(self._codes), took, f"{max(self._remained):.2f}", self._never, self._clean,
            self._lost, self._identical,
        )  # fmt: skip


def main() -> None:
    """Runs the campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument(
        "--only", nargs="*", default=COMMANDS, help="commands, by their first words"
    )
    parser.add_argument("--ways", nargs="*", choices=tuple(WAYS), default=tuple(WAYS))
    parser.add_argument("--count", type=int, default=10, help="of each command and way")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    header("command", "ended by", "times", "exit codes", "p50 / most s to the end", "its processes gone after s, most",
           "some never gone", "no traceback", "records lost", "identical after resume")  # fmt: skip
    for name in COMMANDS:
        if any(name.startswith(words) for words in given.only):
            stop(name, given.ways, given.count, given.seed)


if __name__ == "__main__":
    main()
