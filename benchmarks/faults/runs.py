"""Evaluations that are killed, cut off, stopped or out of room, and run again until they finish.

    python benchmarks/faults/runs.py kill      # 100 kills at random moments, eight a run, tails torn; a row a run, all so far
    python benchmarks/faults/runs.py calls     # the end at every single write, fsync, rename, ... of a run
    python benchmarks/faults/runs.py full      # no room from every single such call on
    python benchmarks/faults/runs.py stop      # SIGINT and SIGTERM at random moments
    python benchmarks/faults/runs.py steps     # a stop signal at every step that waits for others
    python benchmarks/faults/runs.py start     # the whole command stopped from its first moment on

Each finished run is compared with one that nothing befell: scores, and every record without its times and
attempt. Commands are forks of one (``forked``), those of ``start`` whole. ``--engine hf`` runs a real model
instead of the replay engine.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from forked import CHECKOUT, Fork, Forks
from injected import EXIT_CODE
from served import header, quantile, row

sys.path.append(str(CHECKOUT / "tests"))
from replay_runs import content

from whisperlab.experiment.folder import LEDGER

UTTERANCES = 20
BATCH = 2
KILLS_A_RUN = 8
REPLAY = ("engine=replay", "engine.default_text=hello there", "engine.seconds_per_utterance=0.02")
ENGINES = {
    "replay": REPLAY,
    "hf": ("engine=hf", "model=whisperlab-digits", "decode.language=en", "device=cpu"),
}
STOPS = {signal.SIGINT: 130, signal.SIGTERM: 143}
ENDS = {"exit": "before the call", "tear": "half of a write; behind any other"}
Every = Callable[[int], range]
"""Which of so many calls or places a sweep takes, from 1."""
TEARS = ("none", "cut", "head", "zeros")


class Campaign:
    """A run that nothing befell, and others that are to end up like it; all in one folder."""

    def __init__(self, forks: Forks, folder: Path) -> None:
        self._forks, self._folder = forks, folder
        whole = self.run_dir("whole")
        code = self.start(whole).wait()
        if code:
            raise SystemExit(f"the run that nothing befalls ended with {code}: {self.said(whole)}")
        self._expected = content(whole)

    def run_dir(self, name: str) -> Path:
        """Returns the folder of a run."""
        return self._folder / name

    def said(self, run_dir: Path) -> str:
        """Returns what the commands of this run have said."""
        return run_dir.with_suffix(".said").read_text(errors="replace")

    def start(self, run_dir: Path, **more: Any) -> Fork:
        """Starts or resumes a run."""
        return self._forks.start(run_dir, **more)

    def count(self, fault: str, given: Mapping[str, Any], **more: Any) -> list[str]:
        """Returns the calls or places that a whole run comes by."""
        run_dir = self.run_dir("counted")
        to = self._folder / "counted.json"
        self.start(
            run_dir, fault=(fault, {**given, "number": 0, "count_to": str(to)}), **more
        ).wait()
        shutil.rmtree(run_dir)
        counted: list[str] = json.loads(to.read_text())
        return counted

    def identical(self, run_dir: Path, kept: frozenset[bytes] = frozenset()) -> bool:
        """Resumes the run to its end; whether it is the one that nothing befell. Removes it if so.

        The ledger's lines in ``kept`` must still be there.
        """
        code = self.start(run_dir).wait()
        same = code == 0 and content(run_dir) == self._expected
        ids = [record["id"] for record in content(run_dir)["records"]] if same else []
        if not same or len(ids) != len(set(ids)) or kept - lines(run_dir / LEDGER):
            print(f"NOT IDENTICAL ({code}): {run_dir}\n{self.said(run_dir)}", file=sys.stderr)
            return False
        shutil.rmtree(run_dir)
        run_dir.with_suffix(".said").unlink()
        return True


def lines(ledger: Path) -> frozenset[bytes]:
    """Returns the whole lines of a ledger."""
    return frozenset(ledger.read_bytes().split(b"\n")[:-1]) if ledger.exists() else frozenset()


@contextmanager
def campaign(engine: str = "replay") -> Iterator[Campaign]:
    """Makes ready for a campaign; what it leaves goes with it."""
    with Forks(*overrides(engine)) as forks, tempfile.TemporaryDirectory() as name:
        yield Campaign(forks, Path(name))


def overrides(engine: str) -> list[str]:
    """Returns what every run of a campaign is told."""
    return [
        *ENGINES[engine], "dataset=demo_digits", f"dataset.subset={UTTERANCES}",
        f"batch_size={BATCH}", "latency_utterances=2", "resamples=100",
    ]  # fmt: skip


def kill(count: int, seed: int, engine: str) -> None:
    """Kills evaluations at random moments, eight times each; tears the ledger's tail as a power cut does."""
    chance = random.Random(seed)
    kills = mid_run = runs = identical = 0
    torn: Counter[str] = Counter()
    lost: list[int] = []
    recomputed: list[int] = []
    with campaign(engine) as made:
        header("kills", "in mid run", "evaluations", "identical after resume", "tails: as they were / cut / a head more / zeros more",
               "utterances recorded and yet computed again, most by a kill", "records that a torn tail cost, most")  # fmt: skip
        while kills < count:
            run_dir = made.run_dir(f"killed-{runs}")
            ledger = run_dir / LEDGER
            for _ in range(min(KILLS_A_RUN, count - kills)):
                fork = made.start(run_dir)
                wanted = min(len(lines(run_dir / LEDGER)) + chance.randrange(6), UTTERANCES)
                _await_records(fork, run_dir, wanted, chance)
                kills += 1
                mid_run += not fork.ended()
                fork.send(signal.SIGKILL)
                fork.wait()
                if not ledger.exists():
                    continue
                kept = ledger.read_bytes()
                recomputed.append(kept.count(b"\n") % BATCH)
                # The ledger is made durable before the scores are written: then nothing of it is cut.
                finished = (run_dir / "scores.json").exists()
                how = chance.choice([one for one in TEARS if one != "cut" or not finished])
                torn[how] += 1
                ledger.write_bytes(tear(kept, how, chance))
                lost.append(kept.count(b"\n") - ledger.read_bytes().count(b"\n"))
            runs += 1
            identical += made.identical(run_dir)
            row(kills, mid_run, runs, identical, " / ".join(str(torn[how]) for how in TEARS), max(recomputed, default=0), max(lost, default=0))  # fmt: skip


