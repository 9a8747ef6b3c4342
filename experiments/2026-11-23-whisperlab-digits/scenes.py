"""Builds training scenes: digit strings, pause groups and no-speech clips with the span of every word."""

from __future__ import annotations

import dataclasses
import json
import pathlib

import numpy as np
import soundfile
import soxr
from layout import DIGITS
from scipy.signal import fftconvolve, lfilter

RATE = 16_000
SPEEDS = (0.84, 0.9, 0.95, 1.0, 1.05, 1.11, 1.19)
VALIDATION_INDICES = (5, 6)


@dataclasses.dataclass
class Scene:
    """Audio at 16 kHz and its words as (digit, start, end) in seconds; ``groups`` counts the words between long pauses."""

    audio: np.ndarray
    words: list[tuple[int, float, float]]
    groups: list[int]
    kind: str


class Recordings:
    """The FSDD training recordings at several speeds, by speaker and digit, and the synthetic voices."""

    def __init__(
        self,
        fsdd: pathlib.Path,
        synthetic: pathlib.Path,
        leave_out: str | None = None,
        validation: bool = False,
    ) -> None:
        self.real: dict[tuple[str, int], list[list[np.ndarray]]] = {}
        for line in (fsdd / "train.jsonl").read_text().splitlines():
            entry = json.loads(line)
            index = int(entry["id"].rsplit("_", 1)[1])
            if (index in VALIDATION_INDICES) != validation or entry["speaker"] == leave_out:
                continue
            samples, rate = soundfile.read(fsdd / entry["audio_filepath"], dtype="float32")
            speeds = (1.0,) if validation else SPEEDS
            takes = [soxr.resample(samples, rate * speed, RATE, quality="MQ") for speed in speeds]
            takes = [
                np.clip(
                    take * (24000 / max(1e-4, float(np.abs(take).max()))), -32768, 32767
                ).astype(np.int16)
                for take in takes
            ]
            self.real.setdefault((entry["speaker"], DIGITS.index(entry["text"])), []).append(takes)
        self.speakers = sorted({speaker for speaker, _ in self.real})
        stored = np.load(synthetic)
        self.synthetic_audio, self.offsets = stored["audio"], stored["offsets"]
        self.synthetic_words, self.spans, self.word_offsets = (
            stored["words"],
            stored["spans"],
            stored["word_offsets"],
        )
        counts = np.diff(self.word_offsets)
        self.singles = [
            [
                int(n)
                for n in np.flatnonzero(counts == 1)
                if self.synthetic_words[self.word_offsets[n]] == d
            ]
            for d in range(10)
        ]
        self.strings = np.flatnonzero(counts > 1)

    def real_word(
        self, random: np.random.Generator, speaker: str, digit: int, speed: int
    ) -> np.ndarray:
        takes = self.real[speaker, digit][random.integers(len(self.real[speaker, digit]))]
        return takes[min(speed, len(takes) - 1)].astype(np.float32) / 32768

    def synthetic(self, number: int) -> tuple[np.ndarray, list[tuple[int, float, float]]]:
        audio = (
            self.synthetic_audio[self.offsets[number] : self.offsets[number + 1]].astype(np.float32)
            / 32768
        )
        inside = slice(self.word_offsets[number], self.word_offsets[number + 1])
        words = [
            (int(d), float(s), float(e))
            for d, (s, e) in zip(self.synthetic_words[inside], self.spans[inside], strict=True)
        ]
        return audio, words


def coloured_noise(random: np.random.Generator, count: int) -> np.ndarray:
    """Noise of unit RMS: white, pink-like, brown-like, low- or high-passed."""
    noise = random.standard_normal(count).astype(np.float32)
    colour = random.integers(5)
    if colour == 1:
        noise = lfilter([0.05, -0.095, 0.051, -0.0044], [1, -2.495, 2.017, -0.522], noise)
    elif colour == 2:
        noise = lfilter([1], [1, -0.995], noise)
    elif colour == 3:
        pole = random.uniform(0.5, 0.95)
        noise = lfilter([1 - pole], [1, -pole], noise)
    elif colour == 4:
        noise = lfilter([1, -random.uniform(0.5, 0.98)], [1], noise)
    return (noise / (np.sqrt((noise**2).mean()) + 1e-9)).astype(np.float32)


def clicks(random: np.random.Generator, count: int, seconds: float) -> np.ndarray:
    """Single samples or short decaying bursts at random places."""
    piece = np.zeros(count)
    ticks = random.integers(
        0, count, random.integers(1, max(2, int(seconds * random.uniform(0.3, 8))))
    )
    piece[ticks] = random.uniform(-1, 1, len(ticks))
    if random.random() < 0.7:
        length = int(np.exp(random.uniform(np.log(8), np.log(800))))
        shape = np.exp(-np.arange(length) / (length / 4)) * random.standard_normal(length)
        piece = fftconvolve(piece, shape)[:count]
    return piece


