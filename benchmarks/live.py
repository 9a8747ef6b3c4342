"""The tab Live: how soon words appear, whether settled ones stay, and what cutting costs.

    python benchmarks/live.py words --data ../shared/data/fsdd   # joined digit strings, in this process
    python benchmarks/live.py page  --data ../shared/data/fsdd   # a real browser with a recording as its microphone

``words`` feeds recordings to the tab's rule 0.4 s at a time, with one decoding after each piece, as a
machine does that keeps up, and counts errors of the settled text beside those of the whole recording's.
``page`` measures in the page from the first loud sample that it gets to the first word that it shows.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import sleep

import httpx
import numpy as np
import soundfile

from whisperlab import load
from whisperlab.app.live import Recording
from whisperlab.audio import SAMPLE_RATE_HZ, Samples, decode
from whisperlab.metric.counts import NO_ERRORS, ErrorCounts
from whisperlab.metric.score import score_pair
from whisperlab.metric.wer import WordErrorRate
from whisperlab.normalize.profile import Profile
from whisperlab.normalize.whisper_basic import WhisperBasic

PIECE_SECONDS = 0.4
PAUSES_SECONDS = (0.8, 1.5, 0.3, 2.0, 1.0)
"""Silence behind each string, in turn: also one that is too short to settle anything."""

STRINGS_A_RECORDING = 5
CARD_RATE_HZ = 48_000
MICROPHONE_SILENCE_SECONDS = 1.5
LOUD = 0.05

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--use-fake-ui-for-media-stream --use-fake-device-for-media-stream"
)
WATCH = """() => {
  window.times = {};
  const level = document.querySelector('.wl-microphone meter');
  const look = () => {
    if (!times.loud && level.value > %s) times.loud = performance.now();
    if (!times.words && document.querySelector('#live .wl-words')?.innerText.trim()) times.words = performance.now();
    if (!times.words) setTimeout(look, 5);
  };
  look();
}"""


@dataclass(frozen=True)
class Said:
    """A recording and what is said in it."""

    samples: Samples
    text: str


def recordings(data: Path, count: int) -> Iterator[Said]:
    """Yields digit strings of several speakers joined with pauses."""
    rows = [json.loads(line) for line in (data / "test_strings.jsonl").read_text().splitlines()]
    for first in range(0, count * STRINGS_A_RECORDING, STRINGS_A_RECORDING):
        chosen = rows[first : first + STRINGS_A_RECORDING]
        parts = []
        for row, pause in zip(chosen, PAUSES_SECONDS, strict=True):
            parts += [decode(data / row["audio_filepath"]).samples]
            parts += [np.zeros(round(pause * SAMPLE_RATE_HZ), dtype=np.float32)]
        yield Said(np.concatenate(parts), " ".join(row["text"] for row in chosen))


def wav(samples: Samples) -> bytes:
    """Returns a 16-bit WAV file, as the page's microphone sends it."""
    written = io.BytesIO()
    with wave.open(written, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(SAMPLE_RATE_HZ)
        sound.writeframes((samples * 32767).astype("<i2").tobytes())
    return written.getvalue()


def words(data: Path, count: int) -> None:
    """Prints errors of the settled text beside the whole recording's."""
    plain = load("default")
    profile = Profile(name="basic", version="1", steps=(WhisperBasic(),))
    live = whole = NO_ERRORS
    decodings = rewritten = equal = settled_words = 0
    for said in recordings(data, count):
        recording, before = Recording(), list[str]()
        step = round(PIECE_SECONDS * SAMPLE_RATE_HZ)
        for start in range(0, len(said.samples), step):
            recording.add(wav(said.samples[start : start + step]))
            if (sound := recording.next_wav()) is None:
                continue
            recording.heard(plain.transcribe(decode(sound)).text)
            decodings += 1
            rewritten += recording.settled[: len(before)] != before
            before = list(recording.settled)
        text = " ".join([*recording.settled, recording.partial])
        settled_words += len(" ".join(recording.settled).split())
        final = plain.transcribe(decode(recording.whole_wav())).text
        offline = plain.transcribe(decode(wav(said.samples))).text
        equal += final == offline
        live += errors(profile, said.text, text)
        whole += errors(profile, said.text, offline)
        print(f"<!-- {said.text} | {text} | {offline} -->", file=sys.stderr)
    print(
        "| recordings | decodings | settled words rewritten | final = offline text | words settled before the end |"
    )
    print("|---|---|---|---|---|")
    print(
        f"| {count} | {decodings} | {rewritten} | {equal} of {count} | {settled_words} of {whole.reference_length} |"
    )
    print()
    print("| text | WER | substituted | inserted | deleted | words |")
    print("|---|---|---|---|---|---|")
    for name, counts in (
        ("live, settled and partial", live),
        ("the whole recording at once", whole),
    ):
        row = (counts.substitutions, counts.insertions, counts.deletions, counts.reference_length)
        print(f"| {name} | {100 * (counts.rate or 0):.1f} % | " + " | ".join(map(str, row)) + " |")


def errors(profile: Profile, reference: str, hypothesis: str) -> ErrorCounts:
    """Returns the word errors of one text."""
    return score_pair(profile, [WordErrorRate()], reference, hypothesis).counts["wer"]


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Starts a page of the embedded checkpoint; yields its address once it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "whisperlab.app", "port=0", "serve.log_level=warning", f"app.runs_dir={folder}"],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        address = next(line for line in process.stdout if line.startswith("listening on ")).split()[
            -1
        ]
        while httpx.get(f"{address}/health/ready", timeout=60.0).status_code != httpx.codes.OK:
            sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(60)


