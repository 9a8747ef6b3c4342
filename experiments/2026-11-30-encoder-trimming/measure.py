"""WER, words written and CPU time of `engine=openvino` with whole and with trimmed windows, clip by clip of one sample.

    python experiments/2026-11-30-encoder-trimming/measure.py --manifest test_strings.jsonl --clips 16

One process, one thread, batches of 8, each engine heard once before the clock runs; then whole,
trimmed, trimmed, whole.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from time import perf_counter, process_time

from whisperlab.config.build import build_profile, build_transcriber
from whisperlab.config.compose import compose
from whisperlab.experiment.scoring import rates, score_outcomes
from whisperlab.metric.wer import WordErrorRate
from whisperlab.utterance import Outcome, State

BATCH = 8


def main() -> None:
    """Measures and prints a line a pass."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=16)
    given = parser.parse_args()
    lines = given.manifest.read_text(encoding="utf-8").splitlines()
    spoken = [row for row in map(json.loads, lines) if row["text"]]
    rows = random.Random(0).sample(spoken, given.clips)
    files = [given.manifest.parent / row["audio_filepath"] for row in rows]
    profile = build_profile(compose("eval", ["profile=basic"]))
    engines = {
        trim: build_transcriber(
            compose("transcriber", ["engine=openvino", "engine.threads=1", f"engine.trim={trim}", "decode.language=en"])
        )
        for trim in ("false", "true")
    }
    for transcriber in engines.values():
        transcriber.recognise(files[:BATCH])
    print(f"{len(files)} clips, {sum(row['duration'] for row in rows):.0f} s")
    for trim in ("false", "true", "true", "false"):
        outcomes, wall, cpu = [], perf_counter(), process_time()
        for first in range(0, len(files), BATCH):
            chosen = zip(rows[first:], engines[trim].recognise(files[first : first + BATCH]), strict=False)
            for row, heard in chosen:
                text = heard.transcript.text if heard.transcript else ""
                outcomes.append(Outcome(row["audio_filepath"], State.OK, row["text"], text))
        cpu_ms, wall_ms = ((now - then) * 1000 / len(files) for now, then in ((process_time(), cpu), (perf_counter(), wall)))
        rate = rates(score_outcomes(outcomes, profile, [WordErrorRate()]), [WordErrorRate()], resamples=2000, seed=0)["wer"]
        print(
            f"trim={trim} CPU {cpu_ms:.0f} ms, wall {wall_ms:.0f} ms a clip; WER {rate.value} [{rate.low}, {rate.high}] "
            f"S {rate.substitutions} D {rate.deletions} I {rate.insertions} of {rate.reference_words}",
            flush=True,
        )
        print("".join(f"  {one.reference} -> {one.text}\n" for one in outcomes[:3]), end="")


if __name__ == "__main__":
    main()
