"""How soon does a cancelled or timed-out sound stop, and do its neighbours notice?

    python benchmarks/cancel.py --data ../shared/data [--only cancel|timeout]

English speech makes ``whisperlab-digits`` loop for hundreds of decode steps. Each trial decodes it
once undisturbed; then a timer cancels one sound of the batch at a seeded random moment, whatever the
engine is doing. Counted are the decoder passes that begin after that moment (a sound alone), the
tokens that the sound still gets (in a batch, where the decoder goes on for the others), and the
neighbours whose tokens changed. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from threading import Timer
from time import perf_counter
from typing import Any

import numpy as np

from whisperlab.audio import Waveform, decode
from whisperlab.config.build import build_transcriber
from whisperlab.config.compose import compose
from whisperlab.engine.protocol import SilentWatch
from whisperlab.transcriber import Recognition, Transcriber
from whisperlab.transcript import Finish

SEED = 20261124
TRIALS = 8
BATCH = 8
LONG_FILES = 4
"""Recordings joined for one long sound, about a minute."""


@dataclass
class Cancel(SilentWatch):
    """Cancels one row from ``moment`` on, which a timer sets."""

    row: int
    moment: float | None = None

    def cancelled(self, index: int) -> bool:
        """Asked by the engine at every decode step."""
        return index == self.row and self.moment is not None

    def now(self) -> None:
        """What the timer calls."""
        self.moment = perf_counter()


@dataclass
class Steps:
    """When each decoder pass began."""

    begun: list[float] = field(default_factory=list)

    def __call__(self, *_: Any) -> None:
        """The decoder's hook."""
        self.begun.append(perf_counter())

    def since(self, moment: float) -> int:
        """Returns how many passes began after ``moment``."""
        return sum(begun > moment for begun in self.begun)


@dataclass(frozen=True)
class Trial:
    """What one cancelling did."""

    passes_after: int
    tokens_after: int
    seconds_after: float
    longest_between_passes_seconds: float
    changed_neighbours: int
    neighbours: int


def tokens(recognition: Recognition) -> list[int]:
    """Returns the tokens of a sound's segments."""
    if recognition.transcript is None:
        raise SystemExit(f"the engine failed: {recognition.error}")
    return [token for segment in recognition.transcript.segments for token in segment.tokens]


def trial(
    transcriber: Transcriber, steps: Steps, batch: Sequence[Waveform], chance: random.Random
) -> Trial | None:
    """Returns what cancelling a random row at a random moment did; ``None`` if it came too late."""
    steps.begun.clear()
    started = perf_counter()
    calm = [tokens(recognition) for recognition in transcriber.recognise(batch)]
    seconds = perf_counter() - started
    longest = max(np.diff([*steps.begun, perf_counter()]))
    watch = Cancel(chance.randrange(len(batch)))
    timer = Timer(chance.uniform(0, 0.8) * seconds, watch.now)
    steps.begun.clear()
    timer.start()
    heard = transcriber.recognise(batch, watch)
    ended = perf_counter()
    timer.cancel()
    timer.join()
    stopped = heard[watch.row].transcript
    if watch.moment is None or stopped is None or stopped.finish is not Finish.CANCELLED:
        return None  # it had ended by itself
    got = tokens(heard[watch.row])
    before = len(steps.begun) - steps.since(watch.moment)
    others = [row for row in range(len(batch)) if row != watch.row]
    return Trial(
        passes_after=steps.since(watch.moment),
        tokens_after=max(0, len(got) - before),
        seconds_after=ended - watch.moment,
        longest_between_passes_seconds=longest,
        changed_neighbours=sum(tokens(heard[row]) != calm[row] for row in others),
        neighbours=len(others),
    )


def timed_out(transcriber: Transcriber, steps: Steps, sound: Waveform, limit: float) -> int | None:
    """Returns how many decoder passes began after ``limit`` seconds in the engine.

    ``None`` of a sound that had ended by then.
    """
    steps.begun.clear()
    recognition = transcriber.recognise([sound])[0]
    if not recognition.timed_out:
        return None
    engine_began = perf_counter() - recognition.timings["total"]
    return steps.since(engine_began + limit)


def build(beams: int, *overrides: str) -> tuple[Transcriber, Steps]:
    """Returns a Transcriber and what counts its decoder's passes."""
    options = ["device=cpu", "decode.language=en", f"decode.beam_size={beams}", *overrides]
    transcriber = build_transcriber(compose("transcriber", options))
    steps = Steps()
    engine: Any = transcriber.load()
    engine._model.get_decoder().register_forward_pre_hook(steps)
    return transcriber, steps


def line(title: str, trials: Sequence[Trial]) -> str:
    """Returns a row of the table."""
    alone = trials[0].neighbours == 0
    passes = str(max(trial.passes_after for trial in trials)) if alone else "–"
    seconds = f"{1000 * median(trial.seconds_after for trial in trials):.0f}" if alone else "–"
    slowest = f"{1000 * median(trial.longest_between_passes_seconds for trial in trials):.0f}"
    changed = sum(trial.changed_neighbours for trial in trials)
    neighbours = sum(trial.neighbours for trial in trials)
    return (
        f"| {title} | {len(trials)} | {passes} | {max(t.tokens_after for t in trials)} | "
        f"{seconds} | {slowest} | {f'{changed} of {neighbours}' if neighbours else '–'} |"
    )


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", choices=("cancel", "timeout"))
    given = parser.parse_args()
    paths = sorted((given.data / "english_dev" / "audio").glob("ls-*.flac"))[::4]
    clips = [decode(path) for path in paths]
    short = [clip for clip in clips if clip.duration_seconds <= 30]
    long = [
        Waveform(np.concatenate([clip.samples for clip in short[first : first + LONG_FILES]]))
        for first in range(0, len(short), LONG_FILES)
    ]
    print("| sound | trials | most decoder passes that begin after | most tokens after | median ms "
          "until it returns | longest time from pass to pass, median ms | neighbours changed |")  # fmt: skip
    print(f"|{'---|' * 7}")
    chance = random.Random(SEED)
    for beams in (1, 5) if given.only != "timeout" else ():
        transcriber, steps = build(beams)
        name = "greedy" if beams == 1 else f"beam {beams}"
        for title, sounds, size in (
            ("alone", short, 1), ("long form, alone", long, 1), (f"one of {BATCH}", short, BATCH),
        ):  # fmt: skip
            trials = []
            for number in range(TRIALS):
                batch = [sounds[(number * size + row) % len(sounds)] for row in range(size)]
                found = trial(transcriber, steps, batch, chance)
                trials += [found] if found is not None else []
            print(line(f"{title}, {name}", trials), flush=True)
    for beams in (1, 5) if given.only != "cancel" else ():
        limit = 0.8
        transcriber, steps = build(beams, f"decode.timeout_seconds={limit}")
        transcriber.variant(transcriber.options).recognise(short[:1])  # warm
        found_after = [timed_out(transcriber, steps, sound, limit) for sound in long[:TRIALS]]
        after = [passes for passes in found_after if passes is not None]
        name = "greedy" if beams == 1 else f"beam {beams}"
        print(
            f"| timed out after {limit} s, long form, {name} | {len(after)} | {max(after)} | | | | |"
        )


if __name__ == "__main__":
    main()