def no_speech(random: np.random.Generator, seconds: float) -> np.ndarray:
    """Silence, noise, hum, tones, clicks, sweeps and mixtures of them."""
    count = int(seconds * RATE)
    time = np.arange(count) / RATE
    audio = np.zeros(count, np.float32)
    for _ in range(1 + (random.random() < 0.3)):
        kind = random.integers(9)
        if kind in (1, 2):
            piece = coloured_noise(random, count)
            if random.random() < 0.35:
                piece = piece * (
                    0.5
                    + 0.5 * np.sin(2 * np.pi * random.uniform(0.1, 6) * time + random.uniform(0, 6))
                ) ** random.integers(1, 4)
        elif kind == 3:
            base = random.choice((50.0, 60.0, 100.0, 120.0)) * random.uniform(0.98, 1.02)
            piece = sum(
                random.uniform(0, 1)
                / n
                * np.sin(2 * np.pi * base * n * time + random.uniform(0, 6))
                for n in range(1, 9)
            )
        elif kind in (4, 5):
            piece = sum(
                np.sin(2 * np.pi * np.exp(random.uniform(4.4, 8.8)) * time + random.uniform(0, 6))
                for _ in range(random.integers(1, 4))
            )
            if random.random() < 0.6:
                period, duty = random.uniform(0.1, 2.5), random.uniform(0.1, 0.9)
                piece = piece * (((time + random.uniform(0, 3)) % period) < duty * period)
        elif kind == 6:
            piece = clicks(random, count, seconds)
        elif kind in (7, 8):
            low, high = np.exp(random.uniform(3.9, 8.9, 2))
            period = random.choice((seconds, random.uniform(0.2, 4)))
            phase = (time % period) / period
            swept = (
                low * (high / low) ** phase if random.random() < 0.5 else low + (high - low) * phase
            )
            piece = np.sin(2 * np.pi * np.cumsum(swept) / RATE)
        else:
            piece = np.zeros(count)
        audio = audio + piece * random.uniform(0.2, 1)
    audio = (
        audio / (np.abs(audio).max() + 1e-9) * np.exp(random.uniform(np.log(0.0005), np.log(0.9)))
    )
    if random.random() < 0.4:
        audio = audio + coloured_noise(random, count) * np.exp(
            random.uniform(np.log(1e-5), np.log(0.01))
        )
    return audio.astype(np.float32)


def choose_digits(random: np.random.Generator, count: int) -> list[int]:
    """Uniform digits; one string in three draws from a few digits only, so that repeats are common."""
    alphabet = (
        np.arange(10)
        if random.random() < 0.65
        else random.choice(10, random.integers(1, 4), replace=False)
    )
    return [int(d) for d in random.choice(alphabet, count)]


def group_of_words(
    random: np.random.Generator, pool: Recordings, count: int, synthetic: bool
) -> tuple[np.ndarray, list[tuple[int, float, float]]]:
    """One pause group of ``count`` words that starts with its first word and ends with its last."""
    if synthetic and count > 1 and random.random() < 0.7:
        audio, words = pool.synthetic(int(pool.strings[random.integers(len(pool.strings))]))
        if len(words) <= count:
            return audio, words
        stop = int((words[count - 1][2] + words[count][1]) / 2 * RATE)
        return audio[:stop], words[:count]
    style = random.random()
    bounds = (
        (0.02, 0.4)
        if style < 0.55
        else (0.0, 0.1)
        if style < 0.75
        else (0.2, 0.6)
        if style < 0.92
        else (0.0, 1.0)
    )
    speaker, speed = (
        pool.speakers[random.integers(len(pool.speakers))],
        int(random.integers(len(SPEEDS))),
    )
    mixed = random.random() < 0.12
    pieces: list[np.ndarray] = []
    words, place = [], 0
    for number, digit in enumerate(choose_digits(random, count)):
        if number:
            gap = int(random.uniform(*bounds) * RATE)
            pieces.append(np.zeros(gap, np.float32))
            place += gap
        if mixed:
            speaker = pool.speakers[random.integers(len(pool.speakers))]
        if synthetic:
            word, _ = pool.synthetic(pool.singles[digit][random.integers(len(pool.singles[digit]))])
        else:
            word = pool.real_word(
                random,
                speaker,
                digit,
                int(np.clip(speed + random.integers(-1, 2), 0, len(SPEEDS) - 1)),
            )
        word = word * np.exp(random.uniform(-0.35, 0.35))
        pieces.append(word)
        words.append((digit, place / RATE, (place + len(word)) / RATE))
        place += len(word)
    return np.concatenate(pieces), words


