"""Sound without speech, made by a seed: what a recogniser says when nobody speaks.

Owns the sounds and their names. It does not know recognisers: `dataset=non_speech` is evaluated like any
other set, and whatever text comes out is false. References are empty, so the error rate is undefined
(``None``); the failure section of the report counts the false words instead.

Every recording is drawn from the seed, its kind, length and take alone: a longer list of lengths or more
takes leave the others as they were.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Annotated

import numpy as np
import soundfile
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.dataset.subset import Seed
from whisperlab.utterance import Utterance

RATE_HZ = 16_000
FULL_SCALE = 32_767
"""Largest level of a 16-bit sample."""

PEAK = 0.99
"""Sounds with high peaks (clicks) are scaled down to this rather than clipped."""

MAINS_HZ = 50.0
MAINS_HARMONICS = (1.0, 0.5, 0.35, 0.2, 0.15)
"""Amplitudes of 50, 100, 150, ... Hz: what a bad cable adds."""

RINGING_HZ = (440.0, 480.0)
RINGING_ON_SECONDS, RINGING_OFF_SECONDS = 2.0, 4.0
"""The North American ringing tone. Source: ITU-T E.180 supplement 2."""

SYLLABLES_HZ = 4.0
"""Speech is loud and soft about four times a second (Houtgast and Steeneken 1985)."""

SPEECH_BAND_HZ = (150.0, 4_000.0)
TONE_BAND_HZ = (200.0, 2_000.0)
SWEEP_HZ = (100.0, 7_000.0)
CLICKS_PER_SECOND = 2.0
CLICK_SECONDS = 0.004

Samples = NDArray[np.float64]
Maker = Callable[[int, np.random.Generator], Samples]


def _silence(count: int, _: np.random.Generator) -> Samples:
    return np.zeros(count)


def _white(count: int, generator: np.random.Generator) -> Samples:
    return generator.standard_normal(count)


def _tilted(count: int, generator: np.random.Generator, power: float) -> Samples:
    """Returns noise whose power falls with frequency to the ``power``."""
    spectrum = np.fft.rfft(generator.standard_normal(count))
    hertz = np.fft.rfftfreq(count, 1 / RATE_HZ)
    spectrum[1:] /= hertz[1:] ** (power / 2)
    spectrum[0] = 0.0
    return np.fft.irfft(spectrum, count)


def _pink(count: int, generator: np.random.Generator) -> Samples:
    return _tilted(count, generator, 1.0)


def _brown(count: int, generator: np.random.Generator) -> Samples:
    return _tilted(count, generator, 2.0)


def _speech_shaped(count: int, generator: np.random.Generator) -> Samples:
    """Returns noise in the band of speech that swells like syllables and says nothing."""
    spectrum = np.fft.rfft(_pink(count, generator))
    hertz = np.fft.rfftfreq(count, 1 / RATE_HZ)
    spectrum[(hertz < SPEECH_BAND_HZ[0]) | (hertz > SPEECH_BAND_HZ[1])] = 0.0
    phase = generator.uniform(0, 2 * np.pi)
    swell = 1 + np.sin(2 * np.pi * SYLLABLES_HZ * _times(count) + phase)
    return np.asarray(np.fft.irfft(spectrum, count) * swell)


def _hum(count: int, _: np.random.Generator) -> Samples:
    waves = [
        amplitude * np.sin(2 * np.pi * MAINS_HZ * harmonic * _times(count))
        for harmonic, amplitude in enumerate(MAINS_HARMONICS, start=1)
    ]
    return np.asarray(np.sum(waves, axis=0))


def _tone(count: int, generator: np.random.Generator) -> Samples:
    hertz = generator.uniform(*TONE_BAND_HZ)
    return np.asarray(np.sin(2 * np.pi * hertz * _times(count)))


def _ringing(count: int, _: np.random.Generator) -> Samples:
    times = _times(count)
    on = times % (RINGING_ON_SECONDS + RINGING_OFF_SECONDS) < RINGING_ON_SECONDS
    waves = [np.sin(2 * np.pi * hertz * times) for hertz in RINGING_HZ]
    return np.asarray(on * np.sum(waves, axis=0))


def _sweep(count: int, _: np.random.Generator) -> Samples:
    times = _times(count)
    low, high = SWEEP_HZ
    cycles = low * times + (high - low) * times**2 * RATE_HZ / (2 * count)
    return np.asarray(np.sin(2 * np.pi * cycles))


def _clicks(count: int, generator: np.random.Generator) -> Samples:
    samples = np.zeros(count)
    length = round(CLICK_SECONDS * RATE_HZ)
    clicks = max(1, round(CLICKS_PER_SECOND * count / RATE_HZ))
    for start in generator.integers(0, max(1, count - length), size=clicks):
        burst = generator.standard_normal(min(length, count))
        samples[start : start + length] += burst * np.linspace(1, 0, len(burst))
    return samples


def _times(count: int) -> Samples:
    return np.arange(count) / RATE_HZ


SOUNDS: Mapping[str, Maker] = {
    "silence": _silence,
    "white": _white,
    "pink": _pink,
    "brown": _brown,
    "speech_shaped": _speech_shaped,
    "hum": _hum,
    "tone": _tone,
    "ringing": _ringing,
    "sweep": _sweep,
    "clicks": _clicks,
}
"""What there is, by the value of the slice ``kind``; a kind's place is part of its seed."""