def page(data: Path, count: int) -> None:
    """Prints the seconds from the first sound of speech to the first word shown."""
    from playwright.sync_api import sync_playwright

    said = next(recordings(data, 1))
    first = int(np.argmax(np.abs(said.samples) > LOUD))
    silence = np.zeros(round(MICROPHONE_SILENCE_SECONDS * SAMPLE_RATE_HZ), dtype=np.float32)
    speech = np.repeat(
        np.concatenate([silence, said.samples[first:]]), CARD_RATE_HZ // SAMPLE_RATE_HZ
    )
    seconds = []
    with tempfile.TemporaryDirectory() as folder, served(Path(folder) / "runs") as address:
        microphone = Path(folder) / "speech.wav"
        soundfile.write(microphone, speech, CARD_RATE_HZ, "PCM_16")
        for _ in range(count):
            seconds.append(first_words_seconds(sync_playwright, address, microphone))
    print("| trials | first words after speech began: median s | worst s |")
    print("|---|---|---|")
    print(f"| {count} | {statistics.median(seconds):.2f} | {max(seconds):.2f} |")
    each = " ".join(f"{one:.2f}" for one in seconds)
    print(f"<!-- {each}; load {os.getloadavg()[0]:.1f} -->", file=sys.stderr)


def first_words_seconds(playwright: object, address: str, microphone: Path) -> float:
    """Returns the seconds of one recording in a browser of its own, whose microphone begins anew."""
    flags = [*FLAGS.split(), f"--use-file-for-fake-audio-capture={microphone}"]
    with playwright() as driver:  # type: ignore[operator]
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        context = browser.new_context(permissions=["microphone"])
        view = context.new_page()
        view.set_default_timeout(120_000)
        view.goto(address)
        view.get_by_role("tab", name="Live").click()
        record = view.get_by_role("button", name="Record", exact=True)
        record.wait_for()
        view.evaluate(WATCH % LOUD)
        record.click()
        view.wait_for_function("window.times.words")
        times = view.evaluate("window.times")
        browser.close()
    return float(times["words"] - times["loud"]) / 1000


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("campaign", choices=("words", "page"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=10, help="recordings, or trials")
    given = parser.parse_args(arguments)
    {"words": words, "page": page}[given.campaign](given.data, given.count)


if __name__ == "__main__":
    main()
