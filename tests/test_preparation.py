"""Preparation: what is no sound, or sound at another rate, is refused; nothing is done to nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from whisperlab.audio import AudioLimits, Waveform
from whisperlab.errors import AudioError
from whisperlab.preparation import Preparation
from whisperlab.preprocess.highpass import HighPass
from whisperlab.preprocess.protocol import Preprocessor
from whisperlab.preprocess.trim import TrimSilence
from whisperlab.segmentation.whole import WholeUtterance


def refusal(source: Any) -> AudioError:
    error = Preparation((), WholeUtterance(), AudioLimits())(source).error
    assert isinstance(error, AudioError)
    return error


def test_sound_in_memory_of_another_rate_is_refused_not_heard_at_the_wrong_speed() -> None:
    error = refusal(Waveform(np.zeros(8_000, dtype=np.float32), sample_rate=8_000))
    assert error.code == "invalid_sample_rate"
    assert "8000 Hz" in str(error)


@pytest.mark.parametrize("source", [[0.0, 0.5], None, 3])
def test_what_is_no_sound_at_all_is_named_as_that(source: Any) -> None:
    error = refusal(source)
    assert error.code == "invalid_samples"
    assert f"got {type(source).__name__}" in str(error)


@pytest.mark.parametrize("step", [TrimSilence(40.0, 0.1), HighPass(80.0, 4)])
def test_a_sound_without_samples_goes_through_no_step(step: Preprocessor) -> None:
    nothing = np.zeros(0, dtype=np.float32)
    job = Preparation((step,), WholeUtterance(), AudioLimits())(nothing)
    assert job.error is None
    assert [len(piece.samples) for piece in job.pieces] == [0]