def _await_records(fork: Fork, run_dir: Path, wanted: int, chance: random.Random) -> None:
    """Waits for so many records, and a little; a little more before the first and behind the last."""
    while len(lines(run_dir / LEDGER)) < wanted and not fork.ended():
        time.sleep(0.005)
    time.sleep(chance.random() * (0.05 if 0 < wanted < UTTERANCES else 0.3))


def tear(kept: bytes, how: str, chance: random.Random) -> bytes:
    """Returns a ledger as it may be found after a power cut: its last line cut, or more behind it."""
    last = kept[kept[:-1].rfind(b"\n") + 1 :]
    if how == "cut" and last:
        return kept[: len(kept) - chance.randint(1, len(last))]
    if how == "head":
        return kept + last[: chance.randint(0, max(0, len(last) - 1))]
    if how == "zeros":
        return kept + bytes(chance.randint(1, 4096))
    return kept


def calls(every: Every) -> None:
    """Ends a run at its k-th call of the system, before it or in it, for every k; then resumes it."""
    with campaign() as made:
        counted = made.count("at_call", {"folder": str(made.run_dir("counted")), "how": "exit"})
        header("the end", "calls", "ended there", "identical after resume")
        for how, words in ENDS.items():
            ended = identical = 0
            for number in every(len(counted)):
                ended += _cut_off(made, number, how) == EXIT_CODE
                identical += made.identical(made.run_dir(f"{how}-{number}"))
            row(words, len(every(len(counted))), ended, identical)
        print(f"\nof a run: {dict(Counter(counted))}")


def full(every: Every) -> None:
    """Lets every call from the k-th on find no room, for every k; then there is room again."""
    with campaign() as made:
        counted = made.count("at_call", {"folder": str(made.run_dir("counted")), "how": "exit"})
        header("from the k-th call on", "calls", "exit codes", "one line on stderr, no traceback", "no record lost, identical after resume")  # fmt: skip
        for how in ("ENOSPC", "EDQUOT", "EIO", "EROFS"):
            codes: Counter[int | None] = Counter()
            clean = identical = tried = 0
            for number in every(len(counted)):
                run_dir = made.run_dir(f"{how}-{number}")
                tried += 1
                codes[_cut_off(made, number, how)] += 1
                said = made.said(run_dir)
                clean += "Traceback" not in said and said.count("error: ") <= 1
                identical += made.identical(run_dir, lines(run_dir / LEDGER))
            row(how, tried, dict(codes), clean, identical)


def _cut_off(made: Campaign, number: int, how: str) -> int | None:
    run_dir = made.run_dir(f"{how}-{number}")
    given = {"folder": str(run_dir), "how": how, "number": number, "count_to": "/dev/null"}
    return made.start(run_dir, fault=("at_call", given)).wait()


