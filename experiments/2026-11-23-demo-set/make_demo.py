"""Makes the demo set in ``whisperlab/dataset/demo``: espeak-ng speech, silence and noise.

The same espeak-ng version gives the same bytes again. From the repository's root::

    python experiments/2026-11-23-demo-set/make_demo.py whisperlab/dataset/demo

``sentences.txt`` holds the sentences and the two long texts, written for this set. The voices of the
digit strings come from ``held_out_voices.json``: no digits model of ours has been trained on them.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile
import soxr

HERE = Path(__file__).parent
HELD_OUT = HERE.parent / "2026-11-23-whisperlab-digits" / "held_out_voices.json"
SAMPLE_RATE_HZ = 16_000
SEED = 20_261_123

SENTENCE_VOICES = (
    "en-us",
    "en-gb",
    "en-us+f2",
    "en-gb-x-rp+f4",
    "en-gb-scotland+m2",
    "en-029+f1",
    "en-us+m7",
    "en-gb+f5",
    "en-us-nyc+m1",
    "en-gb-x-gbclan+f2",
)
SENTENCE_PACES = (140, 160, 180)
LONG_VOICES = (("en-us+f1", 150), ("en-gb+m3", 155))

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGIT_VOICES = (
    "en-us+f3",
    "en-gb-scotland+m4",
    "en-us+Andrea",
    "en-gb+m4",
    "en-gb-x-rp+Diogo",
    "en-us+m4",
)
DIGIT_PACES = (120, 140, 160)
DIGIT_LENGTHS = (1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 7, 7, 8, 8, 9, 10)
DIGIT_GAP = 8
"""Tens of milliseconds between words, as people leave them when they dictate a number."""

AMPLITUDE = 70
"""Of espeak-ng's 0 to 200; at its usual 100 some voices clip."""

QUIET_BITS = 4
"""Low bits set to zero: 12 of 16 are left, 60 dB below the peak, and FLAC halves in size."""


def speak(text: str, voice: str, words_per_minute: int, gap: int = 0) -> np.ndarray:
    """Returns espeak-ng's int16 samples at 16 kHz."""
    accent, plus, variant = voice.partition("+")
    if variant and espeak(text, f"{espeak_name(accent)}{plus}{variant}") == espeak(
        text, espeak_name(accent)
    ):
        # espeak-ng passes over a variant that it does not know and says nothing.
        raise ValueError(f"espeak-ng has no variant {variant!r} of {accent!r}")
    spoken = espeak(text, f"{espeak_name(accent)}{plus}{variant}", words_per_minute, gap)
    # espeak-ng writes a stream's header, whose lengths are wrong: the samples follow byte 44.
    rate = int.from_bytes(spoken[24:28], "little")
    samples = np.frombuffer(spoken[44:], dtype="<i2").astype(np.float32)
    return as_int16(soxr.resample(samples, rate, SAMPLE_RATE_HZ, quality="HQ"))


def espeak(text: str, name: str, words_per_minute: int = 160, gap: int = 0) -> bytes:
    """Returns what espeak-ng writes, a WAV stream."""
    command = [
        "espeak-ng",
        "-v",
        name,
        "-a",
        str(AMPLITUDE),
        "-s",
        str(words_per_minute),
        "-g",
        str(gap),
    ]
    return subprocess.run([*command, "--stdout", text], check=True, capture_output=True).stdout


def espeak_name(accent: str) -> str:
    """Returns the accent's file where its name is a language, which takes no variants."""
    return "gmw/en" if accent == "en-gb" else accent


def as_int16(samples: np.ndarray) -> np.ndarray:
    """Returns the samples as 16-bit integers with their low bits zero."""
    step = 1 << QUIET_BITS
    coarse = np.round(samples / step) * step
    return np.clip(coarse, -32768, 32768 - step).astype(np.int16)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("*.flac"), *folder.glob("*.jsonl")):
        old.unlink()
    paragraphs = (HERE / "sentences.txt").read_text(encoding="utf-8").split("\n\n")
    sentences = paragraphs[0].splitlines()
    long_texts = [" ".join(paragraph.split()) for paragraph in paragraphs[1:]]
    held_out = json.loads(HELD_OUT.read_text(encoding="utf-8"))["voices"]
    assert set(DIGIT_VOICES) <= set(held_out), "digits are spoken by held-out voices only"
    random = np.random.default_rng(SEED)
    rows: list[dict[str, object]] = []

    def add(name: str, samples: np.ndarray, text: str, voice: str, kind: str) -> None:
        encoded = io.BytesIO()
        soundfile.write(encoded, samples, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
        (folder / f"{name}.flac").write_bytes(encoded.getvalue())
        rows.append(
            {
                "id": name,
                "audio_filepath": f"{name}.flac",
                "text": text,
                "duration": round(len(samples) / SAMPLE_RATE_HZ, 4),
                "voice": voice,
                "kind": kind,
            }
        )

    for number, sentence in enumerate(sentences):
        voice = SENTENCE_VOICES[number % len(SENTENCE_VOICES)]
        pace = SENTENCE_PACES[number % len(SENTENCE_PACES)]
        add(f"sentence-{number:02d}", speak(sentence, voice, pace), sentence, voice, "sentence")
    for number, length in enumerate(DIGIT_LENGTHS):
        voice = DIGIT_VOICES[number % len(DIGIT_VOICES)]
        text = " ".join(DIGITS[digit] for digit in random.integers(0, 10, length))
        pace = DIGIT_PACES[number % len(DIGIT_PACES)]
        add(f"digits-{number:02d}", speak(text, voice, pace, DIGIT_GAP), text, voice, "digits")
    for number, (text, (voice, pace)) in enumerate(zip(long_texts, LONG_VOICES, strict=True)):
        add(f"long-{number}", speak(text, voice, pace), text, voice, "long")
    add("silence", np.zeros(5 * SAMPLE_RATE_HZ, np.int16), "", "none", "silence")
    # -40 dB re full scale: the level of a quiet room, well above the rounding.
    noise = random.normal(0, 0.01 * 32768, 5 * SAMPLE_RATE_HZ)
    add("noise", as_int16(noise), "", "none", "noise")

    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "manifest.jsonl").write_text(lines, encoding="utf-8")
    size = sum(one.stat().st_size for one in folder.iterdir())
    seconds = sum(float(str(row["duration"])) for row in rows)
    print(f"{len(rows)} utterances, {seconds:.1f} s, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
