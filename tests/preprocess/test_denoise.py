from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from whisperlab.audio import Waveform
from whisperlab.preprocess.denoise import Denoise

RATE_HZ = 16_000
STEP = Denoise(max_reduction_db=12.0, quantile=0.2)


def speech_like(seconds: float = 4.0) -> NDArray[np.float64]:
    """Harmonics of a gliding 120 Hz voice in syllables of 4 Hz: voiced energy with pauses between."""
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.7 * times)) / RATE_HZ
    voice = sum(np.sin(k * phase) / k for k in range(1, 25))
    syllables = np.maximum(0, np.sin(2 * np.pi * 2 * times)) ** 0.5
    return np.asarray(0.1 * voice * syllables, dtype=np.float64)


def snr_db(clean: NDArray[np.float64], found: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.sum(clean**2) / np.sum((found - clean) ** 2)))


@pytest.mark.parametrize(("noise_snr_db", "least_gain_db"), [(0.0, 6.0), (10.0, 4.0), (20.0, 1.0)])
def test_the_snr_of_speech_in_white_noise_rises(noise_snr_db: float, least_gain_db: float) -> None:
    clean = speech_like()
    noise = np.random.default_rng(7).standard_normal(len(clean))
    noise *= np.sqrt(np.mean(clean**2) / np.mean(noise**2)) * 10 ** (-noise_snr_db / 20)
    noisy = (clean + noise).astype(np.float32)
    cleaned = STEP(Waveform(noisy, RATE_HZ)).samples
    assert snr_db(clean, cleaned) - snr_db(clean, noisy) > least_gain_db


def test_speech_without_background_is_hardly_touched() -> None:
    clean = speech_like()
    kept = STEP(Waveform(clean.astype(np.float32), RATE_HZ)).samples
    assert snr_db(clean, kept) > 20.0


def test_a_background_alone_falls_by_about_the_largest_reduction() -> None:
    hiss = (0.01 * np.random.default_rng(1).standard_normal(4 * RATE_HZ)).astype(np.float32)
    quieter = STEP(Waveform(hiss, RATE_HZ)).samples
    fall_db = 20 * np.log10(np.std(quieter) / np.std(hiss))
    # never below -12 by construction; chance peaks of the noise keep it a little above
    assert -12.01 < fall_db < -10.0


def test_the_gain_does_not_depend_on_the_level() -> None:
    noise = np.random.default_rng(2).standard_normal(2 * RATE_HZ)
    noisy = speech_like(2.0) + 0.01 * noise
    loud = STEP(Waveform(noisy.astype(np.float32), RATE_HZ)).samples
    quiet = STEP(Waveform((noisy * 2**-10).astype(np.float32), RATE_HZ)).samples
    np.testing.assert_allclose(quiet * 2**10, loud, rtol=1e-4, atol=1e-6)


def test_nothing_moves_in_time() -> None:
    clicks = (1e-4 * np.random.default_rng(3).standard_normal(RATE_HZ)).astype(np.float32)
    clicks[[4_000, 11_111]] = 0.9
    cleaned = STEP(Waveform(clicks, RATE_HZ)).samples
    assert sorted(np.argsort(np.abs(cleaned))[-2:].tolist()) == [4_000, 11_111]


@pytest.mark.parametrize("quantile", [0.0, 1.0, float("nan"), True])
def test_a_quantile_without_meaning_is_refused(quantile: float) -> None:
    with pytest.raises(ValidationError, match="quantile"):
        Denoise(max_reduction_db=12.0, quantile=quantile)
