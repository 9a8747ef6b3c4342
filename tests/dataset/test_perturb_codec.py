"""A codec keeps length and place, loses what its kind loses, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from whisperlab.audio import Waveform, decode
from whisperlab.dataset.demo import FOLDER
from whisperlab.dataset.perturb.codec import Reencode

SPEECH = decode(FOLDER / "sentence-00.flac")
SETTINGS = [
    ("opus", 16_000, 16_000), ("opus", 48_000, 64_000), ("opus", 8_000, 8_000),
    ("mp3", 16_000, 32_000), ("mp3", 48_000, 128_000), ("mulaw", 8_000, None),
    ("alaw", 8_000, None), ("wav16", 8_000, None), ("wav16", 16_000, None), ("flac24", 16_000, None),
]  # fmt: skip


def through(sound: Waveform, codec: str, rate: int, bitrate: int | None) -> Waveform:
    step = Reencode(codec=codec, rate_hz=rate, bitrate_bps=bitrate)  # type: ignore[arg-type]
    return step(sound, np.random.default_rng(0))


def snr_db(sound: Waveform, other: Waveform) -> float:
    left = (sound.samples - other.samples).astype(float)
    return float(10 * np.log10((sound.samples.astype(float) ** 2).mean() / (left**2).mean()))


@pytest.mark.parametrize(("codec", "rate", "bitrate"), SETTINGS)
def test_length_stays_and_nothing_moves_in_time(codec: str, rate: int, bitrate: int | None) -> None:
    back = through(SPEECH, codec, rate, bitrate)
    assert len(back.samples) == len(SPEECH.samples)
    assert np.isfinite(back.samples).all()
    lags = range(-200, 201)
    alike = [float(np.roll(back.samples, -lag) @ SPEECH.samples) for lag in lags]
    assert abs(lags[int(np.argmax(alike))]) <= 2  # 0.1 ms: the resampling filters' rounding


def test_what_is_lossless_loses_nothing_of_a_16_bit_recording() -> None:
    for codec in ("wav16", "flac24"):
        assert np.array_equal(through(SPEECH, codec, 16_000, None).samples, SPEECH.samples)


def test_flac_of_resampled_sound_is_closer_than_any_16_bit_file() -> None:
    resampled = Waveform(SPEECH.samples * np.float32(0.7071))
    left = np.abs(through(resampled, "flac24", 16_000, None).samples - resampled.samples)
    assert left.max() <= 2**-23


def test_companding_gives_the_ratio_of_the_standard() -> None:
    """G.711: about 38 dB for a sine at any level (ITU-T G.711 and G.712, figure 2)."""
    for level in (0.05, 0.5):
        tone = level * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
        sound = Waveform(tone.astype(np.float32))
        band = through(sound, "wav16", 8_000, None)  # what the rate alone does
        for law in ("mulaw", "alaw"):
            heard = through(sound, law, 8_000, None)
            middle = slice(2_000, 14_000)
            kept = Waveform(band.samples[middle]), Waveform(heard.samples[middle])
            assert 33 < snr_db(*kept) < 45


def test_8_khz_has_nothing_above_4_khz() -> None:
    spectrum = np.abs(np.fft.rfft(through(SPEECH, "wav16", 8_000, None).samples)) ** 2
    hertz = np.fft.rfftfreq(len(SPEECH.samples), 1 / 16_000)
    assert spectrum[hertz > 4_100].sum() / spectrum.sum() < 1e-6


def test_more_bits_lose_less() -> None:
    losses = [snr_db(SPEECH, through(SPEECH, "mp3", 16_000, rate)) for rate in (16_000, 64_000)]
    assert losses[0] + 3 < losses[1]


@pytest.mark.parametrize(
    ("codec", "rate", "bitrate"),
    [("mp3", 16_000, None), ("mulaw", 8_000, 64_000), ("opus", 44_100, 16_000)],
)
def test_settings_that_do_not_fit_are_refused(codec: str, rate: int, bitrate: int | None) -> None:
    with pytest.raises(ValidationError, match="expected"):
        Reencode(codec=codec, rate_hz=rate, bitrate_bps=bitrate)  # type: ignore[arg-type]
