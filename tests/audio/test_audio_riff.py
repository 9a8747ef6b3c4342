"""The RIFF walk: each rule with a hand-made header, then headers mutated at random."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from sound_bytes import chunk, encode, fmt, pcm16, riff, tone, wav

from whisperlab.audio import AudioLimits, Waveform, decode
from whisperlab.audio.layout import SampleLayout
from whisperlab.audio.riff import read_wav_layout
from whisperlab.audio.source import ByteSource
from whisperlab.errors import AudioError

SAMPLES = tone()
DATA = pcm16(SAMPLES)
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def layout(content: bytes) -> SampleLayout:
    return read_wav_layout(ByteSource(io.BytesIO(content), len(content)), AudioLimits())


def outcome(content: bytes) -> Waveform | AudioError:
    try:
        return decode(content)
    except AudioError as error:
        return error


def refusal(content: bytes) -> str:
    with pytest.raises(AudioError) as caught:
        layout(content)
    return caught.value.code


def test_a_plain_header_gives_offset_length_and_encoding() -> None:
    assert layout(wav(SAMPLES)) == SampleLayout("PCM_16", 16_000, 1, offset=44, length=16_000)


@pytest.mark.parametrize(
    ("tag", "bits", "encoding"),
    [
        (1, 8, "PCM_U8"),
        (1, 24, "PCM_24"),
        (1, 32, "PCM_32"),
        (3, 32, "FLOAT"),
        (3, 64, "DOUBLE"),
        (6, 8, "ALAW"),
        (7, 8, "ULAW"),
    ],
)
def test_codec_tag_and_bits_name_the_encoding(tag: int, bits: int, encoding: str) -> None:
    content = riff(fmt(tag, bits=bits, channels=2), chunk(b"data", b"\0" * 480))
    assert layout(content).encoding == encoding
    assert layout(content).frames == 480 // (2 * bits // 8)


def test_twelve_bits_stand_left_justified_in_two_bytes() -> None:
    content = riff(fmt(bits=12, block=2), chunk(b"data", DATA))
    assert layout(content).encoding == "PCM_16"


def test_the_sub_format_of_an_extensible_header_counts() -> None:
    extra = struct.pack("<HHIH", 22, 24, 4, 3) + GUID_TAIL
    content = riff(fmt(0xFFFE, bits=32, extra=extra), chunk(b"data", b"\0" * 400))
    assert layout(content).encoding == "FLOAT"


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (fmt(0xBEEF), "unsupported_codec"),
        (fmt(0x55), "unsupported_codec"),
        (fmt(0xFFFE, extra=struct.pack("<HHI", 22, 16, 4) + b"\xde\xad" * 8), "unsupported_codec"),
        (fmt(0xFFFE), "unsupported_codec"),
        (fmt(channels=0), "invalid_audio"),
        (fmt(channels=65_535), "too_many_channels"),
        (fmt(channels=9), "too_many_channels"),
        (fmt(rate_hz=0), "invalid_sample_rate"),
        (fmt(rate_hz=3_999), "invalid_sample_rate"),
        (fmt(rate_hz=2**31), "invalid_sample_rate"),
        (fmt(bits=0), "invalid_audio"),
        (fmt(bits=65_535), "invalid_audio"),
        (fmt(bits=16, block=4), "invalid_audio"),
        (fmt(3, bits=16), "invalid_audio"),
        (fmt(7, bits=16), "invalid_audio"),
        (chunk(b"fmt ", b"\0" * 8), "invalid_audio"),
        (chunk(b"fmt ", b"\1\0\1\0", size=2**32 - 16), "invalid_audio"),
        (fmt() + fmt(channels=2), "invalid_audio"),
        (b"", "invalid_audio"),
    ],
)
def test_headers_that_cannot_be_are_refused_with_their_code(header: bytes, code: str) -> None:
    assert refusal(riff(header, chunk(b"data", DATA))) == code


def test_a_second_fmt_behind_the_samples_is_refused_too() -> None:
    assert refusal(riff(fmt(), chunk(b"data", DATA), fmt(channels=2))) == "invalid_audio"


def test_a_file_without_samples_or_shorter_than_a_header_is_refused() -> None:
    assert refusal(riff(fmt())) == "invalid_audio"
    assert refusal(b"RIFF") == "invalid_audio"
    assert refusal(riff(chunk(b"data", DATA), fmt())) == "invalid_audio"


def test_the_walk_ends_after_4096_chunks() -> None:
    junk = chunk(b"JUNK", b"")
    assert layout(riff(*[junk] * 4000, fmt(), chunk(b"data", DATA))).length == len(DATA)
    assert refusal(riff(*[junk] * 5000, fmt(), chunk(b"data", DATA))) == "invalid_audio"


def test_odd_chunks_are_padded_and_large_ones_skipped() -> None:
    content = riff(
        chunk(b"LIST", b"abc"), fmt(), chunk(b"junk", b"\0" * 99_999), chunk(b"data", DATA)
    )
    assert layout(content).length == len(DATA)


def test_the_first_of_two_data_chunks_counts() -> None:
    content = riff(fmt(), chunk(b"data", DATA), chunk(b"data", b"\x7f" * 1000))
    assert (layout(content).offset, layout(content).length) == (44, len(DATA))


def test_more_declared_than_present_is_a_cut_and_0xffffffff_a_stream() -> None:
    cut = layout(riff(fmt(), chunk(b"data", DATA, size=50 * len(DATA))))
    assert (cut.length, cut.truncated) == (len(DATA), True)
    streamed = layout(riff(fmt(), chunk(b"data", DATA, size=0xFFFFFFFF)))
    assert (streamed.length, streamed.truncated) == (len(DATA), False)


def test_less_declared_than_present_is_all_that_is_read() -> None:
    short = layout(riff(fmt(), chunk(b"data", DATA, size=8_000)))
    assert (short.length, short.truncated) == (8_000, False)


def test_a_last_sample_cut_in_half_is_dropped() -> None:
    assert layout(riff(fmt(), b"data" + struct.pack("<I", 7) + b"\0" * 7)).length == 6


def test_rf64_takes_the_size_of_ds64() -> None:
    def rf64(riff_size: int, data_size: int) -> bytes:
        ds64 = chunk(b"ds64", struct.pack("<QQQI", riff_size, data_size, 0, 0))
        return riff(ds64, fmt(), chunk(b"data", DATA, size=0xFFFFFFFF), magic=b"RF64")

    assert layout(rf64(len(DATA), 8_000)).length == 8_000
    assert refusal(rf64(2**62, 2**62)) == "invalid_audio"
    assert refusal(riff(fmt(), chunk(b"data", DATA, size=0xFFFFFFFF), magic=b"RF64")) == (
        "invalid_audio"
    )


def test_big_endian_files_are_read_as_the_same_sound() -> None:
    swapped = np.frombuffer(DATA, "<i2").astype(">i2").tobytes()
    content = riff(fmt(order=">"), chunk(b"data", swapped, order=">"), magic=b"RIFX", order=">")
    assert np.array_equal(decode(content).samples, decode(wav(SAMPLES)).samples)


@pytest.mark.parametrize("subtype", ["MS_ADPCM", "IMA_ADPCM"])
def test_adpcm_is_decoded_as_libsndfile_does(subtype: str) -> None:
    content = encode(SAMPLES, 16_000, "WAV", subtype)
    oracle, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    ours = decode(content).samples
    # Padding to whole blocks: the "fact" chunk that tells the exact length is not believed.
    assert len(oracle) <= len(ours) <= len(oracle) + 1024
    assert np.array_equal(ours[: len(oracle)], oracle)


@pytest.mark.parametrize(
    "header",
    [
        fmt(2, bits=4, block=0, extra=struct.pack("<HH", 2, 500)),
        fmt(2, bits=4, block=256, extra=struct.pack("<HH", 2, 60_000)),
        fmt(2, bits=4, block=256, channels=3, extra=struct.pack("<HH", 2, 100)),
        fmt(0x11, bits=8, block=256, extra=struct.pack("<HH", 2, 500)),
        fmt(0x11, bits=4, block=256),
    ],
)
def test_adpcm_blocks_must_hold_their_samples(header: bytes) -> None:
    assert refusal(riff(header, chunk(b"data", DATA))) == "invalid_audio"


GOOD = [wav(SAMPLES[:2000]), encode(SAMPLES[:2000], 16_000, "WAV", "MS_ADPCM")]
GOOD += [encode(np.stack([SAMPLES, SAMPLES], axis=1)[:2000], 8_000, "WAVEX", "PCM_24")]


@settings(max_examples=300, deadline=None)
@given(
    content=st.sampled_from(GOOD),
    changes=st.lists(st.tuples(st.integers(0, 99), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.integers(0, 200),
)
def test_mutated_headers_are_decoded_or_refused(
    content: bytes, changes: list[tuple[int, int]], cut: int
) -> None:
    mutated = bytearray(content)
    for place, value in changes:
        mutated[place] = value
    result = outcome(bytes(mutated[: len(mutated) - cut]))
    if isinstance(result, AudioError):
        assert result.code != "internal_error"
        assert "\n" not in str(result)
    else:
        assert result.duration_seconds >= 0.1
        assert result.sample_rate == 16_000


@settings(max_examples=200, deadline=None)
@given(
    magic=st.sampled_from(
        [b"RIFF\0\0\0\0WAVE", b"fLaC", b"OggS\0", b"\xff\xfb\x90", b"ID3\4\0\0", b""]
    ),
    rest=st.binary(max_size=400),
)
def test_random_bytes_behind_any_magic_are_decoded_or_refused(magic: bytes, rest: bytes) -> None:
    result = outcome(magic + rest)
    assert isinstance(result, Waveform) or "\n" not in str(result)
