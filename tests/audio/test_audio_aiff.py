"""The AIFF walk: big-endian chunks, 80-bit rates, AIFF-C compressions."""

from __future__ import annotations

import io
import math
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from sound_bytes import aiff, chunk, encode, tone

from whisperlab.audio import AudioLimits, Waveform, decode
from whisperlab.audio.aiff import extended_to_float, read_aiff_layout
from whisperlab.audio.layout import SampleLayout
from whisperlab.audio.source import ByteSource
from whisperlab.errors import AudioError

DATA = np.round(tone() * 32767).astype(">i2").tobytes()
FRAMES = len(DATA) // 2


def layout(content: bytes) -> SampleLayout:
    return read_aiff_layout(ByteSource(io.BytesIO(content), len(content)), AudioLimits())


def outcome(content: bytes) -> Waveform | AudioError:
    try:
        return decode(content)
    except AudioError as error:
        return error


def refusal(content: bytes) -> str:
    with pytest.raises(AudioError) as caught:
        layout(content)
    return caught.value.code


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("400e ac44 0000 0000 0000", 44_100.0),
        ("400d ac44 0000 0000 0000", 22_050.0),
        ("400b fa00 0000 0000 0000", 8_000.0),
        ("400d addd 1745 d174 5d17", 22_254.5454545454545),  # the first Macintosh
        ("c00c fa00 0000 0000 0000", -16_000.0),
        ("0000 0000 0000 0000 0000", 0.0),
    ],
)
def test_80_bit_floats_are_read(raw: str, value: float) -> None:
    assert extended_to_float(bytes.fromhex(raw)) == pytest.approx(value, rel=1e-12)


@given(st.binary(min_size=10, max_size=10))
def test_any_ten_bytes_are_a_number_or_nan(raw: bytes) -> None:
    assert isinstance(extended_to_float(raw), float)


def test_infinity_nan_and_the_enormous_are_nan() -> None:
    for raw in ("7fff 8000 0000 0000 0000", "7fff c000 0000 0000 0000", "7000 8000 0000 0000 0000"):
        assert math.isnan(extended_to_float(bytes.fromhex(raw)))


@pytest.mark.parametrize(
    ("subtype", "container"),
    [(s, "AIFF") for s in ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")]
    + [("ULAW", "AIFF"), ("ALAW", "AIFF")],
)
def test_every_encoding_gives_what_libsndfiles_own_walk_gives(subtype: str, container: str) -> None:
    stereo = np.stack([tone(), -0.5 * tone()], axis=1)
    content = encode(stereo, 16_000, container, subtype)
    oracle, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    assert np.array_equal(decode(content).samples, (oracle[:, 0] + oracle[:, 1]) / 2)


def test_sowt_is_little_endian() -> None:
    swapped = np.frombuffer(DATA, ">i2").astype("<i2").tobytes()
    little = decode(aiff(swapped, frames=FRAMES, compression=b"sowt\0\0"))
    assert np.array_equal(little.samples, decode(aiff(DATA, frames=FRAMES)).samples)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (aiff(DATA, frames=FRAMES, channels=-1), "invalid_audio"),
        (aiff(DATA, frames=FRAMES, channels=0), "invalid_audio"),
        (aiff(DATA, frames=FRAMES, channels=16), "too_many_channels"),
        (aiff(DATA, frames=FRAMES, bits=0), "invalid_audio"),
        (aiff(DATA, frames=FRAMES, bits=-8), "invalid_audio"),
        (aiff(DATA, frames=FRAMES, bits=48), "invalid_audio"),
        (aiff(DATA, frames=FRAMES, rate=b"\0" * 10), "invalid_sample_rate"),
        (aiff(DATA, frames=FRAMES, rate=b"\x7f\xff\xc0" + b"\0" * 7), "invalid_sample_rate"),
        (aiff(DATA, frames=FRAMES, compression=b"ima4\0\0"), "unsupported_codec"),
        (aiff(DATA, frames=FRAMES)[:30], "invalid_audio"),
        (b"FORM\0\0\0\x04AIFF", "invalid_audio"),
    ],
)
def test_headers_that_cannot_be_are_refused_with_their_code(content: bytes, code: str) -> None:
    assert refusal(content) == code


def test_two_contradicting_comm_chunks_are_refused() -> None:
    common = chunk(b"COMM", struct.pack(">hIh", 2, 5, 16) + b"\x40\x0c\xfa" + b"\0" * 7, order=">")
    assert refusal(aiff(DATA, frames=FRAMES) + common) == "invalid_audio"


def test_fewer_samples_than_declared_are_a_cut() -> None:
    whole = aiff(DATA, frames=FRAMES)
    assert not layout(whole).truncated
    assert layout(whole[:-1000]).truncated
    assert layout(whole[:-1000]).frames == FRAMES - 500
    assert layout(aiff(DATA, frames=2**32 - 1)).truncated
    assert layout(aiff(DATA, frames=100)).frames == 100


@settings(max_examples=200, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), min_size=1, max_size=5))
def test_mutated_headers_are_decoded_or_refused(changes: list[tuple[int, int]]) -> None:
    mutated = bytearray(aiff(DATA, frames=FRAMES))
    for place, value in changes:
        mutated[place] = value
    result = outcome(bytes(mutated))
    assert result.code != "internal_error" if isinstance(result, AudioError) else result.end >= 0.1
