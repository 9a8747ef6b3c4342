"""Words settle once and for all; what a microphone sends is checked."""

from __future__ import annotations

import io
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlab.app.live import FULL_SECONDS, Cut, OpenStretch, Recording
from whisperlab.serve.problems import ApiError
from whisperlab.transcript import Word

RATE_HZ = 16_000


def said(*words: str, each: float = 0.5, first: float = 0.0) -> list[Word]:
    return [Word(first + n * each, first + (n + 1) * each, w) for n, w in enumerate(words)]


def wav(seconds: float, rate_hz: int = RATE_HZ, channels: int = 1, width: int = 2) -> bytes:
    written = io.BytesIO()
    with wave.open(written, "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(width)
        sound.setframerate(rate_hz)
        sound.writeframes(b"\1" * (round(seconds * rate_hz) * channels * width))
    return written.getvalue()


def test_a_stretch_ends_in_the_pause_behind_words_that_two_decodings_agree_on() -> None:
    stretch = OpenStretch()
    assert stretch.settle(said("one", "two"), heard_seconds=1.3) is None
    assert stretch.settle(said("one", "two"), heard_seconds=1.9) == Cut(2, 1.2)


def test_decodings_that_differ_settle_nothing() -> None:
    stretch = OpenStretch()
    assert stretch.settle(said("one", "two"), heard_seconds=3.0) is None
    assert stretch.settle(said("one", "ten"), heard_seconds=3.0) is None
    assert stretch.settle(said("one", "ten"), heard_seconds=3.5) == Cut(2, 1.2)


def test_a_speaker_who_goes_on_is_not_cut_before_the_stretch_is_full() -> None:
    stretch = OpenStretch()
    words = said(*("word" for _ in range(38)))
    assert stretch.settle(words, heard_seconds=19.2) is None
    cut = stretch.settle(said(*("word" for _ in range(40))), heard_seconds=FULL_SECONDS)
    assert cut == Cut(38, 19.0)


def test_silence_is_let_go_but_not_its_end() -> None:
    stretch = OpenStretch()
    assert stretch.settle([], heard_seconds=1.0) is None
    cut = stretch.settle([], heard_seconds=5.0)
    assert cut is not None
    assert cut.words == 0
    assert 0 < cut.seconds < 5.0


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from(["one", "two", "six"]), max_size=6), st.booleans()),
        max_size=12,
    )
)
def test_settled_words_never_change_whatever_is_decoded(
    decodings: list[tuple[list[str], bool]],
) -> None:
    recording = Recording()
    before: list[str] = []
    for words, pause in decodings:
        recording.add(wav(1.0))
        timed = said(*words, each=0.1)
        end = timed[-1].end if timed else 0.0
        heard = min(recording.open_seconds, end + (1.0 if pause else 0.1))
        recording.heard(timed, " ".join(words), heard)
        assert recording.settled[: len(before)] == before
        assert 0 <= recording.settled_bytes <= len(recording.samples)
        before = list(recording.settled)


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
