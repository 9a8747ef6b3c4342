"""Noise arrives at the ratio that was asked for, with the spectrum that its name says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from whisperlab.audio import Waveform, decode
from whisperlab.dataset.demo import FOLDER
from whisperlab.dataset.perturb.babble import AddBabble
from whisperlab.dataset.perturb.mixing import mixed, speech_power
from whisperlab.dataset.perturb.noise import AddNoise
from whisperlab.dataset.perturb.protocol import Perturbation
from whisperlab.dataset.perturb.recorded_noise import AddRecordedNoise
from whisperlab.errors import AudioError, DatasetError

RATE = 16_000
SPEECH = decode(FOLDER / "sentence-00.flac")
KINDS = ("white", "pink", "brown", "hum")


def achieved_snr_db(speech: Waveform, noisy: Waveform) -> float:
    """The SNR by its definition, written again: loud frames of speech against all of the noise."""
    frames = speech.samples[: len(speech.samples) // 320 * 320].astype(float).reshape(-1, 320)
    powers = (frames**2).mean(axis=1)
    loud = powers[10 * np.log10(np.maximum(powers, 1e-30) / powers.max()) >= -30]
    # The sum may have been turned down to fit: how far is seen where it is most like the speech.
    scale = float(noisy.samples @ speech.samples) / float(speech.samples @ speech.samples)
    peak = np.abs(noisy.samples).max()
    scale = scale if peak > 0.999 else 1.0
    noise = noisy.samples.astype(float) - scale * speech.samples
    return float(10 * np.log10(scale**2 * loud.mean() / (noise**2).mean()))


@pytest.mark.parametrize("kind", KINDS)
@given(snr_db=st.floats(5, 40), seed=st.integers(0, 2**32))
@settings(max_examples=15)
def test_generated_noise_has_the_snr(kind: str, snr_db: float, seed: int) -> None:
    step = AddNoise(kind=kind, snr_db=snr_db)  # type: ignore[arg-type]
    noisy = step(SPEECH, np.random.default_rng(seed))
    assert np.isfinite(noisy.samples).all()
    assert len(noisy.samples) == len(SPEECH.samples)
    assert achieved_snr_db(SPEECH, noisy) == pytest.approx(snr_db, abs=0.02)


@pytest.mark.parametrize("snr_db", [20.0, 0.0])
def test_babble_and_noise_of_one_s_own_have_the_snr(snr_db: float, tmp_path: Path) -> None:
    ticking = np.zeros(RATE // 2, dtype=np.float32)
    ticking[::100] = 0.5
    soundfile.write(tmp_path / "tick.wav", ticking, RATE)  # shorter than the speech: goes on
    quiet = Waveform(SPEECH.samples / np.float32(4))  # so that the sum stays within full scale
    for step in (
        AddBabble(talkers=8, snr_db=snr_db),
        AddRecordedNoise(folder=tmp_path, snr_db=snr_db),
    ):
        noisy = step(quiet, np.random.default_rng(1))
        assert achieved_snr_db(quiet, noisy) == pytest.approx(snr_db, abs=0.02)


def test_leading_silence_does_not_make_the_noise_weaker() -> None:
    late = Waveform(np.concatenate([np.zeros(3 * RATE, dtype=np.float32), SPEECH.samples]))
    step = AddNoise(kind="white", snr_db=20.0)
    levels = [step(sound, np.random.default_rng(0)).samples[:800].std() for sound in (late, SPEECH)]
    noise_alone = levels[0]
    expected = np.sqrt(speech_power(SPEECH.samples, RATE) / 100)
    assert noise_alone == pytest.approx(expected, rel=0.1)


def test_a_sum_beyond_full_scale_is_turned_down_and_keeps_its_ratio() -> None:
    loud = Waveform(np.where(np.arange(RATE) % 40 < 20, 0.9, -0.9).astype(np.float32))
    noisy = AddNoise(kind="white", snr_db=0.0)(loud, np.random.default_rng(0))
    assert np.abs(noisy.samples).max() == pytest.approx(1.0, abs=1e-6)
    # two signals that know nothing of each other: half of the power is the speech's
    share = float(noisy.samples @ loud.samples) ** 2 / (
        float(noisy.samples @ noisy.samples) * float(loud.samples @ loud.samples)
    )
    assert share == pytest.approx(0.5, abs=0.01)


def test_digital_silence_gets_noise_as_if_there_were_speech_at_minus_26_db() -> None:
    silence = Waveform(np.zeros(4 * RATE, dtype=np.float32))
    noisy = AddNoise(kind="white", snr_db=10.0)(silence, np.random.default_rng(0))
    assert 10 * np.log10(np.mean(noisy.samples.astype(float) ** 2)) == pytest.approx(-36, abs=0.01)


@pytest.mark.parametrize(("kind", "slope_db"), [("white", 0.0), ("pink", -3.0), ("brown", -6.0)])
def test_the_spectrum_falls_as_the_name_says(kind: str, slope_db: float) -> None:
    silence = Waveform(np.zeros(16 * RATE, dtype=np.float32))
    noise = AddNoise(kind=kind, snr_db=0.0)(silence, np.random.default_rng(3)).samples  # type: ignore[arg-type]
    power = np.abs(np.fft.rfft(noise.astype(float))) ** 2
    hertz = np.fft.rfftfreq(len(noise), 1 / RATE)
    bands = [power[(hertz >= low) & (hertz < 1.1 * low)].mean() for low in (500, 1000, 2000, 4000)]
    falls = np.diff(10 * np.log10(bands))
    assert falls == pytest.approx([slope_db] * 3, abs=0.5)


def test_hum_stands_at_the_mains_and_its_harmonics() -> None:
    silence = Waveform(np.zeros(10 * RATE, dtype=np.float32))
    noise = AddNoise(kind="hum", snr_db=0.0)(silence, np.random.default_rng(3)).samples
    power = np.abs(np.fft.rfft(noise.astype(float))) ** 2
    hertz = np.fft.rfftfreq(len(noise), 1 / RATE)
    lines = power[(hertz % 50 == 0) & (hertz > 0) & (hertz <= 500)].sum()
    assert lines / power.sum() > 0.999


@pytest.mark.parametrize(
    "step",
    [*[AddNoise(kind=kind, snr_db=10.0) for kind in KINDS], AddBabble(talkers=3, snr_db=10.0)],  # type: ignore[arg-type]
    ids=lambda step: step.label(),
)
def test_equal_chance_is_equal_noise_and_other_chance_is_other_noise(step: Perturbation) -> None:
    first, again, other = (step(SPEECH, np.random.default_rng(seed)).samples for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_folder_s_label_names_what_is_in_it(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(RATE, 0.1), RATE)
    before = AddRecordedNoise(folder=tmp_path, snr_db=5.0).label()
    soundfile.write(tmp_path / "a.wav", np.full(RATE, 0.2), RATE)
    after = AddRecordedNoise(folder=tmp_path, snr_db=5.0).label()
    assert before.startswith(f"noise of {tmp_path.name} (")
    assert before.endswith(") 5 dB")
    assert before != after


def test_what_is_no_noise_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="found none in it"):
        AddRecordedNoise(folder=tmp_path, snr_db=5.0).label()
    with pytest.raises(DatasetError, match="found no folder"):
        AddRecordedNoise(folder=tmp_path / "gone", snr_db=5.0).label()
    with pytest.raises(AudioError, match="digital silence"):
        mixed(SPEECH, np.zeros_like(SPEECH.samples), 5.0)
