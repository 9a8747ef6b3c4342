"""The non-speech set: what it promises of levels, kinds and seeds."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from whisperlab.dataset.non_speech import SOUNDS, NonSpeechDataset
from whisperlab.utterance import Utterance


def made(**changed: object) -> NonSpeechDataset:
    settings: dict[str, object] = {"seconds": (1.0, 3.0), "takes": 2, "level_db": -30.0, "seed": 7}
    return NonSpeechDataset(**(settings | changed))  # type: ignore[arg-type]


def samples_of(utterance: Utterance) -> NDArray[np.float64]:
    assert isinstance(utterance.audio, bytes)
    samples, rate = soundfile.read(io.BytesIO(utterance.audio))
    assert rate == 16_000
    return np.asarray(samples)


def test_there_are_takes_of_every_kind_and_length_with_nothing_said() -> None:
    utterances = list(made())
    assert len(utterances) == len(made()) == len(SOUNDS) * 2 * 2
    assert len({utterance.id for utterance in utterances}) == len(utterances)
    assert {utterance.reference for utterance in utterances} == {""}
    assert {utterance.slices["kind"] for utterance in utterances} == set(SOUNDS)
    lengths = {
        (utterance.slices["seconds"], len(samples_of(utterance))) for utterance in utterances
    }
    assert lengths == {("1", 16_000), ("3", 48_000)}


def test_every_sound_has_the_level_asked_for_and_silence_has_none() -> None:
    for utterance in made(level_db=-35.0):
        samples = samples_of(utterance)
        if utterance.slices["kind"] == "silence":
            assert not samples.any()
        else:
            level_db = 20 * np.log10(np.sqrt(np.mean(samples**2)))
            assert level_db == pytest.approx(-35.0, abs=0.1), utterance.id  # 16-bit rounding


def test_loud_clicks_are_scaled_down_rather_than_clipped() -> None:
    for utterance in made(level_db=-3.0):
        assert np.abs(samples_of(utterance)).max() < 0.995, utterance.id


def test_the_same_seed_makes_the_same_bytes_and_another_seed_others() -> None:
    assert [u.audio for u in made()] == [u.audio for u in made()]
    assert made().identity() == made().identity()
    assert made(seed=8).identity()["sha256"] != made().identity()["sha256"]


def test_more_takes_and_lengths_leave_the_others_as_they_were() -> None:
    few = {utterance.id: utterance.audio for utterance in made()}
    many = {utterance.id: utterance.audio for utterance in made(seconds=(3.0, 2.0, 1.0), takes=3)}
    assert few.items() <= many.items()


def test_pink_noise_has_the_same_power_in_every_octave() -> None:
    pink = next(u for u in made(seconds=(60.0,), takes=1) if u.slices["kind"] == "pink")
    power = np.abs(np.fft.rfft(samples_of(pink))) ** 2
    hertz = np.fft.rfftfreq(60 * 16_000, 1 / 16_000)
    octaves = [power[(hertz >= low) & (hertz < 2 * low)].sum() for low in (250, 500, 1000, 2000)]
    # the lowest has 250 * 60 spectral lines: 1 % of them vary by chance
    assert np.allclose(octaves, np.mean(octaves), rtol=0.05)
