from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.signal import lfilter

from whisperlab.audio import Waveform
from whisperlab.preprocess.loudness import NormalizeLoudness, gated_loudness

RATE_HZ = 16_000


def sine(level_db: float, seconds: float = 1.0, hz: float = 997.0) -> NDArray[np.float32]:
    """A sine whose RMS is ``level_db`` re full scale."""
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    amplitude = np.sqrt(2) * 10 ** (level_db / 20)
    return np.asarray(amplitude * np.sin(2 * np.pi * hz * times), dtype=np.float32)


def rms_db(samples: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2)))


def test_a_minus_20_db_tone_reaches_an_rms_target_of_minus_26() -> None:
    louder = NormalizeLoudness(method="rms", target_db=-26.0)(Waveform(sine(-20.0), RATE_HZ))
    assert rms_db(louder.samples) == pytest.approx(-26.0, abs=0.01)
    # 6 dB down is a factor of 0.5012 on every sample
    np.testing.assert_allclose(louder.samples, sine(-20.0) * 0.50119, rtol=1e-4, atol=1e-9)


def test_a_peak_target_sets_the_largest_sample() -> None:
    louder = NormalizeLoudness(method="peak", target_db=-20.0)(
        Waveform(np.array([0.01, -0.05, 0.02], dtype=np.float32), RATE_HZ)
    )
    np.testing.assert_allclose(louder.samples, [0.02, -0.1, 0.04], rtol=1e-6)


@pytest.mark.parametrize("seconds", [0.1, 0.39, 0.4, 3.0])
def test_a_lufs_target_is_met_by_clips_of_any_length(seconds: float) -> None:
    normalised = NormalizeLoudness(method="lufs", target_db=-23.0)(
        Waveform(sine(-40.0, seconds), RATE_HZ)
    )
    # 997 Hz reads its RMS level in LUFS by the standard; the filter's onset and tail leave 0.3 dB
    # on 0.1 s
    assert rms_db(normalised.samples) == pytest.approx(-23.0, abs=0.3)


def test_loudness_is_that_of_the_standards_own_filter_tables() -> None:
    rate_hz = 48_000  # the rate for which BS.1770-4 prints coefficients (tables 1 and 2)
    noise = 0.05 * np.random.default_rng(0).standard_normal(rate_hz * 4)
    shelved = lfilter(
        [1.53512485958697, -2.69169618940638, 1.19839281085285],
        [1.0, -1.69065929318241, 0.73248077421585],
        noise,
    )
    weighted = lfilter([1.0, -2.0, 1.0], [1.0, -1.99004745483398, 0.99007225036621], shelved)
    expected = -0.691 + 10 * np.log10(np.mean(weighted**2))
    assert gated_loudness(noise, rate_hz) == pytest.approx(expected, abs=0.02)


def test_pauses_do_not_count_in_lufs_but_do_in_rms() -> None:
    speech, pause = sine(-20.0, 4.0), np.zeros(4 * RATE_HZ, dtype=np.float32)
    hesitant = np.concatenate([speech, pause]).astype(np.float64)
    assert rms_db(hesitant.astype(np.float32)) == pytest.approx(-23.01, abs=0.01)
    loudness = gated_loudness(hesitant, RATE_HZ)
    assert loudness == pytest.approx(-20.0, abs=0.2)


@pytest.mark.parametrize("level_db", [-80.0, -110.0])
def test_speech_below_the_absolute_gate_still_reaches_the_target(level_db: float) -> None:
    quiet = Waveform(sine(level_db, 2.0), RATE_HZ)
    assert gated_loudness(quiet.samples.astype(np.float64), RATE_HZ) is None
    normalised = NormalizeLoudness(method="lufs", target_db=-23.0)(quiet)
    assert rms_db(normalised.samples) == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize("method", ["rms", "peak", "lufs"])
def test_silence_stays_silence(method: Literal["rms", "peak", "lufs"]) -> None:
    silence = Waveform(np.zeros(RATE_HZ, dtype=np.float32), RATE_HZ)
    normalised = NormalizeLoudness(method=method, target_db=-20.0)(silence)
    np.testing.assert_array_equal(normalised.samples, silence.samples)


@pytest.mark.parametrize("method", ["rms", "lufs"])
def test_an_unreachable_target_ends_at_full_scale_undistorted(
    method: Literal["rms", "lufs"],
) -> None:
    samples = sine(-60.0)
    samples[8_000] = 0.5  # a click 500 times above the sine: the target would need a peak of 100
    normalised = NormalizeLoudness(method=method, target_db=0.0)(Waveform(samples, RATE_HZ))
    assert float(np.abs(normalised.samples).max()) == pytest.approx(1.0)
    np.testing.assert_allclose(normalised.samples, samples * 2, rtol=1e-6)


@pytest.mark.parametrize("target_db", [0.1, -71.0, float("inf"), True, "-20"])
def test_a_target_out_of_range_is_refused(target_db: float) -> None:
    with pytest.raises(ValidationError, match="target_db"):
        NormalizeLoudness(method="rms", target_db=target_db)
