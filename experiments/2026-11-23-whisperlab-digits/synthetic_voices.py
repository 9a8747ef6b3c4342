"""Renders the synthetic half of the training material with espeak-ng.

Every rendering keeps the span of each word, which espeak-ng reports through its word events, so that the training can supervise timestamps and
cross attention. The voices of ``held_out_voices.json`` are never rendered here: the digits demo set is made of them.

Run it once before ``train.py``::

    python synthetic_voices.py --output $WORK/synthetic.npz
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import pathlib

import numpy as np
import soxr

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SAMPLE_RATE = 16_000
ACCENTS = (
    "en-gb",
    "en-us",
    "en-gb-scotland",
    "en-gb-x-gbclan",
    "en-gb-x-rp",
    "en-gb-x-gbcwmd",
    "en-029",
    "en-us-nyc",
)
VARIANTS = (
    *(
        "f1",
        "f2",
        "f4",
        "f5",
        "m1",
        "m2",
        "m3",
        "m5",
        "m6",
        "m7",
        "m8",
        "Alex",
        "Alicia",
        "Andy",
        "Annie",
        "antonio",
        "aunty",
        "belinda",
        "benjamin",
    ),
    *(
        "boris",
        "caleb",
        "david",
        "Denis",
        "ed",
        "edward",
        "Gene",
        "Gustave",
        "Hugo",
        "iven",
        "Jacky",
        "John",
        "Lee",
        "Marco",
        "Mario",
        "max",
    ),
    *(
        "miguel",
        "Mike",
        "Nguyen",
        "pablo",
        "paul",
        "pedro",
        "quincy",
        "rob",
        "robert",
        "steph",
        "steph2",
        "travis",
        "victor",
        "Zac",
        "norbert",
    ),
    *("grandma", "grandpa", "klatt", "klatt2", "klatt4", "anika", "sandro", "shelby", ""),
)
_WORD, _END, _RATE, _PITCH, _RANGE = 1, 0, 1, 3, 4


class _Event(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_int),
        ("unique", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("number", ctypes.c_int),
        ("pad", ctypes.c_int),
    )


class Synthesiser:
    """espeak-ng through its C library, because the command line does not report word times."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libespeak-ng.so.1")
        self.rate = self._library.espeak_Initialize(
            2, 0, None, 0
        )  # 2: synchronous, samples to the callback
        self._samples: list[np.ndarray] = []
        self._starts: list[float] = []
        kind = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
        )
        self._callback = kind(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: object, count: int, events: object) -> int:
        if samples and count:
            self._samples.append(np.ctypeslib.as_array(samples, (count,)).copy())  # type: ignore[call-overload]
        index = 0
        while events[index].kind != _END:  # type: ignore[index]
            if events[index].kind == _WORD:  # type: ignore[index]
                self._starts.append(events[index].audio_position / 1000.0)  # type: ignore[index]
            index += 1
        return 0

    def speak(
        self, text: str, voice: str, words_per_minute: int, pitch: int, pitch_range: int
    ) -> tuple[np.ndarray, list[float]]:
        """Returns int16 samples at ``rate`` and the start of each word in seconds."""
        self._samples, self._starts = [], []
        accent, _, variant = voice.partition("+")
        name = (
            "gmw/en" if accent == "en-gb" else accent
        )  # the library knows files, and "en-gb" is a language: its file is gmw/en
        if self._library.espeak_SetVoiceByName(f"{name}+{variant}".rstrip("+").encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        for parameter, value in ((_RATE, words_per_minute), (_PITCH, pitch), (_RANGE, pitch_range)):
            self._library.espeak_SetParameter(parameter, value, 0)
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, 0, 0, 1, None, None)
        self._library.espeak_Synchronize()
        return np.concatenate(self._samples) if self._samples else np.zeros(0, np.int16), list(
            self._starts
        )


def word_spans(samples: np.ndarray, rate: int, starts: list[float]) -> list[tuple[float, float]]:
    """Spans of the words in seconds: from each word event to the last audible 10 ms before the next one."""
    hop = rate // 100
    frames = samples[: len(samples) // hop * hop].reshape(-1, hop).astype(np.float64)
    loud = np.sqrt((frames**2).mean(axis=1)) > 0.01 * max(1.0, float(np.abs(samples).max()))
    spans = []
    edges = [*starts, len(samples) / rate]
    for start, following in itertools.pairwise(edges):
        first, last = int(start * 100), max(int(start * 100) + 1, int(following * 100))
        audible = np.flatnonzero(loud[first:last])
        if len(audible) == 0:
            spans.append((start, following))
        else:
            spans.append(((first + int(audible[0])) / 100, (first + int(audible[-1]) + 1) / 100))
    return spans


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--singles", type=int, default=6000)
    parser.add_argument("--strings", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=11)
    arguments = parser.parse_args()
    held_out = set(
        json.loads(pathlib.Path(__file__).with_name("held_out_voices.json").read_text())["voices"]
    )
    voices = [
        voice
        for accent in ACCENTS
        for variant in VARIANTS
        if (voice := f"{accent}+{variant}".rstrip("+")) not in held_out
    ]
    random = np.random.default_rng(arguments.seed)
    synthesiser = Synthesiser()
    audio, offsets, words, spans, word_offsets = [], [0], [], [], [0]
    skipped = 0
    for number in range(arguments.singles + arguments.strings):
        voice = voices[random.integers(len(voices))]
        count = 1 if number < arguments.singles else int(random.integers(2, 13))
        chosen = [number % 10] if count == 1 else [int(d) for d in random.integers(0, 10, count)]
        joint = " " if count == 1 else ("  ", " ", " ", ", ")[random.integers(4)]
        pace, pitch, swing = (
            int(random.integers(110, 215)),
            int(random.integers(25, 75)),
            int(random.integers(20, 80)),
        )
        samples, starts = synthesiser.speak(
            joint.join(DIGITS[d] for d in chosen), voice, pace, pitch, swing
        )
        if len(starts) != count or len(samples) == 0 or np.abs(samples).max() < 500:
            skipped += 1
            continue
        located = word_spans(samples, synthesiser.rate, starts)
        begin, end = max(0.0, located[0][0] - 0.01), located[-1][1] + 0.02
        cut = samples[int(begin * synthesiser.rate) : int(end * synthesiser.rate)]
        cut = soxr.resample(cut.astype(np.float32), synthesiser.rate, SAMPLE_RATE, quality="MQ")
        cut = np.clip(cut * (20000.0 / max(1.0, np.abs(cut).max())), -32768, 32767).astype(np.int16)
        audio.append(cut)
        offsets.append(offsets[-1] + len(cut))
        words.extend(chosen)
        spans.extend([(start - begin, stop - begin) for start, stop in located])
        word_offsets.append(word_offsets[-1] + count)
    np.savez(
        arguments.output,
        audio=np.concatenate(audio),
        offsets=np.array(offsets),
        words=np.array(words, np.int8),
        spans=np.array(spans, np.float32),
        word_offsets=np.array(word_offsets),
    )
    print(
        f"{len(audio)} renderings of {len(voices)} voices, {offsets[-1] / SAMPLE_RATE / 60:.1f} min, {skipped} skipped"
    )


if __name__ == "__main__":
    main()
