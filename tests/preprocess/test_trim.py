from __future__ import annotations

import numpy as np
import pytest
from librosa.effects import trim
from numpy.typing import NDArray
from pydantic import ValidationError

from whisperlab.audio import Waveform
from whisperlab.preprocess.trim import TrimSilence

RATE_HZ = 16_000


def tone(seconds: float, amplitude: float = 0.5) -> NDArray[np.float32]:
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (amplitude * np.sin(2 * np.pi * 440 * times)).astype(np.float32)


def between_silences(before: float, middle: NDArray[np.float32], after: float) -> Waveform:
    lead, tail = (np.zeros(round(s * RATE_HZ), dtype=np.float32) for s in (before, after))
    return Waveform(np.concatenate([lead, middle, tail]), RATE_HZ)


def test_trimming_moves_start_with_the_cut() -> None:
    trimmed = TrimSilence(threshold_db=40.0, margin_seconds=0.0)(
        between_silences(0.4, tone(1.0), 0.6)
    )
    assert (trimmed.start, trimmed.end) == (0.4, 1.4)
    np.testing.assert_array_equal(trimmed.samples, tone(1.0))


def test_start_adds_to_what_was_cut_before() -> None:
    waveform = between_silences(0.4, tone(1.0), 0.6)
    later = Waveform(waveform.samples, RATE_HZ, start=10.0)
    assert TrimSilence(threshold_db=40.0, margin_seconds=0.0)(later).start == pytest.approx(10.4)


def test_the_margin_is_kept_on_both_sides_and_ends_with_the_recording() -> None:
    trimmed = TrimSilence(threshold_db=40.0, margin_seconds=0.1)(
        between_silences(0.4, tone(1.0), 0.06)
    )
    assert trimmed.start == pytest.approx(0.3)
    assert trimmed.end == pytest.approx(1.46)


@pytest.mark.parametrize(("quieter_db", "kept_seconds"), [(39.0, 2.0), (41.0, 1.0)])
def test_the_threshold_is_counted_below_the_loudest_frame(
    quieter_db: float, kept_seconds: float
) -> None:
    soft = tone(1.0, amplitude=0.5 * 10 ** (-quieter_db / 20))
    waveform = Waveform(np.concatenate([soft, tone(1.0)]), RATE_HZ)
    trimmed = TrimSilence(threshold_db=40.0, margin_seconds=0.0)(waveform)
    assert trimmed.duration_seconds == kept_seconds


def test_the_middle_is_never_removed() -> None:
    halves = [tone(0.5), np.zeros(RATE_HZ * 3, dtype=np.float32), tone(0.5)]
    waveform = Waveform(np.concatenate(halves), RATE_HZ)
    trimmed = TrimSilence(threshold_db=40.0, margin_seconds=0.0)(waveform)
    np.testing.assert_array_equal(trimmed.samples, waveform.samples)


@pytest.mark.parametrize("amplitude", [1.0, 0.003, 1e-6, 1e-30])
def test_a_quiet_clip_is_cut_like_a_loud_one(amplitude: float) -> None:
    trimmed = TrimSilence(threshold_db=40.0, margin_seconds=0.0)(
        between_silences(0.5, tone(1.0, amplitude), 0.5)
    )
    assert (trimmed.start, trimmed.end) == (0.5, 1.5)


def test_silence_comes_back_whole() -> None:
    silence = Waveform(np.zeros(RATE_HZ, dtype=np.float32), RATE_HZ, start=2.0)
    trimmed = TrimSilence(threshold_db=40.0, margin_seconds=0.0)(silence)
    assert (trimmed.start, trimmed.end) == (2.0, 3.0)


def test_it_agrees_with_librosa_within_its_own_resolution_on_speech_like_sound() -> None:
    rng = np.random.default_rng(3)
    burst = (rng.standard_normal(RATE_HZ) * np.hanning(RATE_HZ) ** 0.25 * 0.3).astype(np.float32)
    waveform = between_silences(0.7, burst, 0.9)
    _, (first, last) = trim(waveform.samples, top_db=40.0, frame_length=320, hop_length=320)
    trimmed = TrimSilence(threshold_db=40.0, margin_seconds=0.0)(waveform)
    # librosa centres its 20 ms frames on the hop: its cuts lie up to one and a half frames beside ours
    assert trimmed.start == pytest.approx(first / RATE_HZ, abs=0.031)
    assert trimmed.end == pytest.approx(last / RATE_HZ, abs=0.031)


@pytest.mark.parametrize("threshold_db", [0.0, -40.0, 121.0, float("nan"), True, "40"])
def test_a_threshold_that_means_nothing_is_refused(threshold_db: float) -> None:
    with pytest.raises(ValidationError, match="threshold_db"):
        TrimSilence(threshold_db=threshold_db, margin_seconds=0.0)
