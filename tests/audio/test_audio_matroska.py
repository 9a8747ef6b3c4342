"""Matroska: a segment that claims more than is there was cut; one of unknown size was live."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sound_bytes import mux, tone

from whisperlab.audio import decode
from whisperlab.audio.matroska import segment_is_cut
from whisperlab.audio.source import ByteSource
from whisperlab.errors import AudioError

WEBM = mux(tone(2.0, 48_000), 48_000, "webm", "libopus")
HEAD = bytes.fromhex("1a45dfa3 84 42868101")
SEGMENT = bytes.fromhex("18538067")


def is_cut(content: bytes) -> bool:
    return segment_is_cut(ByteSource(io.BytesIO(content), len(content)))


@pytest.mark.parametrize(
    ("size", "cut"),
    [
        ("84", False),  # 4 bytes in a size of one
        ("85", True),
        ("4004", False),  # in a size of two
        ("4005", True),
        ("0100000000000004", False),  # in a size of eight
        ("0100000000000005", True),
        ("ff", False),  # unknown: live
        ("01ffffffffffffff", False),
        ("00", False),  # no size at all: not ours to judge
    ],
)
def test_sizes_of_every_width_are_compared_with_the_file(size: str, cut: bool) -> None:
    assert is_cut(HEAD + SEGMENT + bytes.fromhex(size) + b"\xec\x82\0\0") is cut


def test_a_cut_recording_is_decoded_and_says_so() -> None:
    whole, cut = decode(WEBM), decode(WEBM[: len(WEBM) // 2])
    assert (whole.truncated, cut.truncated) == (False, True)
    assert whole.duration_seconds == pytest.approx(2.0, abs=0.02)
    assert cut.duration_seconds == pytest.approx(1.0, abs=0.2)


def test_a_live_recording_as_browsers_make_them_is_whole() -> None:
    at = WEBM.index(SEGMENT) + 4
    live = WEBM[:at] + b"\x01" + b"\xff" * 7 + WEBM[at + 8 :]
    assert not decode(live).truncated


@given(st.binary(max_size=64))
def test_any_bytes_are_judged(rest: bytes) -> None:
    assert is_cut(b"\x1a\x45\xdf\xa3" + rest) in (True, False)


def test_a_head_alone_is_damage() -> None:
    with pytest.raises(AudioError) as caught:
        decode(HEAD)
    assert caught.value.code == "invalid_audio"
