"""Speech and noise at a signal-to-noise ratio: what the ratio means, and the sum.

Owns the definition. It does not know where noise comes from.

The SNR is ``10 log10(speech power / noise power)``. Speech power is the mean square over the
*active* 20 ms frames, those at most 30 dB below the loudest: so that a pause or leading silence does
not make a recording "quieter" and its noise weaker. Noise power is the mean square of the noise over
the whole recording. A recording of digital silence has no speech power; noise is then added as if
there were speech at -26 dB of full scale.
"""

from __future__ import annotations

import numpy as np

from whisperlab.audio import Samples, Waveform
from whisperlab.errors import AudioError

FRAME_SECONDS = 0.02
ACTIVE_RANGE_DB = 30.0
"""Frames of speech lie within so many dB of the loudest; room noise of clean recordings does not."""

NOMINAL_SPEECH_DB = -26.0
"""Level of speech in dB of full scale where there is none to measure (ITU-T P.56 material)."""


def decibels(ratio: float) -> float:
    """Returns a power ratio in dB.

    >>> round(decibels(100.0), 6)
    20.0
    """
    return float(10 * np.log10(ratio))


def power_ratio(level_db: float) -> float:
    """Returns dB as a power ratio.

    >>> power_ratio(20.0)
    100.0
    """
    return float(10 ** (level_db / 10))


def speech_power(samples: Samples, rate_hz: int) -> float:
    """Returns the mean square of the active frames of ``samples`` ``(n_samples,)``; 0 of silence.

    Leading silence does not count:

    >>> tone = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000).astype(np.float32)
    >>> late = np.concatenate([np.zeros(32_000, dtype=np.float32), tone])
    >>> round(speech_power(tone, 16_000), 3), round(speech_power(late, 16_000), 3)
    (0.5, 0.5)
    """
    squares = np.square(samples, dtype=np.float64)
    frame = max(1, min(len(squares), round(FRAME_SECONDS * rate_hz)))
    powers = squares[: len(squares) // frame * frame].reshape(-1, frame).mean(axis=1)
    if not len(powers) or not powers.max():
        return 0.0
    active = powers >= powers.max() * power_ratio(-ACTIVE_RANGE_DB)
    return float(powers[active].mean())


def mixed(speech: Waveform, noise: Samples, snr_db: float) -> Waveform:
    """Returns speech plus ``noise`` (as many samples) at ``snr_db``.

    Where the sum would leave full scale, all of it is turned down to fit: the ratio stays.

    Raises:
        AudioError: the noise is digital silence.
    """
    noise_power = float(np.square(noise, dtype=np.float64).mean()) if len(noise) else 0.0
    if not noise_power:
        raise AudioError(
            "expected noise, got digital silence, which has no level; remove it from the folder",
            code="invalid_samples",
        )
    wanted = speech_power(speech.samples, speech.sample_rate) or power_ratio(NOMINAL_SPEECH_DB)
    scale = np.sqrt(wanted / power_ratio(snr_db) / noise_power)
    return within_full_scale(speech, speech.samples + scale * noise.astype(np.float64))


def within_full_scale(waveform: Waveform, samples: np.ndarray) -> Waveform:
    """Returns ``samples`` in the place of the waveform's, turned down where they exceed full scale."""
    peak = float(np.abs(samples).max(initial=0.0))
    return waveform.with_samples((samples / max(1.0, peak)).astype(np.float32))
