"""The model card's figures, every one from a finished run of ``python -m whisperlab.eval``.

    python further_sets.py --fsdd FSDD --output FURTHER
    python figures.py --fsdd FSDD --further FURTHER --runs RUNS --card MODEL_CARD.md

Runs what RUNS does not hold yet and writes the tables between the two marks of the card. A row's
command is ``python -m whisperlab.eval``, the options that all share, and the row's own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from whisperlab.config.build import build_profile
from whisperlab.config.compose import compose
from whisperlab.experiment.folder import read_run
from whisperlab.experiment.result import RunResult
from whisperlab.experiment.scoring import rates, score_outcomes
from whisperlab.metric.wer import WordErrorRate

BASIC = build_profile(compose("eval", ["profile=basic"]))
SHARED = ("device=cpu", "batch_size=8", "latency_utterances=0")
ENGLISH = "decode.language=en"
PLAIN = "decode.timestamps=none"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"

Words = dict[str, list[dict[str, float | str]]]


@dataclass(frozen=True)
class Run:
    """One evaluation: its folder's name, the set's manifest or dataset, its options."""

    name: str
    source: str
    options: tuple[str, ...]


SINGLES, STRINGS = "FSDD/test.jsonl", "FSDD/test_strings.jsonl"
RUNS = {
    run.name: run
    for run in (
        Run("digits", SINGLES, (ENGLISH, PLAIN)),
        Run("digits-times", SINGLES, (ENGLISH,)),
        Run("strings", STRINGS, (ENGLISH, PLAIN)),
        Run("strings-words", STRINGS, (ENGLISH, "decode.timestamps=word")),
        Run("strings-beam", STRINGS, (ENGLISH, PLAIN, "decode.beam_size=5")),
        Run("strings-prompt", STRINGS, (ENGLISH, PLAIN, "decode.prompt='two seven one'")),
        Run(
            "strings-english-prompt",
            STRINGS,
            (ENGLISH, PLAIN, "decode.prompt='please wait for the train'"),
        ),
        Run("strings-language", STRINGS, (PLAIN,)),
        Run("demo", "demo_digits", (ENGLISH, PLAIN)),
        Run("demo-times", "demo_digits", (ENGLISH,)),
        Run("voices", "FURTHER/voices.jsonl", (ENGLISH, PLAIN)),
        Run("silence", "FURTHER/silence.jsonl", (ENGLISH, PLAIN)),
        Run("silence-times", "FURTHER/silence.jsonl", (ENGLISH,)),
        *(Run(f"joined-{gap}", f"FURTHER/joined-{gap}.jsonl", (ENGLISH,)) for gap in (0.6, 1.5, 3.0)),
        *(
            Run(f"joined-{gap}-vad", f"FURTHER/joined-{gap}.jsonl", (ENGLISH, "segmentation=silero_vad"))
            for gap in (0.6, 1.5, 3.0)
        ),
        Run(
            "joined-1.5-text",
            "FURTHER/joined-1.5.jsonl",
            (ENGLISH, "decode.condition_on_previous_text=true"),
        ),
    )
}  # fmt: skip

ROWS = (
    ("FSDD `test.jsonl`, single digits", "digits", None, "<= 2 %, aim 1 %"),
    ("the same, with timestamps", "digits-times", None, ""),
    ("`test_strings.jsonl` short (3 to 7 digits)", "strings", "short", "<= 8 %, aim 4 %"),
    ("the same, with timestamps", "strings-words", "short", "<= 10 %, aim 6 %"),
    ("the same, beam 5", "strings-beam", "short", ""),
    ("the same, behind a prompt of three digits", "strings-prompt", "short", ""),
    ("the same, behind an English prompt", "strings-english-prompt", "short", ""),
    ("the same, language detected", "strings-language", "short", ""),
    ("the same, behind 0 to 10 s of silence more", "silence", None, ""),
    ("the same, with timestamps", "silence-times", None, ""),
    ("`test_strings.jsonl` long (10 to 16 digits)", "strings", "long", "<= 40 %, aim 15 %"),
    ("the same, with timestamps", "strings-words", "long", ""),
    ("digits demo set, held-out voices", "demo", None, "<= 5 %"),
    ("the same, with timestamps (`make eval`)", "demo-times", None, "<= 5 %"),
    ("further strings of 1 to 7, held-out voices", "voices", None, ""),
    ("long form: 12 short strings joined, 0.6 s between them", "joined-0.6", None, ""),
    ("long form: the same, 1.5 s between them", "joined-1.5", None, ""),
    ("long form: the same, 3 s between them", "joined-3.0", None, ""),
    ("long form: 1.5 s, conditioned on the previous text", "joined-1.5-text", None, ""),
    ("cut at pauses (`silero_vad`): 0.6 s between them", "joined-0.6-vad", None, ""),
    ("cut at pauses: 1.5 s", "joined-1.5-vad", None, ""),
    ("cut at pauses: 3 s", "joined-3.0-vad", None, ""),
)


@dataclass(frozen=True)
class Places:
    """Where the sets and the runs are."""

    fsdd: Path
    further: Path
    runs: Path

    def manifest(self, source: str) -> Path | None:
        """Returns the manifest of a run's source, ``None`` for a dataset of the package."""
        folder, _, name = source.partition("/")
        return {"FSDD": self.fsdd, "FURTHER": self.further}[folder] / name if name else None

    def measure(self, run: Run) -> RunResult:
        """Returns the finished run, run now unless it is there."""
        manifest = self.manifest(run.source)
        source = [f"dataset={run.source}"]
        if manifest is not None:
            source = ["dataset=manifest", f"dataset.path={manifest}"]
        folder = self.runs / run.name
        if not (folder / "scores.json").is_file():
            subprocess.run(
                [sys.executable, "-m", "whisperlab.eval", *SHARED, *run.options, *source,
                 f"run_dir={folder}"],
                check=True,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
            print(f"measured {run.name}", flush=True)
        return read_run(folder)

    def words(self, source: str) -> Words:
        """Returns the true words of a manifest's utterances by id."""
        manifest = self.manifest(source)
        lines = manifest.read_text(encoding="utf-8").splitlines() if manifest else []
        return {item["id"]: item.get("words", []) for item in map(json.loads, lines)}


def row(title: str, run: RunResult, kind: str | None, target: str) -> str:
    chosen = [o for o in run.outcomes if kind is None or o.slices.get("kind") == kind]
    scored = score_outcomes(chosen, BASIC, [WordErrorRate()])
    rate = rates(scored, [WordErrorRate()], resamples=10_000, seed=0)["wer"]
    shown = "–"
    if rate.value is not None and rate.low is not None and rate.high is not None:
        shown = f"{100 * rate.value:.1f} % [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"
    errors = rate.substitutions + rate.insertions + rate.deletions
    exact = sum(BASIC.normalize(o.reference) == BASIC.normalize(o.text) for o in chosen)
    return (
        f"| {title} | {shown} | {errors} / {rate.reference_words} words, "
        f"{exact} / {len(chosen)} utterances exact | {target} |"
    )


def distances(run: RunResult, kind: str, words: Words) -> list[str]:
    """Returns the rows of segment starts and ends, seconds from the true words'."""
    chosen = [o for o in run.outcomes if o.slices.get("kind") == kind and o.segments]
    ends = [abs(o.segments[-1].end - float(words[o.id][-1]["end"])) for o in chosen]
    starts = [abs(o.segments[0].start - float(words[o.id][0]["start"])) for o in chosen]
    target = "<= 0.25 s" if kind == "short" else ""
    return [
        f"| {kind}: median distance of the last segment's end from the last word's end | "
        f"{median(ends):.3f} s ({len(ends)} strings) | {target} |",
        f"| {kind}: median distance of the first segment's start from the first word's start | "
        f"{median(starts):.3f} s | |",
    ]


def word_distances(run: RunResult, words: Words) -> str:
    """Returns the row of word times, over the words of short strings heard without an error."""
    begun, ended = [], []
    for outcome in run.outcomes:
        found = [word for segment in outcome.segments for word in segment.words]
        true = words[outcome.id]
        if outcome.slices.get("kind") == "short" and [w.text for w in found] == [
            w["word"] for w in true
        ]:
            begun += [abs(w.start - float(t["start"])) for w, t in zip(found, true, strict=True)]
            ended += [abs(w.end - float(t["end"])) for w, t in zip(found, true, strict=True)]
    return (
        f"| short: median absolute error of word times (`decode.timestamps=word`) | ends "
        f"{median(ended):.3f} s, starts {median(begun):.3f} s ({len(ended)} words of the exact "
        "strings) | reported |"
    )


def tables(places: Places) -> str:
    runs = {name: places.measure(run) for name, run in RUNS.items()}
    words = places.words(STRINGS)
    lines = ["| set | WER, 95 % interval | errors | target |", "|---|---|---|---|"]
    lines += [row(title, runs[name], kind, target) for title, name, kind, target in ROWS]
    silent = {}
    for name in ("strings", "strings-words"):
        clips = [o for o in runs[name].outcomes if o.slices.get("kind") == "nospeech"]
        silent[name] = f"{sum(not o.text for o in clips)} of {len(clips)}"
    short = [o for o in runs["strings-language"].outcomes if o.slices.get("kind") == "short"]
    english = sum(o.language == "en" for o in short)
    lines += [
        "",
        "| further | value | target |",
        "|---|---|---|",
        f"| no speech: empty text | {silent['strings']}; with timestamps {silent['strings-words']} "
        "| >= 18 of 20 |",
        *distances(runs["strings-words"], "short", words),
        *distances(runs["strings-words"], "long", words),
        word_distances(runs["strings-words"], words),
        f"| language detection says English | {english} of {len(short)} short strings | |",
        "",
        f"Commands: `python -m whisperlab.eval {' '.join(SHARED)}` and, row by row:",
        "",
        "| rows | `dataset=manifest dataset.path=` (the demo set: `dataset=`) | options |",
        "|---|---|---|",
    ]
    titles = {name: [n for n, r in enumerate(ROWS, 1) if r[1] == name] for name in RUNS}
    for name, run in RUNS.items():
        numbers = ", ".join(map(str, titles[name]))
        lines.append(f"| {numbers} | `{run.source}` | `{' '.join(run.options)}` |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fsdd", type=Path, required=True)
    parser.add_argument("--further", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--card", type=Path, required=True)
    given = parser.parse_args()
    shown = tables(Places(given.fsdd, given.further, given.runs))
    before, _, rest = given.card.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    given.card.write_text(f"{before}{BEGIN}\n{shown}\n{END}{after}", encoding="utf-8")
    print(shown)


if __name__ == "__main__":
    main()
