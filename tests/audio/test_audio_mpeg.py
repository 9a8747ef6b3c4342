"""MP3 frames: headers against the standard's table, counts that libmpg123 would get wrong."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile
from sound_bytes import tone

from whisperlab.audio import AudioLimits, decode
from whisperlab.audio.mpeg import Mp3Scan, counted_window, read_frame_header, scan_mp3
from whisperlab.audio.source import ByteSource
from whisperlab.errors import AudioError

RATE_HZ = 16_000
# Quiet ends around noise: the bit rate of the first frames says nothing about the others.
SAMPLES = np.concatenate(
    [tone(4.0) / 100, np.random.default_rng(0).normal(0, 0.1, 8 * RATE_HZ), tone(4.0) / 100]
).astype(np.float32)
FRAMES = -(-(len(SAMPLES) + 1105) // 576)  # LAME puts 1,105 samples of delay in front


def encoded(mode: str) -> bytes:
    written = io.BytesIO()
    with soundfile.SoundFile(
        written, "w", RATE_HZ, 1, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode=mode
    ) as file:
        file.write(SAMPLES)
    return written.getvalue()


VARIABLE, CONSTANT = encoded("VARIABLE"), encoded("CONSTANT")
XING = VARIABLE.index(b"Xing")


def scanned(content: bytes) -> Mp3Scan:
    return scan_mp3(ByteSource(io.BytesIO(content), len(content)), 0, AudioLimits())


@pytest.mark.parametrize(
    ("raw", "rate_hz", "channels", "samples", "size"),
    [
        ("fffb9064", 44_100, 2, 1152, 417),  # 144 * 128000 / 44100
        ("fffb9264", 44_100, 2, 1152, 418),  # with padding
        ("fffbe4c4", 48_000, 1, 1152, 960),  # 320 kbit/s
        ("fff388c4", 16_000, 1, 576, 288),  # MPEG-2, 64 kbit/s
        ("ffe318c4", 8_000, 1, 576, 72),  # MPEG-2.5, 8 kbit/s
    ],
)
def test_frame_headers_give_the_standards_sizes(
    raw: str, rate_hz: int, channels: int, samples: int, size: int
) -> None:
    header = read_frame_header(bytes.fromhex(raw))
    assert header is not None
    assert (header.rate_hz, header.channels, header.samples, header.size) == (
        rate_hz,
        channels,
        samples,
        size,
    )


@pytest.mark.parametrize(
    "raw",
    ["fffb", "fefb9064", "ffeb9064", "fffd9064", "fff99064", "fffbf064", "fffb0064", "fffb9c64"],
    ids=["short", "sync", "version", "layer II", "layer 0", "bit rate", "free format", "rate"],
)
def test_other_four_bytes_are_no_mp3_frame(raw: str) -> None:
    assert read_frame_header(bytes.fromhex(raw)) is None


@pytest.mark.parametrize("content", [VARIABLE, CONSTANT], ids=["variable", "constant"])
def test_frames_are_counted_and_the_length_is_the_encoders(content: bytes) -> None:
    scan = scanned(content)
    assert scan.frames - 1 == struct.unpack(">I", content[XING + 8 : XING + 12])[0] >= FRAMES
    assert decode(content).duration_seconds == 16.0


@pytest.mark.parametrize("claimed", [5, 200, 100_000])
def test_the_frame_count_of_the_header_is_not_believed(claimed: int) -> None:
    lying = VARIABLE[: XING + 8] + struct.pack(">I", claimed) + VARIABLE[XING + 12 :]
    assert np.array_equal(decode(lying).samples, decode(VARIABLE).samples)
    # What libmpg123 alone would give, so that this test notices when the rewriting is not needed.
    assert claimed > FRAMES or soundfile.info(io.BytesIO(lying)).duration < 8


def test_a_variable_rate_stream_without_a_header_is_decoded_to_its_end() -> None:
    first = read_frame_header(VARIABLE[:4])
    assert first is not None
    bare = decode(VARIABLE[first.size :])
    # Without the header nobody knows the encoder's delay: it stays in.
    assert bare.duration_seconds == pytest.approx(16.0, abs=0.11)
    assert not bare.truncated
    blanked = decode(VARIABLE[:XING] + b"\0" * 4 + VARIABLE[XING + 4 :])
    assert blanked.duration_seconds == pytest.approx(16.0, abs=0.15)


def test_the_rewritten_header_says_how_many_frames_follow() -> None:
    source = ByteSource(io.BytesIO(VARIABLE), len(VARIABLE))
    window = counted_window(source, scan_mp3(source, 0, AudioLimits()))
    assert window.read() == VARIABLE  # an honest file is left as it is


def test_a_cut_inside_a_frame_is_said() -> None:
    cut = decode(CONSTANT[: len(CONSTANT) // 2 + 7])
    assert cut.truncated
    assert cut.duration_seconds == pytest.approx(8.0, abs=0.15)


def test_tags_behind_the_sound_are_no_cut_and_damage_is() -> None:
    assert not decode(CONSTANT + b"TAG" + b"x" * 125).truncated
    assert not decode(CONSTANT + b"APETAGEX" + b"\0" * 200).truncated
    middle = len(CONSTANT) // 2
    damaged = decode(CONSTANT[:middle] + b"\0" * 5000 + CONSTANT[middle + 5000 :])
    assert damaged.truncated


def test_joined_files_are_one_sound() -> None:
    tag = b"ID3\x04\x00\x00" + bytes([0, 0, 0, 100]) + b"\0" * 100
    joined = decode(CONSTANT + tag + CONSTANT)
    assert joined.duration_seconds == pytest.approx(32.0, abs=0.2)
    assert not joined.truncated


def test_hours_are_refused_by_counting_without_decoding() -> None:
    content = CONSTANT * 30
    with pytest.raises(AudioError) as caught:
        decode(content, AudioLimits(max_seconds=400))
    assert caught.value.code == "audio_too_long"
