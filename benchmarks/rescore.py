"""What does scoring 100,000 utterances anew cost?

    OMP_NUM_THREADS=1 python benchmarks/rescore.py --profile basic
    OMP_NUM_THREADS=1 python benchmarks/rescore.py --profile whisper-english --utterances 20000

Writes a ledger of made-up sentences (5 to 35 words of letters, 2 % of them number words, 9 % wrong, one
segment with 30 tokens each),
runs `python -m whisperlab.runs rescore` on it in a process of its own, and prints its CPU and wall
seconds, its peak memory and the size of its pages.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from whisperlab.experiment.folder import LEDGER, RunFolder
from whisperlab.experiment.ledger import Ledger
from whisperlab.experiment.result import Latency, RunCard, Scores, Speed, Tally
from whisperlab.transcript import Segment
from whisperlab.utterance import Outcome, State

SYLLABLES = [f"{consonant}{vowel}" for consonant in "bdgklm" for vowel in "aeiou"]
WORDS = [
    f"{first}{middle}{last}"
    for first in ("ba", "ke", "li", "mo", "nu", "pra")
    for middle in SYLLABLES
    for last in SYLLABLES
]
"""5,400 words without a figure: one with figures is a number to a profile, which costs more than a word."""

NUMBERS = (
    "two",
    "three",
    "five",
    "seven",
    "eleven",
    "twenty",
    "forty",
    "hundred",
    "thousand",
    "point",
)
COMMON = [*WORDS[:290], *NUMBERS]
KIB = 1024


def outcome(number: int, chance: random.Random) -> Outcome:
    """Returns an utterance with a few errors of each kind."""
    said = [
        chance.choice(COMMON if chance.random() < 0.6 else WORDS)
        for _ in range(chance.randint(5, 35))
    ]
    heard = []
    for word in said:
        u = chance.random()
        if u < 0.05:
            heard.append(chance.choice(WORDS))
        elif u > 0.07:
            heard.append(word)
        if u > 0.98:
            heard.append(chance.choice(COMMON))
    text = " ".join(heard)
    segment = Segment(
        0.0, 8.0, text, tuple(range(30)), avg_logprob=-chance.random(), no_speech_prob=0.01,
        compression_ratio=1.2, temperature=0.0,
    )  # fmt: skip
    return Outcome(
        f"u{number:06}", State.OK, " ".join(said).capitalize() + ".", text, "en", (segment,), 8.0
    )


def write_run(path: Path, utterances: int) -> None:
    """Writes a finished run of so many utterances."""
    folder, chance = RunFolder(path), random.Random(0)
    tally = Tally(utterances, utterances, 0, 0, 0, 0)
    speed = Speed(None, 1, Latency(None, None, None, 0), None, {}, resumed=False)
    folder.write_card(RunCard("f", "c", {}, {}, 0, "", {}, {}, {}, {}))
    folder.write_scores(Scores(tally, {}, {"name": "raw", "hash": ""}, speed, {}, "f"))
    with Ledger(path / LEDGER) as ledger:
        for number in range(utterances):
            ledger.append([outcome(number, chance)])


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--profile", default="basic")
    parser.add_argument("--utterances", type=int, default=100_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        write_run(run, given.utterances)
        started = perf_counter()
        command = [sys.executable, "-m", "whisperlab.runs", "rescore", str(run)]
        subprocess.run(
            [*command, "--profile", given.profile], check=True, stdout=subprocess.DEVNULL
        )
        wall = perf_counter() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        pages = [page.stat().st_size / 1e6 for page in sorted(run.glob("report*.html"))]
        ledger = (run / LEDGER).stat().st_size / 1e6
    print(
        f"{given.utterances:,} utterances ({ledger:.0f} MB), profile {given.profile}: "
        f"{used.ru_utime + used.ru_stime:.1f} CPU s, {wall:.1f} s wall, "
        f"peak {used.ru_maxrss * KIB / 1e6:.0f} MB, {len(pages)} pages of {sum(pages):.1f} MB, largest {max(pages):.1f} MB"
    )


if __name__ == "__main__":
    main()
