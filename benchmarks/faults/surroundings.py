"""What happens around an evaluation: no room, a read-only folder, a second writer, other data, a clock that jumps.

    python benchmarks/faults/surroundings.py            # all of them, one row each
    python benchmarks/faults/surroundings.py --only clock changed

Disks are real ones: a small tmpfs in a mount namespace of its own, which needs ``unshare``; the row says so
where there is none. What was cut short is resumed and compared with a run that nothing befell.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from faulty.engine import write_manifest
from forked import CHECKOUT
from runs import campaign
from served import header, row

from whisperlab.experiment.checked_lines import read_records

SMALL_KIB = (16, 24, 40)
PATIENCE_SECONDS = 1800
CENTURY_SECONDS = 3.2e9
ON_A_SMALL_DISK = """
mkdir -p disk && mount -t tmpfs -o size={kib}k,nr_inodes=64 small disk || exit 90
"$@" run_dir=disk/run; first=$?
wc -l < disk/run/ledger.jsonl > recorded
mount -o remount,size=16m,nr_inodes=512 disk
"$@" run_dir=disk/run; second=$?
cp -r disk/run kept
echo "codes $first $second"
"""
ON_A_READ_ONLY_ONE = """
mkdir -p disk && mount -t tmpfs -o size=16m small disk && mount -o remount,ro disk || exit 90
"$@" run_dir=disk/run
echo "codes $?"
"""


def command(manifest: Path, *overrides: str) -> list[str]:
    """Returns the command line of an evaluation without its folder."""
    return [
        sys.executable, "-m", "whisperlab.eval", "engine=replay", "engine.default_text=number 7",
        "dataset=manifest", f"dataset.path={manifest}", "batch_size=4", "latency_utterances=0",
        "resamples=100", *overrides,
    ]  # fmt: skip


def called(words: Sequence[str], folder: Path) -> tuple[int, str]:
    """Returns exit code and words of a command; ``folder`` is where it runs."""
    finished = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    return finished.returncode, finished.stdout + finished.stderr


def texts(run_dir: Path) -> list[object]:
    """Returns what must be the same: ids, states, texts."""
    return [
        (one["id"], one["state"], one["text"]) for one in read_records(run_dir / "ledger.jsonl")
    ]


def last_line(said: str) -> str:
    """Returns the error of a command, without the folders of this machine."""
    found = [line for line in said.splitlines() if line.startswith("error: ")]
    return re.sub(r"/\S*/", "", found[-1])[:150] if found else "–"


def disk(folder: Path, manifest: Path) -> None:
    """A disk too small for the run, at several sizes; then it grows."""
    run_dir = folder / "whole"
    called([*command(manifest), f"run_dir={run_dir}"], folder)
    for kib in SMALL_KIB:
        place = folder / f"disk-{kib}"
        place.mkdir()
        script = ON_A_SMALL_DISK.format(kib=kib)
        code, said = called(["unshare", "-rm", "sh", "-c", script, "sh", *command(manifest)], place)
        if "codes" not in said:
            row(f"a disk of {kib} KiB", "not run", f"no mount namespace here ({code})", "–")
            continue
        codes = said[said.rindex("codes ") :].split()[1:3]
        recorded = (place / "recorded").read_text().strip()
        same = texts(place / "kept") == texts(run_dir)
        row(f"a disk of {kib} KiB, then of 16 MiB", " then ".join(codes), f"{recorded} of 20 recorded; {last_line(said)}",
            "identical" if same else "DIFFERS")  # fmt: skip


def read_only(folder: Path, manifest: Path) -> None:
    """A disk that takes nothing."""
    place = folder / "read-only"
    place.mkdir()
    _, said = called(
        ["unshare", "-rm", "sh", "-c", ON_A_READ_ONLY_ONE, "sh", *command(manifest)], place
    )
    code = said[said.rindex("codes ") :].split()[1] if "codes" in said else "not run"
    row("a read-only disk", code, last_line(said), "–")


def writer(folder: Path, manifest: Path) -> None:
    """A second process in the same folder."""
    run_dir = folder / "shared"
    words = [*command(manifest, "engine.seconds_per_utterance=3"), f"run_dir={run_dir}"]
    first = subprocess.Popen(words, stdout=subprocess.DEVNULL, cwd=CHECKOUT)
    while not (run_dir / "ledger.jsonl").exists():
        time.sleep(0.05)
    began = time.perf_counter()
    code, said = called(words, folder)
    took = time.perf_counter() - began
    alive = first.poll() is None
    first.kill()
    first.wait()
    row("a second writer", code, f"{last_line(said)}; after {took:.1f} s with its start", "the first goes on" if alive else "THE FIRST ENDED")  # fmt: skip


def changed(folder: Path, manifest: Path) -> None:
    """Another configuration, manifest or recording than the attempt before had."""
    run_dir = folder / "begun"
    words = [*command(manifest), f"run_dir={run_dir}"]
    called(words, folder)
    (run_dir / "scores.json").unlink()  # as if it had been stopped
    before = texts(run_dir)
    original = manifest.read_text()
    code, said = called([*words, "batch_size=2"], folder)
    row("another batch_size", code, last_line(said), _untouched(run_dir, before))
    manifest.write_text(original.replace('"number 3"', '"number 33"'))
    code, said = called(words, folder)
    row("another reference in the manifest", code, last_line(said), _untouched(run_dir, before))
    manifest.write_text(original)
    sound = manifest.parent / "3.wav"
    kept = sound.read_bytes()
    shutil.copy(manifest.parent / "9.wav", sound)
    code, said = called(words, folder)
    row("another recording under the same name", code, last_line(said), _untouched(run_dir, before))
    sound.write_bytes(kept)
    code, said = called(words, folder)
    row("all as it was", code, last_line(said), _untouched(run_dir, before))


def _untouched(run_dir: Path, before: list[object]) -> str:
    return "ledger as it was" if texts(run_dir) == before else "LEDGER DIFFERS"


def clock(folder: Path, _: Path) -> None:
    """A wall clock that jumps by a century at every second look, ahead or back."""
    with campaign() as made:
        for words, jump in (("ahead", CENTURY_SECONDS), ("back", -CENTURY_SECONDS / 3)):
            run_dir = made.run_dir(f"clock-{words}")
            code = made.start(run_dir, fault=("clock", {"jump_seconds": jump})).wait()
            records = list(read_records(run_dir / "ledger.jsonl"))
            durations = [seconds for one in records for seconds in one["timings"].values()]
            speed = json.loads((run_dir / "scores.json").read_text())["speed"]
            took = [
                speed["rtfx"],
                speed["latency_seconds"]["p50"],
                *speed["stages"].values(),
                *durations,
            ]
            times = [attempt["started"][:4] + "/" + attempt["ended"][:4] for attempt in json.loads((run_dir / "run.json").read_text())["attempts"]]  # fmt: skip
            row(f"the clock jumps {words} and back at every look", code,
                f"{len(took)} durations, least {min(took):.2g} s, most {max(durations):.2g} s; began/ended in {times[0]}",
                "identical" if made.identical(run_dir) else "DIFFERS")  # fmt: skip


CASES: dict[str, Callable[[Path, Path], None]] = {
    "disk": disk, "read_only": read_only, "writer": writer, "changed": changed, "clock": clock,
}  # fmt: skip


def main() -> None:
    """Prints a row a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--only", nargs="*", choices=tuple(CASES), default=tuple(CASES))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        header("what happens", "exit code", "found", "afterwards")
        for case in given.only:
            folder = Path(name) / case
            folder.mkdir()
            CASES[case](folder, write_manifest(folder / "data", 20, 20))


if __name__ == "__main__":
    main()
