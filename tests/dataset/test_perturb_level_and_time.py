"""Gain, clipping, speed, shift and padding do exactly what their setting says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whisperlab.audio import Waveform
from whisperlab.dataset.perturb.clipping import Clip
from whisperlab.dataset.perturb.gain import Amplify
from whisperlab.dataset.perturb.padding import Pad
from whisperlab.dataset.perturb.shift import Shift
from whisperlab.dataset.perturb.speed import ChangeSpeed

RATE = 16_000
CHANCE = np.random.default_rng(0)
sounds = st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=300).map(
    lambda values: Waveform(np.array(values, dtype=np.float32))
)


@given(sound=sounds, below=st.floats(0.5, 60))
def test_clipping_leaves_nothing_above_its_level_and_all_below_it(
    sound: Waveform, below: float
) -> None:
    clipped = Clip(below_peak_db=below)(sound, CHANCE).samples
    level = np.float32(np.abs(sound.samples).max() * 10 ** (-below / 20))
    assert np.abs(clipped).max() <= level
    within = np.abs(sound.samples) <= level
    assert np.array_equal(clipped[within], sound.samples[within])


@given(sound=sounds, gain=st.floats(-60, 40))
def test_gain_moves_every_sample_alike(sound: Waveform, gain: float) -> None:
    louder = Amplify(gain_db=gain)(sound, CHANCE).samples
    assert louder == pytest.approx(sound.samples * 10 ** (gain / 20), rel=1e-5, abs=1e-30)


@given(sound=sounds, milliseconds=st.integers(-50, 50))
def test_a_shift_is_silence_in_front_or_a_missing_beginning(
    sound: Waveform, milliseconds: int
) -> None:
    shifted = Shift(seconds=milliseconds / 1000)(sound, CHANCE).samples
    count = 16 * milliseconds
    if count >= 0:
        assert not shifted[:count].any()
        assert np.array_equal(shifted[count:], sound.samples)
    else:
        assert np.array_equal(shifted, sound.samples[min(-count, len(sound.samples) - 1) :])


@given(sound=sounds, seconds=st.floats(0.001, 1))
def test_padding_is_silence_behind(sound: Waveform, seconds: float) -> None:
    padded = Pad(seconds=seconds)(sound, CHANCE).samples
    count = len(sound.samples)
    assert np.array_equal(padded[:count], sound.samples)
    assert len(padded) == count + round(seconds * RATE)
    assert not padded[count:].any()


@pytest.mark.parametrize("factor", [0.9, 1.1, 1.5])
@settings(max_examples=5)
@given(hertz=st.integers(200, 2_000))
def test_speed_moves_pitch_and_duration_by_its_factor(factor: float, hertz: int) -> None:
    tone = np.sin(2 * np.pi * hertz * np.arange(2 * RATE) / RATE).astype(np.float32)
    faster = ChangeSpeed(factor=factor)(Waveform(tone), CHANCE)
    assert faster.duration_seconds == pytest.approx(2 / factor, abs=1e-3)
    spectrum = np.abs(np.fft.rfft(faster.samples * np.hanning(len(faster.samples))))
    found = int(spectrum.argmax()) / faster.duration_seconds
    assert found == pytest.approx(hertz * factor, abs=1.0)
