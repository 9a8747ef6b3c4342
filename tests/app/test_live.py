"""Text settles once and for all, in pauses of the sound; what a microphone sends is checked."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlab.app.live import FULL_SECONDS, PAUSE_SECONDS, Recording
from whisperlab.audio import Samples, decode
from whisperlab.serve.problems import ApiError

RATE_HZ = 16_000
QUIET, LOUD = 0.001, 0.2


def sound(*parts: tuple[float, float]) -> Samples:
    """White noise: level and seconds of each part."""
    noise = np.random.default_rng(0)
    made = [level * noise.standard_normal(round(s * RATE_HZ)) for level, s in parts]
    return np.concatenate(made).astype(np.float32)


def wav(seconds: float, rate_hz: int = RATE_HZ, channels: int = 1, width: int = 2) -> bytes:
    written = io.BytesIO()
    with wave.open(written, "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(width)
        sound.setframerate(rate_hz)
        sound.writeframes(b"\1" * (round(seconds * rate_hz) * channels * width))
    return written.getvalue()


def with_rate(rate_hz: int) -> bytes:
    """A recording whose header says so."""
    written = bytearray(wav(0.1))
    written[24:28] = rate_hz.to_bytes(4, "little")
    return bytes(written)


def piece(samples: Samples) -> bytes:
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return written.getvalue()


def fed(*parts: tuple[float, float]) -> Recording:
    recording = Recording()
    recording.add(piece(sound(*parts)))
    return recording


def asked(recording: Recording) -> float | None:
    """The seconds that are to be decoded next."""
    found = recording.next_wav()
    return None if found is None else decode(found).duration_seconds


def test_text_settles_in_the_middle_of_a_pause_when_two_decodings_agree() -> None:
    recording = fed((QUIET, 0.3), (LOUD, 1.0), (QUIET, 0.8))
    assert asked(recording) == pytest.approx(2.1, abs=0.06)
    recording.heard("one two")
    assert (recording.settled, recording.partial) == ([], "one two")
    assert asked(recording) is not None
    recording.heard("one two")
    assert (recording.settled, recording.partial) == (["one two"], "")
    assert recording.settled_bytes / (2 * RATE_HZ) == pytest.approx(1.7, abs=0.06)
    assert asked(recording) is None


def test_decodings_that_differ_settle_nothing() -> None:
    recording = fed((QUIET, 0.3), (LOUD, 1.0), (QUIET, 0.8))
    for text in ("one two", "one ten", "one two"):
        assert asked(recording)
        recording.heard(text)
    assert (recording.settled, recording.partial) == ([], "one two")


def test_nothing_settles_while_the_speaker_goes_on() -> None:
    recording = fed((QUIET, 0.5), (LOUD, 3.0), (QUIET, PAUSE_SECONDS - 0.1))
    for _ in range(3):
        assert asked(recording)
        recording.heard("one two")
    assert recording.settled == []


def test_a_speaker_who_never_pauses_is_cut_where_it_is_quietest() -> None:
    recording = fed((QUIET, 0.3), (LOUD, 14.7), (QUIET, 0.2), (LOUD, 4.5))
    assert asked(recording) == pytest.approx(19.7, abs=0.1)
    recording.heard("all of it")
    assert recording.settled == []
    recording.add(piece(sound((LOUD, FULL_SECONDS - 19.6))))
    assert asked(recording) == pytest.approx(15.1, abs=0.1)
    recording.heard("what came before")
    assert recording.settled == ["what came before"]
    assert recording.settled_bytes / (2 * RATE_HZ) == pytest.approx(15.1, abs=0.1)


@pytest.mark.parametrize("level", [0.0, QUIET, LOUD])
def test_where_nobody_speaks_nothing_is_decoded(level: float) -> None:
    recording = fed((level, 5.0))
    assert recording.next_wav() is None
    assert 0 < recording.settled_bytes < len(recording.samples)


def test_silence_before_speech_is_not_decoded_and_its_end_stays() -> None:
    recording = fed((QUIET, 4.0), (LOUD, 1.0))
    assert asked(recording) == pytest.approx(1.3, abs=0.06)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, QUIET, LOUD]),
            st.floats(0.1, 2.0),
            st.sampled_from(["one", "one two", "six", ""]),
        ),
        max_size=15,
    )
)
def test_settled_text_never_changes_whatever_is_said_and_decoded(
    steps: Sequence[tuple[float, float, str]],
) -> None:
    recording = Recording()
    before: list[str] = []
    at = 0
    for level, seconds, text in steps:
        recording.add(piece(sound((level, seconds))))
        if recording.next_wav() is not None:
            recording.heard(text)
        assert recording.settled[: len(before)] == before
        assert at <= recording.settled_bytes <= len(recording.samples)
        assert recording.settled_bytes % 2 == 0
        before, at = list(recording.settled), recording.settled_bytes


def test_a_recording_keeps_every_sample_and_one_channel() -> None:
    recording = Recording()
    recording.add(wav(0.1, channels=2))
    recording.add(wav(0.25, channels=2))
    assert recording.seconds == pytest.approx(0.35)
    with wave.open(io.BytesIO(recording.whole_wav())) as sound:
        assert (sound.getnchannels(), sound.getframerate()) == (1, RATE_HZ)
        assert sound.getnframes() == round(0.35 * RATE_HZ)


@pytest.mark.parametrize(
    ("chunk", "code"),
    [
        (b"", "invalid_audio"),
        (b"RIFF" + b"\0" * 100, "invalid_audio"),
        (wav(0.1, width=1), "invalid_audio"),
        (b"R" * ((1 << 21) + 1), "file_too_large"),
        (with_rate(0), "invalid_sample_rate"),
        (with_rate(0xFFFFFFFF), "invalid_sample_rate"),
    ],
)
def test_what_is_no_piece_of_a_recording_is_refused(chunk: bytes, code: str) -> None:
    with pytest.raises(ApiError) as refused:
        Recording().add(chunk)
    assert refused.value.code == code


def test_a_sample_rate_that_changes_is_refused() -> None:
    recording = Recording()
    recording.add(wav(0.1))
    with pytest.raises(ApiError, match="changed"):
        recording.add(wav(0.1, rate_hz=48_000))
