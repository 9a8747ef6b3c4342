"""A room dies away as fast as it says, keeps the level, and moves nothing in time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from whisperlab.audio import Waveform, decode
from whisperlab.dataset.demo import FOLDER
from whisperlab.dataset.perturb.recorded_reverberation import ReverberateAsRecorded
from whisperlab.dataset.perturb.reverberation import Reverberate
from whisperlab.errors import AudioError

RATE = 16_000
SPEECH = decode(FOLDER / "sentence-00.flac")


@pytest.mark.parametrize("seconds", [0.3, 1.0])
def test_sound_falls_by_60_db_in_the_reverberation_time(seconds: float) -> None:
    room = Reverberate(rt60_seconds=seconds, direct_to_reverberant_db=0.0)
    tail = room.impulse_response(RATE, np.random.default_rng(0))[1:].astype(float)
    # Schroeder 1965: the energy still to come is the decay curve; -5 to -25 dB extrapolated to 60
    decay = 10 * np.log10(np.cumsum(tail[::-1] ** 2)[::-1] / (tail**2).sum())
    reached = [int(np.argmax(decay <= level)) / RATE for level in (-5, -25)]
    assert 3 * (reached[1] - reached[0]) == pytest.approx(seconds, rel=0.05)


@pytest.mark.parametrize("direct_db", [-5.0, 0.0, 10.0])
def test_the_direct_sound_has_the_share_that_was_asked_for(direct_db: float) -> None:
    room = Reverberate(rt60_seconds=0.5, direct_to_reverberant_db=direct_db)
    response = room.impulse_response(RATE, np.random.default_rng(0)).astype(float)
    assert response[0] == 1.0
    assert -10 * np.log10((response[1:] ** 2).sum()) == pytest.approx(direct_db, abs=0.01)


def test_a_room_keeps_length_level_and_place() -> None:
    room = Reverberate(rt60_seconds=0.4, direct_to_reverberant_db=5.0)
    wet = room(SPEECH, np.random.default_rng(0))
    assert len(wet.samples) == len(SPEECH.samples)
    power = [np.square(sound.samples.astype(float)).mean() for sound in (wet, SPEECH)]
    assert power[0] == pytest.approx(power[1], rel=1e-4)
    click = Waveform(np.eye(1, RATE, 4_000, dtype=np.float32)[0])
    heard = room(click, np.random.default_rng(0)).samples
    assert int(np.abs(heard).argmax()) == 4_000
    assert not np.abs(heard[:3_990]).max() > 1e-6  # nothing is heard before it is said


def test_a_measured_room_is_lined_up_on_its_direct_sound(tmp_path: Path) -> None:
    response = np.zeros(2_000)
    response[500], response[900] = 0.8, 0.4  # 31 ms of travel, an echo 25 ms later
    soundfile.write(tmp_path / "hall.wav", response, RATE, subtype="FLOAT")
    click = Waveform(np.eye(1, RATE, 4_000, dtype=np.float32)[0] / 2)
    heard = ReverberateAsRecorded(folder=tmp_path)(click, np.random.default_rng(0)).samples
    assert np.flatnonzero(np.abs(heard) > 1e-4).tolist() == [4_000, 4_400]
    assert heard[4_400] / heard[4_000] == pytest.approx(0.5, rel=1e-3)


def test_silence_stays_silent_and_a_silent_room_is_refused(tmp_path: Path) -> None:
    silence = Waveform(np.zeros(RATE, dtype=np.float32))
    room = Reverberate(rt60_seconds=0.4, direct_to_reverberant_db=5.0)
    assert not room(silence, np.random.default_rng(0)).samples.any()
    soundfile.write(tmp_path / "none.wav", np.zeros(RATE), RATE)
    with pytest.raises(AudioError, match="digital silence"):
        ReverberateAsRecorded(folder=tmp_path)(SPEECH, np.random.default_rng(0))
