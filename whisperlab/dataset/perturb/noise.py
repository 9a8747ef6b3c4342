"""Adding noise that is made here: white, pink, brown, or the hum of the mains.

Owns the four spectra. How loud noise is against speech is `mixing`'s.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.audio import Samples, Waveform
from whisperlab.dataset.perturb.mixing import mixed

SPECTRAL_EXPONENTS = {"white": 0.0, "pink": 0.5, "brown": 1.0}
"""Amplitude falls with frequency to this power: 0, 3 and 6 dB an octave."""

LOWEST_HZ = 20.0
"""Coloured noise has nothing below: a 1/f spectrum would put most of its power where nobody hears."""

MAINS_HZ = 50.0
HARMONICS = 10
"""Hum: the mains and its harmonics, the k-th with 1/k of the amplitude."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class AddNoise:
    """Adds noise of one ``kind`` at ``snr_db`` (`mixing` says against what).

    >>> tone = Waveform(np.sin(np.arange(16_000) / 5).astype(np.float32) / 4)
    >>> noisy = AddNoise(kind="white", snr_db=20.0)(tone, np.random.default_rng(0))
    >>> noise = noisy.samples - tone.samples
    >>> round(float(10 * np.log10(np.mean(tone.samples**2) / np.mean(noise**2))), 1)
    20.0
    """

    kind: Literal["white", "pink", "brown", "hum"]
    snr_db: Annotated[float, Field(ge=-60, le=100, allow_inf_nan=False)]

    def __call__(self, waveform: Waveform, chance: np.random.Generator) -> Waveform:
        """Returns the recording with noise over all of it."""
        if self.kind == "hum":
            noise = _hum(len(waveform.samples), waveform.sample_rate, chance)
        else:
            exponent = SPECTRAL_EXPONENTS[self.kind]
            noise = _coloured(len(waveform.samples), waveform.sample_rate, exponent, chance)
        return mixed(waveform, noise, self.snr_db)

    def label(self) -> str:
        """Returns kind and SNR."""
        return f"{self.kind} noise {self.snr_db:g} dB"


def _coloured(count: int, rate_hz: int, exponent: float, chance: np.random.Generator) -> Samples:
    white = chance.standard_normal(count)
    if not exponent:
        return white.astype(np.float32)
    spectrum = np.fft.rfft(white)
    frequencies = np.fft.rfftfreq(count, 1 / rate_hz)
    heard = frequencies >= LOWEST_HZ
    spectrum[~heard] = 0
    spectrum[heard] /= (frequencies[heard] / LOWEST_HZ) ** exponent
    return np.fft.irfft(spectrum, count).astype(np.float32)


def _hum(count: int, rate_hz: int, chance: np.random.Generator) -> Samples:
    seconds = np.arange(count) / rate_hz
    phases = chance.uniform(0, 2 * np.pi, HARMONICS)
    noise = np.zeros(count, dtype=np.float32)
    for number, phase in enumerate(phases, start=1):
        noise += np.sin(2 * np.pi * MAINS_HZ * number * seconds + phase) / number
    return noise
