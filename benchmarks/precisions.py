"""Every precision, greedy and beam 5, on the digits sets: WER with interval, time a token, memory.

    python benchmarks/precisions.py --fsdd ../shared/data/fsdd --output OUT [--jobs 2]

Each cell is one `python -m whisperlab.eval` in a process of its own with one thread; a cell that
has been measured is read, not measured again. Writes OUT/table.md; the runs stay in OUT/runs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from whisperlab.experiment.folder import read_run
from whisperlab.experiment.result import RunResult
from whisperlab.experiment.scoring import rates, score_outcomes
from whisperlab.metric.wer import WordErrorRate
from whisperlab.normalize.profile import Profile
from whisperlab.normalize.whisper_basic import WhisperBasic

PRECISIONS = ("none", "bfloat16", "float16", "dynamic_int8", "bnb_int8", "bnb_nf4", "bnb_fp4")
BEAMS = (1, 5)
BATCH_SIZE = 8
BASIC = Profile(name="basic", version="2025-06", steps=(WhisperBasic(),))
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Cell:
    """One measured combination."""

    precision: str
    beams: int
    dataset: str
    folder: Path

    def command(self, fsdd: Path) -> list[str]:
        """Returns the evaluation that measures this cell."""
        source = {
            "digits": ["dataset=manifest", f"dataset.path={fsdd / 'test.jsonl'}"],
            "strings": ["dataset=manifest", f"dataset.path={fsdd / 'test_strings.jsonl'}"],
            "demo": ["dataset=demo_digits"],
        }[self.dataset]
        return [
            sys.executable, "-m", "whisperlab.eval", "device=cpu", "decode.language=en",
            "decode.timestamps=none", f"quantization={self.precision}",
            f"decode.beam_size={self.beams}", f"batch_size={BATCH_SIZE}", "latency_utterances=0",
            f"run_dir={self.folder}", *source,
        ]  # fmt: skip


def measure(cell: Cell, fsdd: Path) -> RunResult:
    """Returns the cell's run, measured unless it is there."""
    subprocess.run(
        cell.command(fsdd),
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return read_run(cell.folder)


def wer(run: RunResult, kind: str | None = None) -> str:
    """Returns WER with its interval in percent, of one ``kind`` or of all."""
    chosen = [o for o in run.outcomes if kind is None or o.slices.get("kind") == kind]
    scored = score_outcomes(chosen, BASIC, [WordErrorRate()])
    rate = rates(scored, [WordErrorRate()], resamples=10_000, seed=0)["wer"]
    if rate.value is None or rate.low is None or rate.high is None:
        return "–"
    return f"{100 * rate.value:.1f} [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def silent(run: RunResult) -> str:
    """Returns how many of the speechless clips stayed empty."""
    clips = [outcome for outcome in run.outcomes if outcome.slices.get("kind") == "nospeech"]
    return f"{sum(not outcome.text for outcome in clips)}/{len(clips)}"


def milliseconds_a_token(runs: Sequence[RunResult]) -> str:
    """Returns decoding time (encoder left out) over all emitted tokens."""
    seconds = sum(run.scores.speed.stages["decode_tokens"] for run in runs)
    tokens = sum(
        len(segment.tokens) + 1 for run in runs for o in run.outcomes for segment in o.segments
    )
    return f"{1000 * seconds / tokens:.1f}"


def main() -> None:
    """Measures what is missing and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fsdd", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    cells = [
        Cell(precision, beams, dataset, given.output / "runs" / f"{precision}-{beams}-{dataset}")
        for beams in BEAMS
        for precision in PRECISIONS
        for dataset in ("digits", "strings", "demo")
    ]
    with ThreadPoolExecutor(given.jobs) as pool:
        runs = dict(
            zip(cells, pool.map(lambda cell: measure(cell, given.fsdd), cells), strict=True)
        )
    lines = [
        "| precision | beams | single digits | strings 3-7 | strings 10-16 | silence kept empty | "
        "demo digits | ms a token | encoder ms a clip | peak MiB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for beams in BEAMS:
        for precision in PRECISIONS:
            digits, strings, demo = (
                runs[cell] for cell in cells if (cell.precision, cell.beams) == (precision, beams)
            )
            three = (digits, strings, demo)
            clips = sum(run.scores.utterances.total for run in three)
            encode = 1000 * sum(run.scores.speed.stages["encode"] for run in three) / clips
            peak = max(run.scores.memory["process_peak_rss"] or 0 for run in three) / MEBIBYTE
            cells_of_row = [
                precision, str(beams), wer(digits), wer(strings, "short"), wer(strings, "long"),
                silent(strings), wer(demo), milliseconds_a_token(three), f"{encode:.0f}",
                f"{peak:.0f}",
            ]  # fmt: skip
            lines.append("| " + " | ".join(cells_of_row) + " |")
    card = runs[cells[0]].card
    notes = {"hardware": card.hardware, "versions": card.versions, "git": card.git}
    table = "\n".join(lines)
    (given.output / "table.md").write_text(
        f"{table}\n\n```json\n{json.dumps(notes, indent=1)}\n```\n", encoding="utf-8"
    )
    print(table)


if __name__ == "__main__":
    main()
