"""What one bad utterance does to an evaluation, and what 100,000 good ones do.

    python benchmarks/faults/utterances.py faults     # raising, hanging, memory-eating, NaN, loops, a segfault ...
    python benchmarks/faults/utterances.py many       # 100,000 utterances: time, memory, ledger, resume

``faults`` runs 20 utterances in batches of 4; the engine (``faulty``) misbehaves at number 7. ``many`` runs
utterances of half a second, kills the run half way, goes on, and looks at the process's memory all the time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from faulty.engine import write_manifest
from forked import CHECKOUT, HERE
from served import header, row

from whisperlab.experiment.ledger import read_ledger

UTTERANCES = 20
BAD = 7
BATCH = 4
ADDRESS_BYTES = 6 << 30
LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 400
MIB = 1 << 20
TIMEOUT = ("decode.timeout_seconds=1",)
PARTS = ("executor=local", "executor.workers=2", "executor.restarts=2")


@dataclass(frozen=True)
class Finished:
    """A command that has ended: its code (``None``: had to be killed), and what it said and took."""

    code: int | None
    seconds: float
    said: str


def evaluate(manifest: Path, run_dir: Path, *overrides: str, room: Callable[[], None] | None = None) -> Finished:  # fmt: skip
    """Runs the command with the engine that misbehaves; ``room`` narrows its process down."""
    began = time.perf_counter()
    process = subprocess.Popen(command(manifest, run_dir, "engine=faulty", *overrides), stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, env=environment(), preexec_fn=room)  # fmt: skip
    try:
        said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=PATIENCE_SECONDS)
        return Finished(None, time.perf_counter() - began, said)
    return Finished(process.returncode, time.perf_counter() - began, said)


def command(manifest: Path, run_dir: Path, *overrides: str) -> list[str]:
    """Returns the command line of an evaluation."""
    return [
        sys.executable, "-m", "whisperlab.eval", "--config-dir", str(HERE / "conf"), "dataset=manifest",
        f"dataset.path={manifest}", f"batch_size={BATCH}", "latency_utterances=0", "resamples=100",
        *overrides, f"run_dir={run_dir}",
    ]  # fmt: skip


def environment() -> dict[str, str]:
    """Returns what a command with the plug-in needs."""
    path = os.pathsep.join([str(CHECKOUT), str(HERE)])
    trusted = {"WHISPERLAB_TRUSTED_PACKAGES": "faulty", "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return {**os.environ, **trusted}


def narrow() -> None:
    """Leaves a process 6 GiB of addresses."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))


CASES: dict[str, tuple[Sequence[str], Callable[[], None] | None]] = {
    "none": ((), None),
    "raise": ((), None),
    "hang": (TIMEOUT, None),
    "eat": ((), narrow),
    "memory": ((), None),
    "nan": ((), None),
    "loop": ((), None),
    "silence": ((), None),
}