Seconds = Annotated[float, Field(ge=0.1, le=3600, allow_inf_nan=False)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class NonSpeechDataset:
    """``takes`` recordings of every kind of sound and length, at ``level_db`` dBFS (RMS).

    Slices: ``kind`` and ``seconds``. Silence is digital zero at any level; a sound whose peaks would be
    clipped (clicks) is as loud as it can be.

    >>> sounds = NonSpeechDataset(seconds=(1.0, 31.0), takes=1, level_db=-30.0, seed=0)
    >>> len(sounds), next(iter(sounds)).id, next(iter(sounds)).reference
    (20, 'silence-1s-0', '')
    """

    seconds: Annotated[tuple[Seconds, ...], Field(strict=False, min_length=1)]
    takes: Annotated[int, Field(ge=1, le=1000)]
    level_db: Annotated[float, Field(ge=-90, le=-3, allow_inf_nan=False)]
    seed: Seed

    def __iter__(self) -> Iterator[Utterance]:
        """Yields kind by kind, length by length; a recording is the bytes of a 16-bit WAV file."""
        for name, kind, seconds, recording in self._recordings():
            slices = {"kind": kind, "seconds": f"{seconds:g}"}
            yield Utterance(id=name, audio=recording, reference="", slices=slices)

    def __len__(self) -> int:
        """Returns how many utterances iterating yields."""
        return len(SOUNDS) * len(self.seconds) * self.takes

    def identity(self) -> Mapping[str, str | int | None]:
        """Returns the seed and a digest of every recording: another numpy may draw others."""
        return {
            "source": "non_speech",
            "sha256": self._digest,
            "utterances": len(self),
            "seed": self.seed,
        }

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256()
        for name, _, _, recording in self._recordings():
            digest.update(name.encode())
            digest.update(recording)
        return digest.hexdigest()

    def _recordings(self) -> Iterator[tuple[str, str, float, bytes]]:
        for number, kind in enumerate(SOUNDS):
            for seconds in self.seconds:
                for take in range(self.takes):
                    recording = self._recording(number, kind, seconds, take)
                    yield f"{kind}-{seconds:g}s-{take}", kind, seconds, recording

    def _recording(self, number: int, kind: str, seconds: float, take: int) -> bytes:
        count = round(seconds * RATE_HZ)
        generator = np.random.default_rng([self.seed, number, count, take])
        samples = SOUNDS[kind](count, generator)
        level = float(np.sqrt(np.mean(samples**2)))
        if level:
            samples = samples * (10 ** (self.level_db / 20) / level)
        samples = samples * min(1.0, PEAK / max(float(np.abs(samples).max()), PEAK))
        file = io.BytesIO()
        soundfile.write(file, np.rint(samples * FULL_SCALE).astype(np.int16), RATE_HZ, format="WAV")
        return file.getvalue()
