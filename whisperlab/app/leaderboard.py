"""The finished runs below a folder, a line each, read from their two small files.

Owns what is found and what a line says. The ledger is never read. A folder that looks like a run and
cannot be read is told by name; it takes nothing else with it. It does not know the page.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from whisperlab.errors import WhisperlabError
from whisperlab.experiment.folder import REPORT, RUN_CARD, SCORES, read_card, read_scores
from whisperlab.experiment.result import RunCard, Scores
from whisperlab.report.run_card import kind, preprocessing
from whisperlab.serve.configurations import dataset_name

MAX_DEPTH: Final = 3
"""Folders below the runs' own: a sweep has its jobs one deeper, and people keep sweeps in folders."""

MAX_RUNS: Final = 10_000
"""More runs than this are not looked at: a page cannot show them."""

MAX_FILE_BYTES: Final = 8 << 20
"""A run.json or scores.json is some kilobytes; a larger one is not ours."""


@dataclass(frozen=True, slots=True)
class Line:
    """A finished run; rates and coverage are fractions, ``None`` is unknown."""

    name: str
    date: str
    model: str
    engine: str
    quantization: str
    preprocess: str
    decode: str
    dataset: str
    profile: str
    utterances: int
    coverage: float | None
    wer: float | None
    wer_low: float | None
    wer_high: float | None
    cer: float | None
    rtfx: float | None
    p95_seconds: float | None
    peak_memory_bytes: int | None
    machine: str
    configuration_hash: str
    has_report: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What is below a folder: finished runs, the latest first, and what could not be read."""

    lines: tuple[Line, ...]
    unreadable: tuple[str, ...]


def find_runs(runs_dir: Path) -> Found:
    """Returns every finished run below ``runs_dir``; links are not followed."""
    lines, unreadable = [], []
    for folder in _run_folders(runs_dir):
        name = folder.relative_to(runs_dir).as_posix()
        try:
            line = read_line(folder, name)
        except WhisperlabError:
            unreadable.append(name)
            continue
        if line is not None:
            lines.append(line)
    lines.sort(key=lambda line: line.date, reverse=True)
    return Found(tuple(lines), tuple(unreadable))


def run_folder(runs_dir: Path, name: str) -> Path | None:
    """Returns the folder of the run that is called ``name`` right now, ``None`` where there is none.

    ``name`` comes from a request: it is only ever compared with what is there.
    """
    for folder in _run_folders(runs_dir):
        if folder.relative_to(runs_dir).as_posix() == name:
            return folder
    return None


def sweeps(lines: Sequence[Line]) -> dict[str, tuple[str, ...]]:
    """Returns the folders that hold several of the runs, each with its runs, the first made first.

    A sweep lies in a folder of its own, a run a job; its name here ends with a slash, as no run's does.
    """
    found: dict[str, list[str]] = {}
    for line in sorted(lines, key=lambda line: line.date):
        parent, _, _ = line.name.rpartition("/")
        if parent:
            found.setdefault(f"{parent}/", []).append(line.name)
    return {name: tuple(runs) for name, runs in found.items() if len(runs) > 1}


def _run_folders(runs_dir: Path) -> Iterator[Path]:
    """Yields the folders with a run.json, sorted by name."""
    found = 0
    for root, folders, files in os.walk(runs_dir, followlinks=False):
        here = Path(root)
        depth = len(here.relative_to(runs_dir).parts)
        folders[:] = (
            sorted(f for f in folders if not f.startswith(".")) if depth < MAX_DEPTH else []
        )
        if depth and RUN_CARD in files:
            folders.clear()  # a run holds no runs
            yield here
            found += 1
            if found == MAX_RUNS:
                return


def read_line(folder: Path, name: str) -> Line | None:
    """Returns the line of a run, ``None`` before it has finished.

    Raises:
        WhisperlabError: its files cannot be read.
    """
    for part in (RUN_CARD, SCORES):
        path = folder / part
        if path.is_symlink() or (path.exists() and path.stat().st_size > MAX_FILE_BYTES):
            raise WhisperlabError(f"{path}: expected a small file, no link")
    card, scores = read_card(folder), read_scores(folder)
    if card is None or scores is None:
        return None
    try:
        return _line(name, card, scores, has_report=(folder / REPORT).is_file())
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise WhisperlabError(f"{folder}: {RUN_CARD} or {SCORES} is not ours") from error


def _line(name: str, card: RunCard, scores: Scores, *, has_report: bool) -> Line:
    wer, cer = scores.scores.get("wer"), scores.scores.get("cer")
    last = card.attempts[-1] if card.attempts else {}
    line = Line(
        name=name,
        date=str(last.get("ended") or last.get("started") or ""),
        model=str(card.model.get("name") or ""),
        engine=kind(card.config["engine"]),
        quantization=kind(card.config["quantization"]),
        preprocess=" → ".join(step for step, _ in preprocessing(card.config)) or "none",
        decode=_decode(card.config["decode"]),
        dataset=dataset_name(card),
        profile=str(scores.profile.get("name") or ""),
        utterances=scores.utterances.total,
        coverage=scores.utterances.coverage,
        wer=None if wer is None else wer.value,
        wer_low=None if wer is None else wer.low,
        wer_high=None if wer is None else wer.high,
        cer=None if cer is None else cer.value,
        rtfx=scores.speed.rtfx,
        p95_seconds=scores.speed.latency_seconds.p95,
        peak_memory_bytes=scores.memory.get("process_peak_rss"),
        machine=_machine(card.hardware),
        configuration_hash=card.configuration_hash,
        has_report=has_report,
    )
    numbers = (line.coverage, line.wer, line.cer, line.rtfx, line.p95_seconds)
    if not all(number is None or isinstance(number, (int, float)) for number in numbers):
        raise TypeError("a score is no number")
    return line


def _decode(decode: Mapping[str, Any]) -> str:
    """Returns how text was searched for, in a few words.

    >>> _decode({"beam_size": 1, "temperatures": [0.0], "language": "en"})
    'greedy, en'
    >>> _decode({"beam_size": 5, "temperatures": [0.0, 0.2], "language": None})
    'beam 5, fallback'
    """
    beam = decode.get("beam_size", 1)
    parts = ["greedy" if beam == 1 else f"beam {beam}"]
    if len(decode.get("temperatures") or ()) > 1:
        parts.append("fallback")
    if decode.get("language"):
        parts.append(str(decode["language"]))
    return ", ".join(parts)


def _machine(hardware: Mapping[str, Any]) -> str:
    gpus = hardware.get("gpus")
    if gpus:
        return ", ".join(map(str, gpus))
    processor, cores = hardware.get("processor"), hardware.get("usable_cores")
    return f"{processor}, {cores} cores" if processor else ""
