"""STREAMINFO by hand, and what happens to FLAC files that are cut or lie."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile
from sound_bytes import encode, tone

from whisperlab.audio import AudioLimits, decode
from whisperlab.audio.flac import FlacHeader, read_flac_header
from whisperlab.audio.source import ByteSource
from whisperlab.errors import AudioError

SAMPLES = (tone(2.0) + np.random.default_rng(1).normal(0, 0.01, 32_000)).astype(np.float32)
CONTENT = encode(SAMPLES, 16_000, "FLAC")


def header(content: bytes) -> FlacHeader:
    return read_flac_header(ByteSource(io.BytesIO(content), len(content)), 0, AudioLimits())


def refusal(content: bytes) -> str:
    with pytest.raises(AudioError) as caught:
        decode(content)
    return caught.value.code


def with_stream(rate_hz: int, channels: int, frames: int) -> bytes:
    """CONTENT whose STREAMINFO claims something else."""
    packed = rate_hz << 44 | (channels - 1) << 41 | 15 << 36 | frames
    return CONTENT[:18] + struct.pack(">Q", packed) + CONTENT[26:]


def test_rate_channels_and_frames_are_read_from_their_bits() -> None:
    assert header(CONTENT) == FlacHeader(rate_hz=16_000, channels=1, frames=32_000)
    assert header(with_stream(44_100, 8, 2**36 - 1)) == FlacHeader(44_100, 8, 2**36 - 1)


def test_a_stream_is_decoded_bit_for_bit() -> None:
    oracle, _ = soundfile.read(io.BytesIO(CONTENT), dtype="float32")
    assert np.array_equal(decode(CONTENT).samples, oracle)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"fLaC", "invalid_audio"),
        (CONTENT[:30], "invalid_audio"),
        (b"fLaC" + b"\x04\0\0\x22" + CONTENT[8:], "invalid_audio"),
        (CONTENT[:60], "invalid_audio"),
        (with_stream(0, 1, 32_000), "invalid_sample_rate"),
        (with_stream(655_350, 1, 32_000), "invalid_sample_rate"),
    ],
)
def test_damaged_headers_are_refused_with_their_code(content: bytes, code: str) -> None:
    assert refusal(content) == code


def test_a_cut_file_is_decoded_as_far_as_it_goes() -> None:
    cut = decode(CONTENT[: len(CONTENT) // 2])
    assert cut.truncated
    assert 0.5 < cut.duration_seconds < 1.5
    assert np.array_equal(cut.samples, decode(CONTENT).samples[: len(cut.samples)])


def test_more_frames_promised_than_present_is_a_cut_not_a_refusal() -> None:
    lying = decode(with_stream(16_000, 1, 2**36 - 1))
    assert (lying.truncated, lying.duration_seconds) == (True, 2.0)


def test_a_wrong_checksum_of_the_samples_is_no_reason_to_refuse() -> None:
    assert not decode(CONTENT[:26] + b"\xaa" * 16 + CONTENT[42:]).truncated
