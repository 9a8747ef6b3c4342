"""Waveform: its invariants, and that cutting keeps source time."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlab.audio import Waveform
from whisperlab.errors import AudioError


@pytest.mark.parametrize(
    ("samples", "rate_hz", "code"),
    [
        (np.zeros((2, 5), dtype=np.float32), 16_000, "invalid_samples"),
        (np.zeros(5, dtype=np.float64), 16_000, "invalid_samples"),
        (np.array([0, np.nan], dtype=np.float32), 16_000, "invalid_samples"),
        (np.array([0, -np.inf], dtype=np.float32), 16_000, "invalid_samples"),
        (np.zeros(5, dtype=np.float32), 0, "invalid_sample_rate"),
    ],
)
def test_what_is_no_mono_float32_sound_is_refused(samples: Any, rate_hz: int, code: str) -> None:
    with pytest.raises(AudioError) as caught:
        Waveform(samples, rate_hz)
    assert caught.value.code == code


def test_a_sound_is_checked_without_an_array_as_long() -> None:
    samples = np.zeros(1_000_000, dtype=np.float32)
    tracemalloc.start()
    try:
        Waveform(samples)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 100_000


@given(first=st.integers(-50, 150), last=st.integers(-50, 150), start=st.integers(0, 100))
def test_a_cut_keeps_the_source_time_of_every_sample(first: int, last: int, start: int) -> None:
    whole = Waveform(np.arange(100, dtype=np.float32), sample_rate=10, start=float(start))
    piece = whole.cut(first, last)
    # Each sample's value is its index: value / rate + start is its source time in both.
    times = piece.start + np.arange(len(piece.samples)) / 10
    assert np.allclose(times, start + piece.samples / 10)
    assert len(piece.samples) == len(range(100)[max(0, first) : max(0, last)])


def test_new_samples_stand_at_the_same_place_in_time() -> None:
    whole = Waveform(np.ones(100, dtype=np.float32), sample_rate=10, start=2.5, truncated=True)
    louder = whole.with_samples(whole.samples * 2)
    assert (louder.start, louder.end, louder.truncated) == (2.5, 12.5, True)
