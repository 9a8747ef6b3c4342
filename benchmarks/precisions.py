"""Every precision, greedy and beam 5, on the digits sets: WER with interval, time a token, memory.

    python benchmarks/precisions.py --fsdd ../shared/data/fsdd --output OUT

Each precision and beam has a process of its own with one thread. It times itself on the digits of
the demo set, then evaluates the sets as ``python -m whisperlab.eval`` does, from the same
configuration. What has been measured is read, not measured again. Time is this process's processor
time, which other work on the machine does not lengthen much; wall time stands beside it. Writes
OUT/table.md; the runs stay in OUT/runs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, process_time

from whisperlab.config.build import build_profile
from whisperlab.config.compose import compose
from whisperlab.experiment.folder import read_run
from whisperlab.experiment.result import RunResult
from whisperlab.experiment.scoring import rates, score_outcomes
from whisperlab.metric.wer import WordErrorRate

PRECISIONS = ("none", "bfloat16", "dynamic_int8", "bnb_int8", "bnb_nf4", "bnb_fp4", "float16")
SLOW = ("float16",)
"""On a processor ten times as slow as float32: only the demo set is heard."""
BEAMS = (1, 5)
BATCH_SIZE = 8
BASIC = build_profile(compose("eval", ["profile=basic"]))
MEBIBYTE = 1 << 20
KIBIBYTE = 1 << 10
DEMO = Path(__file__).resolve().parents[1] / "whisperlab" / "dataset" / "demo"


@dataclass(frozen=True)
class Cost:
    """What one precision and beam cost on the demo digits, after a warm-up; tokens with their end."""

    clips: int
    tokens: int
    wall_seconds: float
    cpu_seconds: float
    decode_share: float
    """The part of the time that the decoder took; the encoder and the features took the rest."""
    start_rss_bytes: int
    peak_rss_bytes: int


@dataclass(frozen=True)
class Row:
    """One line of the table: a precision, the beams, its folder with a run for each set."""

    precision: str
    beams: int
    folder: Path

    @property
    def sets(self) -> tuple[str, ...]:
        """The sets that this row hears."""
        return ("demo",) if self.precision in SLOW else ("demo", "digits", "strings")

    def has(self, name: str) -> bool:
        """Returns whether the set ``name`` has been evaluated."""
        return (self.folder / name / "scores.json").is_file()

    @property
    def options(self) -> list[str]:
        """The overrides that all sets share."""
        return ["device=cpu", "decode.language=en", "decode.timestamps=none",
                f"quantization={self.precision}", f"decode.beam_size={self.beams}"]  # fmt: skip


def rss_bytes() -> int:
    """Returns the greatest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBIBYTE


def cost(row: Row) -> Cost:
    """Returns what ``row`` costs, measured in this process."""
    import torch  # noqa: F401 - imported now, so that its size counts as the start
    import transformers  # noqa: F401

    from whisperlab.config.build import build_transcriber

    transcriber = build_transcriber(compose("transcriber", row.options))
    clips = sorted(DEMO.glob("digits-*.flac"))
    start = rss_bytes()
    transcriber.recognise(clips[:BATCH_SIZE])
    wall, cpu, tokens, decode, total = 0.0, 0.0, 0, 0.0, 0.0
    for first in range(0, len(clips), BATCH_SIZE):
        begun, worked = perf_counter(), process_time()
        heard = transcriber.recognise(clips[first : first + BATCH_SIZE])
        wall += perf_counter() - begun
        cpu += process_time() - worked
        for recognition in heard:
            if recognition.transcript is None:
                raise SystemExit(f"{row.precision}: {recognition.error}")
            tokens += sum(len(segment.tokens) + 1 for segment in recognition.transcript.segments)
            decode += recognition.timings["decode_tokens"]
            total += recognition.timings["total"]
    return Cost(len(clips), tokens, wall, cpu, decode / total, start, rss_bytes())