def faults(only: Sequence[str]) -> None:
    """Prints a row a fault: how the command ended and what is recorded of the utterance and the others."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = write_manifest(folder / "data", UTTERANCES, UTTERANCES)
        header("fault", "exit code", "s", "of the bad one: state, code", "holes", "others as they should be", "counted as")  # fmt: skip
        for fault, (overrides, room) in CASES.items():
            if not only or fault in only:
                run_dir = folder / fault
                ended = evaluate(manifest, run_dir, f"engine.fault={fault}", *overrides, room=room)
                _show(fault, ended, run_dir)
        if not only or "segfault" in only:
            _segfaults(manifest, folder)


def _segfaults(manifest: Path, folder: Path) -> None:
    """One process dies of it and is run again; in parts it is replaced; always, it is named."""
    crash, marker = "engine.fault=segfault", folder / "crashed"
    once = (crash, f"engine.once={marker}")
    run_dir = folder / "segfault"
    died = evaluate(manifest, run_dir, *once)
    _show(f"segfault once: exit code {died.code}, then the same command", evaluate(manifest, run_dir, *once), run_dir)  # fmt: skip
    marker.unlink()
    run_dir = folder / "segfault-parts"
    _show("segfault once of one of two workers", evaluate(manifest, run_dir, *once, *PARTS), run_dir)  # fmt: skip
    run_dir = folder / "segfault-always"
    ended = evaluate(manifest, run_dir, crash, *PARTS)
    row("segfault at every try of one of two workers", ended.code, f"{ended.seconds:.1f}", ended.said.strip().splitlines()[-1][-160:], "–", "–", "–")  # fmt: skip


def _show(words: str, ended: Finished, run_dir: Path) -> None:
    outcomes = {one.id: one for one in read_ledger(run_dir / "ledger.jsonl")}
    wanted = {f"u{number:06}": f"number {number}" for number in range(UTTERANCES)}
    bad = f"u{BAD:06}"
    others = sum(outcomes[id_].text == text for id_, text in wanted.items() if id_ != bad and id_ in outcomes)  # fmt: skip
    one = outcomes.get(bad)
    told = "missing" if one is None else f"{one.state}, {one.error.code if one.error else one.text[:20]!r}"  # fmt: skip
    scores = run_dir / "scores.json"
    counted: dict[str, int] = {}
    if scores.exists():
        kinds: list[dict[str, Any]] = json.loads(scores.read_text())["failures"]["kinds"]
        counted = {one["kind"]: one["found"] for one in kinds if one["found"]}
    row(words, ended.code, f"{ended.seconds:.1f}", told, len(wanted) - len(outcomes), f"{others} of {UTTERANCES - 1}", counted)  # fmt: skip
    if "Traceback" in ended.said:
        print(ended.said[-3000:], file=sys.stderr)


def many(count: int, folder: Path) -> None:
    """Runs to the half, is killed, runs to the end; then is asked for once more."""
    manifest = write_manifest(folder / "data", count, 200)
    run_dir = folder / "run"
    words = command(manifest, run_dir, "engine=replay", "engine.default_text=number 7", "batch_size=64")  # fmt: skip
    header("", "utterances", "CPU s", "wall s", "resident MiB at 10 / 50 / 90 / 100 % of its records", "slope B an utterance", "ledger MB")  # fmt: skip
    for label, until in (("first half, then killed", count // 2), ("resumed to the end", count), ("asked again", count)):  # fmt: skip
        _watch(label, words, run_dir / "ledger.jsonl", until, count)
    states = Counter(one.state for one in read_ledger(run_dir / "ledger.jsonl"))
    print(f"\nstates: {dict(states)}")


def _watch(label: str, words: Sequence[str], ledger: Path, until: int, count: int) -> None:
    began = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, env=environment())
    looks: list[tuple[int, float]] = []
    size = counted = 0
    while process.poll() is None:
        time.sleep(LOOK_SECONDS)
        if ledger.exists():
            with ledger.open("rb") as file:
                file.seek(size)
                news = file.read()
            counted, size = counted + news.count(b"\n"), size + len(news)
        status = Path(f"/proc/{process.pid}/status").read_text()
        if "VmRSS:" in status:
            looks.append((counted, int(status.partition("VmRSS:")[2].split()[0]) / 1024))
        if until < count and counted >= until:
            process.kill()
            process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    main = [look for look in looks if look[0] < count] or looks
    first, last = main[0][0], main[-1][0]
    resident = [next(mib for number, mib in main if number >= first + share * (last - first)) for share in (0.1, 0.5, 0.9)]  # fmt: skip
    late = [look for look in main if look[0] >= first + 0.1 * (last - first)]
    grown = np.polyfit(*zip(*late, strict=True), 1)[0] * MIB if last > first else 0.0
    shown = " / ".join(f"{mib:.0f}" for mib in (*resident, max(mib for _, mib in looks)))
    row(f"{label} ({process.returncode})", counted, f"{cpu:.0f}", f"{time.perf_counter() - began:.0f}", shown, f"{grown:.0f}", f"{size / 1e6:.1f}")  # fmt: skip


def main() -> None:
    """Runs one campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("campaign", choices=("faults", "many"))
    parser.add_argument("--only", nargs="*", default=(), help="faults")
    parser.add_argument("--count", type=int, default=100_000, help="of many")
    parser.add_argument("--folder", type=Path, help="of many: kept, and gone on with")
    given = parser.parse_args()
    if given.campaign == "faults":
        faults(given.only)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = given.folder or Path(name)
        folder.mkdir(exist_ok=True)
        many(given.count, folder)


if __name__ == "__main__":
    main()
