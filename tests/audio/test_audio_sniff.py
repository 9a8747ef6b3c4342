"""Sniffing: content decides, whatever stands in front of it or in the name."""

from __future__ import annotations

import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sound_bytes import encode, ogg_page, opus_head, tone, wav

from whisperlab.audio.sniff import AudioFormat, Sniffed, sniff
from whisperlab.audio.source import ByteSource
from whisperlab.errors import AudioError

MP3 = encode(tone(1.0), 16_000, "MP3")
FLAC = encode(tone(), 16_000, "FLAC")
ID3 = b"ID3\x04\x00\x00" + bytes([0, 0, 1, 0]) + b"\0" * 128  # a size of 7 bits a byte: 128


def sniffed(content: bytes) -> Sniffed:
    return sniff(ByteSource(io.BytesIO(content), len(content)))


def verdict(content: bytes) -> str:
    try:
        return sniffed(content).format.value
    except AudioError as error:
        return error.code


def refusal(content: bytes) -> str:
    with pytest.raises(AudioError) as caught:
        sniffed(content)
    return caught.value.code


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (wav(), AudioFormat.WAV),
        (b"RIFX\0\0\0\0WAVE", AudioFormat.WAV),
        (b"RF64\xff\xff\xff\xffWAVE", AudioFormat.WAV),
        (FLAC, AudioFormat.FLAC),
        (ogg_page(opus_head(), granule=0, flags=2), AudioFormat.OGG),
        (encode(tone(), 16_000, "AIFF"), AudioFormat.AIFF),
        (MP3, AudioFormat.MP3),
        (b"\0\0\0\x14ftypM4A ", AudioFormat.MP4),
        (b"\0\0\0\x08wide\0\0\0\x08mdat", AudioFormat.MP4),
        (b"\x1a\x45\xdf\xa3\x9f", AudioFormat.MATROSKA),
    ],
)
def test_magic_bytes_name_the_format(content: bytes, expected: AudioFormat) -> None:
    assert sniffed(content) == Sniffed(expected, 0)


def test_id3_tags_are_skipped_before_mp3_and_flac() -> None:
    assert sniffed(ID3 * 3 + MP3) == Sniffed(AudioFormat.MP3, 3 * 138)
    assert sniffed(ID3 + FLAC) == Sniffed(AudioFormat.FLAC, 138)


def test_an_id3_tag_with_a_footer_is_ten_bytes_longer() -> None:
    with_footer = b"ID3\x04\x00\x10" + bytes([0, 0, 0, 4]) + b"\0" * 4 + b"3DI" + b"\0" * 7
    assert sniffed(with_footer + MP3) == Sniffed(AudioFormat.MP3, 24)


def test_an_mp3_that_was_cut_at_the_front_is_found_at_its_next_frame() -> None:
    second = MP3.index(MP3[:2], 4)
    assert sniffed(MP3[100:]).format is AudioFormat.MP3
    assert sniffed(MP3[100:]).offset >= second - 100


@pytest.mark.parametrize(
    "content",
    [
        b"R",
        b"\0" * 4096,
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\n",
        b"ffconcat version 1.0\nfile a.wav\n",
        b"#EXTM3U\nhttp://127.0.0.1/a.wav\n",
        b"<!doctype html><html></html>",
        b"RIFF\x40\0\0\0AVI LIST",
        b"FORM\0\0\0\x10ILBM",
        b"\x1f\x8b\x08" + MP3,
        b"PK\x03\x04" + MP3,
        b"%PDF-1.7\n" + MP3,
        b"\x7fELF\x02\x01" + b"\xff\xfb\x90\x00" * 4,
        b"\xff\xfeh\0e\0l\0l\0o\0",
        b"\xff\xf1\x50\x80" * 64,  # AAC without a container
        b"caff\0\1\0\0",
        b"NIST_1A\n   1024\n",
        b"\0" * 512 + wav(),
    ],
)
def test_everything_else_is_an_unsupported_format(content: bytes) -> None:
    assert refusal(content) == "unsupported_format"


def test_sync_words_without_two_frames_that_agree_are_damage() -> None:
    assert refusal(b"\xff" * 4096) == "invalid_audio"
    assert refusal(ID3 + b"\0" * 4096) == "invalid_audio"
    noise = random.Random(1).randbytes(65_536)
    assert refusal(noise) == "invalid_audio"


def test_tags_that_lie_or_never_end_are_damage() -> None:
    assert refusal(b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + MP3) == "invalid_audio"
    assert refusal(ID3 * 100 + MP3) == "invalid_audio"


@given(st.binary(max_size=300))
def test_any_bytes_are_named_or_refused(content: bytes) -> None:
    names = {kind.value for kind in AudioFormat}
    assert verdict(content) in {"unsupported_format", "invalid_audio"} | names
