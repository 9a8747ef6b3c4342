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
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from faulty.engine import write_manifest
from forked import CHECKOUT, HERE, Forks
from served import header, row

from whisperlab.experiment.ledger import read_ledger

UTTERANCES = 20
BAD = 7
BATCH = 4
ADDRESS_BYTES = 3 << 30
LOOK_SECONDS = 1.0
MIB = 1 << 20
PARTS = ("executor=local", "executor.workers=2", "executor.restarts=2")


def command(manifest: Path, *overrides: str) -> list[str]:
    """Returns the arguments of an evaluation but for its folder."""
    return [
        "--config-dir", str(HERE / "conf"), "dataset=manifest", f"dataset.path={manifest}",
        f"batch_size={BATCH}", "latency_utterances=0", "resamples=100", *overrides,
    ]  # fmt: skip


def environment() -> dict[str, str]:
    """Returns what a command with the plug-in needs."""
    path = os.pathsep.join([str(CHECKOUT), str(HERE)])
    return {"WHISPERLAB_TRUSTED_PACKAGES": "faulty", "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def faults(only: Sequence[str]) -> None:
    """Prints a row a fault: how the command ended and what is recorded of the utterance and the others."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = write_manifest(folder / "data", UTTERANCES, UTTERANCES)
        header("fault", "exit code", "of the bad one: state, code", "holes", "others as they should be", "counted as")  # fmt: skip
        with Forks(*command(manifest, "engine=faulty"), **environment()) as forks:
            for fault, (changes, injected) in CASES.items():
                if not only or fault in only:
                    run_dir = folder / fault
                    wanted = {"engine": {"fault": fault}, **changes}
                    code = forks.start(run_dir, changes=wanted, fault=injected).wait()
                    _show(fault, code, run_dir)
            if not only or "segfault" in only:
                _segfault(forks, folder)
        if not only or "worker" in only:
            _worker(manifest, folder)


def _segfault(forks: Forks, folder: Path) -> None:
    """A process dies of it and is run again, by hand and once more."""
    run_dir = folder / "segfault"
    once = {"engine": {"fault": "segfault", "once": str(folder / "crashed")}}
    died = forks.start(run_dir, changes=once).wait()
    again = forks.start(run_dir, changes=once).wait()
    _show(f"segfault once: {died}, then the same command", again, run_dir)


def _worker(manifest: Path, folder: Path) -> None:
    """One of two workers dies of it: once, then at every try."""
    for words, once in (("once", str(folder / "worker-crashed")), ("at every try", "null")):
        run_dir = folder / f"worker {words}".replace(" ", "-")
        told = ("engine.fault=segfault", f"engine.once={once}", *PARTS, f"run_dir={run_dir}")
        process = subprocess.run(
            [sys.executable, "-m", "whisperlab.eval", *command(manifest, "engine=faulty", *told)],
            capture_output=True, text=True, check=False, env={**os.environ, **environment()},
        )  # fmt: skip
        said = f"segfault of one of two workers, {words}"
        if process.returncode == 0:
            _show(said, process.returncode, run_dir)
        else:
            row(said, process.returncode, process.stderr.strip().splitlines()[-1][:120], "–", "–", "–")  # fmt: skip


CASES: dict[str, tuple[Mapping[str, Any], tuple[str, Mapping[str, Any]] | None]] = {
    "none": ({}, None),
    "raise": ({}, None),
    "hang": ({"decode": {"timeout_seconds": 1.0}}, None),
    "eat": ({}, ("narrow", {"address_bytes": ADDRESS_BYTES})),
    "memory": ({}, None),
    "nan": ({}, None),
    "loop": ({}, None),
    "silence": ({}, None),
}


def _show(words: str, code: int | None, run_dir: Path) -> None:
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
    row(words, code, told, len(wanted) - len(outcomes), f"{others} of {UTTERANCES - 1}", counted)  # fmt: skip


def many(count: int, folder: Path) -> None:
    """Runs to the half, is killed, runs to the end; then is asked for once more."""
    manifest = write_manifest(folder / "data", count, 200)
    run_dir = folder / "run"
    words = [sys.executable, "-m", "whisperlab.eval", *command(manifest, "engine=replay", "engine.default_text=number 7", "batch_size=64"), f"run_dir={run_dir}"]  # fmt: skip
    header("", "utterances", "CPU s", "wall s", "resident MiB at 10 / 50 / 90 / 100 % of its records", "slope B an utterance", "ledger MB")  # fmt: skip
    for label, until in (("first half, then killed", count // 2), ("resumed to the end", count), ("asked again", count)):  # fmt: skip
        _watch(label, words, run_dir / "ledger.jsonl", until, count)
    states = Counter(one.state for one in read_ledger(run_dir / "ledger.jsonl"))
    print(f"\nstates: {dict(states)}")


def _watch(label: str, words: Sequence[str], ledger: Path, until: int, count: int) -> None:
    began = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, env={**os.environ, **environment()}
    )
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