def measure(row: Row, fsdd: Path) -> None:
    """Measures ``row`` in this process: its cost, then a run for each set."""
    from whisperlab.eval.evaluate import evaluate

    row.folder.mkdir(parents=True, exist_ok=True)
    notes = row.folder / "cost.json"
    if not notes.is_file():
        notes.write_text(json.dumps(asdict(cost(row))), encoding="utf-8")
    sources = {
        "demo": ["dataset=demo_digits"],
        "digits": ["dataset=manifest", f"dataset.path={fsdd / 'test.jsonl'}"],
        "strings": ["dataset=manifest", f"dataset.path={fsdd / 'test_strings.jsonl'}"],
    }
    for name in row.sets:
        overrides = [*row.options, f"batch_size={BATCH_SIZE}", "latency_utterances=0",
                     f"run_dir={row.folder / name}", *sources[name]]  # fmt: skip
        sys.argv[1:] = overrides  # the run's card names the command that would do the same
        evaluate(compose("eval", overrides))


def wer(run: RunResult | None, kind: str | None = None) -> str:
    """Returns WER with its interval in percent, of one ``kind`` or of all."""
    if run is None:
        return "–"
    chosen = [o for o in run.outcomes if kind is None or o.slices.get("kind") == kind]
    scored = score_outcomes(chosen, BASIC, [WordErrorRate()])
    rate = rates(scored, [WordErrorRate()], resamples=10_000, seed=0)["wer"]
    if rate.value is None or rate.low is None or rate.high is None:
        return "–"
    return f"{100 * rate.value:.1f} [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def silent(run: RunResult | None) -> str:
    """Returns how many of the speechless clips stayed empty."""
    if run is None:
        return "–"
    clips = [outcome for outcome in run.outcomes if outcome.slices.get("kind") == "nospeech"]
    return f"{sum(not outcome.text for outcome in clips)}/{len(clips)}"


def table_row(row: Row) -> str:
    """Returns ``row`` in markdown, read from its folder."""
    runs = {name: read_run(row.folder / name) for name in row.sets if row.has(name)}
    spent = Cost(**json.loads((row.folder / "cost.json").read_text(encoding="utf-8")))
    token_ms = 1000 * spent.decode_share / spent.tokens
    other_ms = 1000 * (1 - spent.decode_share) * spent.cpu_seconds / spent.clips
    strings = runs.get("strings")
    cells = [
        row.precision, str(row.beams), wer(runs.get("digits")), wer(strings, "short"),
        wer(strings, "long"), silent(strings), wer(runs.get("demo")),
        f"{token_ms * spent.cpu_seconds:.1f}", f"{token_ms * spent.wall_seconds:.1f}",
        f"{other_ms:.0f}", f"{spent.peak_rss_bytes / MEBIBYTE:.0f}",
        f"{(spent.peak_rss_bytes - spent.start_rss_bytes) / MEBIBYTE:.0f}",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Measures what is missing, a process a row, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fsdd", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--row", help="PRECISION:BEAMS, what a child process measures")
    given = parser.parse_args()
    rows = [
        Row(precision, beams, given.output / "runs" / f"{precision}-{beams}")
        for beams in BEAMS
        for precision in PRECISIONS
    ]
    if given.row is not None:
        measure(next(r for r in rows if f"{r.precision}:{r.beams}" == given.row), given.fsdd)
        return
    for row in rows:
        if all(row.has(name) for name in row.sets):
            continue
        subprocess.run(
            [sys.executable, __file__, "--fsdd", given.fsdd, "--output", given.output,
             "--row", f"{row.precision}:{row.beams}"],
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        write_table(given.output, rows)
    print(write_table(given.output, rows))


def write_table(output: Path, rows: Sequence[Row]) -> str:
    """Writes OUT/table.md and returns the table of the rows that have been measured."""
    done = [row for row in rows if row.has("demo")]
    lines = [
        "| precision | beams | single digits | strings 3-7 | strings 10-16 | silence kept empty | "
        "demo digits | CPU ms a token | wall ms a token | CPU ms a clip before it | peak MiB | "
        "of it after imports |",
        f"|{'---|' * 12}",
        *(table_row(row) for row in done),
    ]
    table = "\n".join(lines)
    card = read_run(done[0].folder / "demo").card
    notes = {"hardware": card.hardware, "versions": card.versions, "git": card.git}
    (output / "table.md").write_text(
        f"{table}\n\n```json\n{json.dumps(notes, indent=1)}\n```\n", encoding="utf-8"
    )
    return table


if __name__ == "__main__":
    main()
