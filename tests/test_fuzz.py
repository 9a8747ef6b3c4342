"""The fuzz targets of benchmarks/fuzz: every kept seed keeps its promise, and so do a few mutants of each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
TARGETS = ["sniffer", "riff", "ledger", "multipart", "json"]


def fuzz(*arguments: str) -> list[list[str]]:
    """Returns the cells of the rows that the command prints."""
    finished = subprocess.run(
        [sys.executable, str(CHECKOUT / "benchmarks" / "fuzz" / "fuzz.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    lines = [line for line in finished.stdout.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]


def test_every_kept_seed_keeps_its_promise() -> None:
    rows = fuzz("replay")[1:]
    assert [row[0] for row in rows] == TARGETS
    assert all(int(row[1]) >= 40 for row in rows)


@pytest.mark.parametrize("target", TARGETS)
def test_mutants_of_the_seeds_do_too(target: str) -> None:
    [[name, tried, _]] = fuzz("mutate", target, "--seconds", "1")
    assert name == target
    assert int(tried) > 0


def test_a_broken_promise_would_be_told(tmp_path: Path) -> None:
    """The sniffer's target, with a sniffer that names a place past the end."""
    code = (
        "import targets\n"
        "from whisperlab.audio.sniff import AudioFormat, Sniffed\n"
        "targets.sniff = lambda source: Sniffed(AudioFormat.WAV, source.size + 1)\n"
        "targets.TARGETS['sniffer'](b'RIFF')\n"
    )
    folder = CHECKOUT / "benchmarks" / "fuzz"
    finished = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{CHECKOUT}{os.pathsep}{folder}"},
    )  # fmt: skip
    assert finished.returncode == 1
    assert "AssertionError: offset 5 of 4" in finished.stderr
