"""Ogg pages by hand: codecs, lengths by granule position, missing ends."""

from __future__ import annotations

import io
import struct

import av
import numpy as np
import pytest
import soundfile
from sound_bytes import encode, mux, ogg_page, opus_head, tone

from whisperlab.audio import AudioLimits, decode
from whisperlab.audio.ogg import OggHeader, read_ogg_header
from whisperlab.audio.source import ByteSource
from whisperlab.errors import AudioError

HEAD = ogg_page(opus_head(), granule=0, flags=2) + ogg_page(b"OpusTags", granule=0, number=1)
NOISE = np.random.default_rng(0).normal(0, 0.1, 8 * 16_000).astype(np.float32)
VORBIS = encode(NOISE, 16_000, "OGG")
OPUS = mux(tone(8.0, 48_000), 48_000, "ogg", "libopus")


def header(content: bytes) -> OggHeader:
    return read_ogg_header(ByteSource(io.BytesIO(content), len(content)), AudioLimits())


def refusal(content: bytes) -> str:
    with pytest.raises(AudioError) as caught:
        header(content)
    return caught.value.code


def sound(granule: int, flags: int = 4) -> bytes:
    return ogg_page(b"\xf8\xff\xfe" * 20, granule=granule, flags=flags, number=2)


def test_codec_and_channels_are_read_from_the_first_packet() -> None:
    assert header(HEAD + sound(48_000)) == OggHeader("opus", 1, truncated=False)
    assert header(VORBIS) == OggHeader("vorbis", 1, truncated=False)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"OggS", "invalid_audio"),
        (HEAD[:40], "invalid_audio"),
        (ogg_page(b"OpusHead\1\1", granule=0), "invalid_audio"),
        (ogg_page(b"OpusHead\xf1" + opus_head()[9:], granule=0), "invalid_audio"),
        (ogg_page(b"\x01vorbis\0", granule=0), "invalid_audio"),
        (ogg_page(opus_head(channels=0), granule=0) + sound(48_000), "invalid_audio"),
        (ogg_page(opus_head(channels=9), granule=0) + sound(48_000), "too_many_channels"),
        (ogg_page(b"\x80theora" + b"\0" * 40, granule=0), "unsupported_codec"),
        (ogg_page(b"Speex   1.2" + b"\0" * 70, granule=0), "unsupported_codec"),
        (ogg_page(b"\x7fFLAC\1\0" + b"\0" * 40, granule=0), "unsupported_codec"),
        (
            ogg_page(b"\x01vorbis" + struct.pack("<IBI", 0, 1, 1_000_000) + b"\0" * 14, granule=0),
            "invalid_sample_rate",
        ),
        (HEAD, "audio_too_short"),
        (HEAD + sound(48_000)[:40], "invalid_audio"),
        (HEAD + sound(4_000), "audio_too_short"),
        (HEAD + sound(2**62), "audio_too_long"),
        (HEAD + sound(3601 * 48_000), "audio_too_long"),
    ],
)
def test_streams_that_cannot_be_are_refused_with_their_code(content: bytes, code: str) -> None:
    assert refusal(content) == code


def test_a_pre_skip_longer_than_the_stream_leaves_no_sound() -> None:
    head = ogg_page(opus_head(pre_skip=65_535), granule=0, flags=2)
    assert refusal(head + sound(34_560)) == "audio_too_short"


def test_a_capture_from_the_middle_of_a_live_stream_is_not_too_long() -> None:
    day = 86_400 * 48_000
    assert not header(HEAD + sound(day, flags=0) + sound(day + 48_000)).truncated


def test_a_missing_end_page_and_a_cut_page_are_cuts() -> None:
    assert header(HEAD + sound(48_000, flags=0)).truncated
    assert header(HEAD + sound(48_000, flags=0) + sound(96_000)[:-1]).truncated
    assert not header(HEAD + sound(48_000) + b"trailing junk").truncated


@pytest.mark.parametrize("content", [VORBIS, OPUS], ids=["vorbis", "opus"])
def test_sound_and_length_are_libsndfiles_and_a_cut_is_said(content: bytes) -> None:
    whole = decode(content)
    oracle, rate_hz = soundfile.read(io.BytesIO(content), dtype="float32")
    assert whole.duration_seconds == pytest.approx(len(oracle) / rate_hz, abs=1 / 16_000)
    assert not whole.truncated
    cut = decode(content[: len(content) * 3 // 4])
    assert cut.truncated
    assert np.isclose(cut.duration_seconds, 6.0, atol=1.1)  # a page is a second


def test_opus_that_ffmpeg_wrote_begins_where_it_was_said() -> None:
    """The encoder's 6.5 ms of run-up are no part of the sound."""
    noise = NOISE[: 2 * 16_000]
    written = io.BytesIO()
    with av.open(written, "w", format="ogg") as output:
        stream = output.add_stream("libopus", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(noise[np.newaxis], format="flt", layout="mono")
        frame.sample_rate = 16_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    back = decode(written.getvalue()).samples
    assert len(back) == len(noise)
    alike = [float(np.roll(back, -lag) @ noise) for lag in range(-120, 121)]
    assert int(np.argmax(alike)) - 120 == 0