def stop(count: int, seed: int, engine: str) -> None:
    """Sends a stop signal at a random moment of a run whose progress is drawn; now and then a second."""
    chance = random.Random(seed)
    with campaign(engine) as made:
        header("signal", "runs", "exit codes", "p50 / p99 / most s to the end", "stuck", "no traceback", "identical after resume")  # fmt: skip
        for number, expected in STOPS.items():
            tally = Tally()
            for one in range(count):
                run_dir = made.run_dir(f"{expected}-{one}")
                fork = made.start(run_dir, terminal=bool(one % 2))
                _await_records(fork, run_dir, chance.randrange(UTTERANCES + 1), chance)
                fork.send(number)
                if one % 4 == 3:
                    time.sleep(chance.random() * 0.05)
                    fork.send(number)
                tally.note(made, run_dir, fork)
            row(signal.Signals(number).name, count, *tally.cells())


class Tally:
    """What became of runs that were stopped."""

    def __init__(self) -> None:
        self._codes: Counter[int | None] = Counter()
        self._took: list[float] = []
        self._clean = self._identical = 0

    def note(self, made: Campaign, run_dir: Path, fork: Fork) -> None:
        """Waits for the end, then resumes."""
        code = fork.wait()
        self._codes[code] += 1
        self._took.append(fork.seconds)
        self._clean += "Traceback" not in made.said(run_dir)
        if code is None or "Traceback" in made.said(run_dir):
            print(f"{code}: {made.said(run_dir)[-3000:]}", file=sys.stderr)
        self._identical += made.identical(run_dir)

    def cells(self) -> tuple[object, ...]:
        """Returns the cells of a row."""
        took = " / ".join(f"{quantile(self._took, share):.2f}" for share in (0.5, 0.99, 1.0))
        return dict(self._codes), took, self._codes[None], self._clean, self._identical


def steps(every: Every, everywhere: bool) -> None:
    """Sends SIGINT at every place of the modules that wait for others, or also at every one of ours."""
    given = {"sent": int(signal.SIGINT), "everywhere": everywhere}
    with campaign() as made:
        places = made.count("at_step", given, terminal=True)
        header("places", "exit codes", "p50 / p99 / most s to the end", "stuck", "no traceback", "identical after resume")  # fmt: skip
        tally = Tally()
        for number in every(len(places)):
            run_dir = made.run_dir(f"step-{number}")
            fault = ("at_step", {**given, "number": number, "count_to": "/dev/null"})
            print(places[number - 1], file=sys.stderr)
            tally.note(made, run_dir, made.start(run_dir, fault=fault, terminal=True))
        row(len(every(len(places))), *tally.cells())


def start(count: int) -> None:
    """Stops the whole command at moments from its first millisecond on, imports included."""
    with campaign() as made:
        header("signal", "commands", "exit codes", "p50 / p99 / most s to the end", "stuck", "identical after resume")  # fmt: skip
        for number in STOPS:
            codes: Counter[int | None] = Counter()
            took: list[float] = []
            identical = 0
            for one in range(count):
                run_dir = made.run_dir(f"start-{number}-{one}")
                code, seconds = _stopped_command(run_dir, number, 4.0 * one / count)
                codes[code] += 1
                took.append(seconds)
                identical += made.identical(run_dir)
            row(signal.Signals(number).name, count, dict(codes), " / ".join(f"{quantile(took, share):.2f}" for share in (0.5, 0.99, 1.0)), codes[None], identical)  # fmt: skip


def _stopped_command(run_dir: Path, number: int, after_seconds: float) -> tuple[int | None, float]:
    command = [sys.executable, "-m", "whisperlab.eval", *overrides("replay"), f"run_dir={run_dir}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=CHECKOUT)  # fmt: skip
    time.sleep(after_seconds)
    sent = time.perf_counter()
    process.send_signal(number)
    try:
        return process.wait(60), time.perf_counter() - sent
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None, time.perf_counter() - sent


def main() -> None:
    """Runs one campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("campaign", choices=("kill", "calls", "full", "stop", "steps", "start"))
    parser.add_argument("--count", type=int, default=100, help="kills; with stop and start runs by signal")  # fmt: skip
    parser.add_argument(
        "--first", type=int, default=1, help="the first call or place, to go on from"
    )
    parser.add_argument("--step", type=int, default=1, help="only every step-th call or place")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", choices=tuple(ENGINES), default="replay")
    parser.add_argument("--everywhere", action="store_true", help="steps of our own modules as well")  # fmt: skip
    given = parser.parse_args()

    def every(total: int) -> range:
        return range(given.first, total + 1, given.step)

    if given.campaign == "kill":
        kill(given.count, given.seed, given.engine)
    elif given.campaign == "calls":
        calls(every)
    elif given.campaign == "full":
        full(every)
    elif given.campaign == "stop":
        stop(given.count, given.seed, given.engine)
    elif given.campaign == "steps":
        steps(every, given.everywhere)
    else:
        start(given.count)


if __name__ == "__main__":
    main()