def lead_of(random: np.random.Generator, largest: float) -> float:
    """Seconds before the first word: often none, now and then many."""
    draw = random.random()
    if draw < 0.3:
        return 0.0
    if draw < 0.5:
        return min(largest, random.uniform(0, 0.4))
    return random.uniform(0, min(largest, 3.5)) if draw < 0.92 else random.uniform(0, largest)


def build_scene(
    random: np.random.Generator,
    pool: Recordings,
    kind: str,
    digits: int,
    largest_lead: float,
    synthetic: bool,
    span: float = 29.5,
) -> Scene:
    """One scene of ``kind`` single, short, long, groups or nospeech; audio past ``span`` seconds is left off whole groups."""
    if kind == "nospeech":
        seconds = random.uniform(0.3, 8) if random.random() < 0.9 else random.uniform(8, 16)
        return Scene(no_speech(random, seconds), [], [], kind)
    lead = lead_of(random, largest_lead)
    pieces, words, groups, place = (
        [np.zeros(int(lead * RATE), np.float32)],
        [],
        [],
        int(lead * RATE),
    )
    for number in range(random.integers(2, 5) if kind == "groups" else 1):
        count = int(random.integers(1, max(2, digits // 2))) if kind == "groups" else digits
        audio, located = group_of_words(random, pool, count, synthetic)
        pause = int(random.uniform(1.5, 3.5) * RATE) if number else 0
        if (place + pause + len(audio)) / RATE > span:
            break
        pieces += [np.zeros(pause, np.float32), audio]
        place += pause
        words += [
            (digit, start + place / RATE, end + place / RATE) for digit, start, end in located
        ]
        groups.append(len(located))
        place += len(audio)
    trail = 0.0 if random.random() < 0.4 else min(random.uniform(0, 1.2), 29.9 - place / RATE)
    pieces.append(np.zeros(int(max(0.0, trail) * RATE), np.float32))
    audio = np.concatenate(pieces)
    audio = audio / (np.abs(audio).max() + 1e-6)
    if random.random() < 0.15:  # a small room
        length = int(random.uniform(0.03, 0.25) * RATE)
        tail = (
            random.standard_normal(length).astype(np.float32)
            * np.exp(-np.arange(length) / (length / 5))
            * random.uniform(0.02, 0.15)
        )
        tail[0] = 1.0
        audio = fftconvolve(audio, tail)[: len(audio)].astype(np.float32)
    if random.random() < 0.5:
        level = np.sqrt((audio**2).sum() / max(1, np.count_nonzero(np.abs(audio) > 1e-4)))
        audio = audio + coloured_noise(random, len(audio)) * level * 10 ** (
            -random.uniform(5, 45) / 20
        )
    if random.random() < 0.06:
        audio = (
            audio
            + 0.03 * random.random() * no_speech(random, len(audio) / RATE + 0.01)[: len(audio)]
        )
    return Scene(
        (audio * 10 ** (-random.uniform(0, 30) / 20)).astype(np.float32), words, groups, kind
    )


def draw_scene(random: np.random.Generator, pool: Recordings, step: int) -> Scene:
    """The curriculum: single digits first, then strings that grow to 20 digits, leading silence that grows to 10 s, groups last."""
    grown = min(1.0, step / 1500)
    weights = {
        "single": 0.55 - 0.41 * grown,
        "short": 0.35 + 0.08 * grown,
        "long": 0.24 * grown if step > 400 else 0.0,
        "groups": 0.08 if step > 1000 else 0.0,
        "nospeech": 0.1,
    }
    if step >= 1607:  # fewer long strings: their many words had half of the gradient
        weights = {"single": 0.16, "short": 0.50, "long": 0.16, "groups": 0.06, "nospeech": 0.12}
    if step >= 3900:  # and a short mix to end with: long strings damage the single digits
        weights = {"single": 0.20, "short": 0.54, "long": 0.10, "groups": 0.04, "nospeech": 0.12}
    kinds = list(weights)
    chance = np.array([weights[k] for k in kinds])
    kind = kinds[random.choice(len(kinds), p=chance / chance.sum())]
    most = int(3 + 17 * grown)
    count = {
        "single": 1,
        "short": int(random.integers(2, min(7, most) + 1)),
        "long": int(random.integers(6, max(7, most) + 1)),
        "groups": 12,
        "nospeech": 0,
    }[kind]
    scene = build_scene(
        random,
        pool,
        kind,
        count,
        largest_lead=0.5 + 9.5 * grown,
        synthetic=bool(random.random() < 0.28),
    )
    if len(scene.audio) > 29.9 * RATE:
        scene = Scene(
            scene.audio[: int(29.9 * RATE)],
            [w for w in scene.words if w[2] < 29.9],
            scene.groups,
            scene.kind,
        )
        scene.groups = [len(scene.words)]
    return scene
