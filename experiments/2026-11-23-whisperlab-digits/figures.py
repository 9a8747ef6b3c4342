"""The model card's figures from finished runs of ``python -m whisperlab.eval``.

    python figures.py RUN_DIGITS RUN_STRINGS RUN_STRINGS_WITH_TIMESTAMPS RUN_DEMO TEST_STRINGS_JSONL

Prints one table row a set: WER with its interval, and the errors of segment ends and words.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median

from whisperlab.experiment.folder import read_run
from whisperlab.experiment.result import RunResult
from whisperlab.experiment.scoring import rates, score_outcomes
from whisperlab.metric.wer import WordErrorRate
from whisperlab.normalize.profile import Profile
from whisperlab.normalize.whisper_basic import WhisperBasic

BASIC = Profile(name="basic", version="2025-06", steps=(WhisperBasic(),))


def row(title: str, run: RunResult, kind: str | None = None) -> str:
    chosen = [o for o in run.outcomes if kind is None or o.slices.get("kind") == kind]
    scored = score_outcomes(chosen, BASIC, [WordErrorRate()])
    rate = rates(scored, [WordErrorRate()], resamples=10_000, seed=0)["wer"]
    edits = f"{rate.substitutions}/{rate.insertions}/{rate.deletions}"
    shown = "–" if rate.value is None else f"{100 * rate.value:.2f} %"
    bounds = "–" if rate.low is None else f"{100 * rate.low:.2f} – {100 * rate.high:.2f} %"
    return f"| {title} | {len(chosen)} | {rate.reference_words} | {shown} | {bounds} | {edits} |"


def main() -> None:
    digits, strings, timed, demo = (read_run(Path(path)) for path in sys.argv[1:5])
    lines = Path(sys.argv[5]).read_text(encoding="utf-8").splitlines()
    words = {item["id"]: item["words"] for item in map(json.loads, lines)}
    print("| set | utterances | words | WER | 95 % interval | S/I/D |\n|---|---|---|---|---|---|")
    print(row("single digits", digits))
    print(row("strings of 3-7", strings, "short"))
    print(row("strings of 3-7, with timestamps", timed, "short"))
    print(row("strings of 10-16", strings, "long"))
    print(row("strings of 10-16, with timestamps", timed, "long"))
    print(row("digits demo set", demo))
    for title, run in (("", strings), (" with timestamps", timed)):
        silent = [o for o in run.outcomes if o.slices.get("kind") == "nospeech"]
        print(f"\nempty on nospeech{title}: {sum(not o.text for o in silent)} of {len(silent)}")
    short = [o for o in timed.outcomes if o.slices.get("kind") == "short" and o.segments]
    ends = [abs(o.segments[-1].end - words[o.id][-1]["end"]) for o in short]
    print(f"median segment-end error: {median(ends):.3f} s over {len(ends)} strings")
    starts = [abs(o.segments[0].start - words[o.id][0]["start"]) for o in short]
    print(f"median segment-start error: {median(starts):.3f} s")
    begun, ended = [], []
    for outcome in short:
        found = [word for segment in outcome.segments for word in segment.words]
        if [word.text for word in found] == [word["word"] for word in words[outcome.id]]:
            begun += [abs(w.start - t["start"]) for w, t in zip(found, words[outcome.id], strict=True)]
            ended += [abs(w.end - t["end"]) for w, t in zip(found, words[outcome.id], strict=True)]
    if begun:
        print(
            f"median word error: start {median(begun):.3f} s, end {median(ended):.3f} s, {len(begun)} words"
        )


if __name__ == "__main__":
    main()
