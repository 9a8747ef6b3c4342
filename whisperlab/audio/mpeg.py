r"""Walks MP3 frames: where the sound starts, how many frames there are, whether the end is there.

::

    49443304 0000 00000223 ...        "ID3" version, flags, size (7 bits a byte): skipped
    fff388c4                          11 ones, MPEG-2, Layer III, no CRC; 64 kbit/s, 16000 Hz; mono
    000000 000000000 58696e67         side information, then "Xing": an info frame, no sound
    0000000f 0000002c 00001c68        flags, 44 frames, 7272 bytes (what encoders wrote; edited at will)

libmpg123 believes the count of the Xing frame, and where there is none it guesses one from the first
frames' bit rate: both cut recordings short without a word. So the frames are counted here and the
count is handed over in a Xing frame of our own. It does not decode.

Source: ISO/IEC 11172-3, 2.4.1.3 and 2.4.2.3; ISO/IEC 13818-3; id3.org, "ID3v2.4.0 Main Structure";
G. Bouvigne, "MP3 Info Tag revision 1".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from whisperlab.audio.limits import AudioLimits
from whisperlab.audio.source import ByteSource, Window
from whisperlab.errors import AudioError

_MOST_TAGS = 64
_SEARCH_BYTES = 64 * 1024  # padding after a tag, damage in mid stream
_KBITS = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG-1
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG-2, 2.5
}
_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_LAYER_III = 1
_XING_REGION = 4 + 32 + 2 + 4  # header, longest side information, CRC, the tag's name
_FLAG_FRAMES, _FLAG_BYTES = 1, 2
_MOST_RESUMES = 64  # damaged places that are searched for the next frame
_TAGS = (
    b"TAG",
    b"APETAGEX",
    b"LYRICSBE",
    b"ID3",
    b"3DI",
)  # what may stand between or behind frames


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """Four bytes of an MPEG Layer III frame, read."""

    rate_hz: int
    channels: int
    samples: int
    size: int
    first_version: bool

    def agrees_with(self, other: FrameHeader) -> bool:
        """Whether both can belong to one stream (bit rate and padding may change)."""
        return (self.rate_hz, self.first_version) == (other.rate_hz, other.first_version)


def read_frame_header(raw: bytes) -> FrameHeader | None:
    """Returns the header of an MP3 frame, or None for what is none (free format included).

    >>> read_frame_header(bytes.fromhex("fff388c4"))
    FrameHeader(rate_hz=16000, channels=1, samples=576, size=288, first_version=False)
    """
    if len(raw) < 4 or raw[0] != 0xFF or raw[1] & 0xE0 != 0xE0:  # noqa: PLR2004  sync word of 11 ones
        return None
    version, layer = raw[1] >> 3 & 3, raw[1] >> 1 & 3
    rate_index, bitrate_index = raw[2] >> 2 & 3, raw[2] >> 4
    if version == 1 or layer != _LAYER_III or rate_index == 3 or bitrate_index in (0, 15):  # noqa: PLR2004  reserved values
        return None
    first = version == 3  # noqa: PLR2004  MPEG-1's code
    rate_hz, kbits = _RATES_HZ[version][rate_index], _KBITS[first][bitrate_index]
    samples = 1152 if first else 576
    size = samples // 8 * kbits * 1000 // rate_hz + (raw[2] >> 1 & 1)
    return FrameHeader(rate_hz, 1 if raw[3] >> 6 == 3 else 2, samples, size, first)  # noqa: PLR2004  mono's code


def skip_tags(source: ByteSource) -> int:
    """Returns the offset behind leading ID3v2 tags.

    Raises:
        AudioError: ``invalid_audio`` for a tag longer than the file or for too many of them.
    """
    position = 0
    for _ in range(_MOST_TAGS):
        size = _id3_size(source, position)
        if size == 0:
            return position
        position += size
        if position > source.size:
            raise _damaged(f"an ID3 tag inside {source.size} bytes", f"one of {size}")
    raise _damaged(f"at most {_MOST_TAGS} ID3 tags", "more")


def _id3_size(source: ByteSource, position: int) -> int:
    """Returns the bytes of the ID3v2 tag at ``position``, 0 where there is none."""
    head = source.read_at(position, 10)
    if len(head) < 10 or not head.startswith(b"ID3") or any(byte & 0x80 for byte in head[6:]):  # noqa: PLR2004  the tag header's size
        return 0
    footer = 10 if head[5] & 0x10 else 0
    return 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]) + footer


def find_frames(source: ByteSource, offset: int, *, in_a_row: int) -> int | None:
    """Returns where, within 64 KiB, ``in_a_row`` agreeing frames begin.

    A file that is one frame and nothing else counts too.
    """
    region = source.read_at(offset, _SEARCH_BYTES)
    at = -1
    while (at := region.find(b"\xff", at + 1)) >= 0:
        header = read_frame_header(region[at : at + 4])
        if header is not None:
            alone = at == 0 and offset + header.size >= source.size
            if alone or _agree(source, offset + at, header, in_a_row):
                return offset + at
    return None


def has_stray_headers(region: bytes) -> bool:
    """Whether MPEG frame headers of any layer occur at all, in a row or not."""
    at = -1
    while (at := region.find(b"\xff", at + 1)) >= 0:
        raw = region[at : at + 4]
        if len(raw) == 4 and raw[1] & 0xE0 == 0xE0 and raw[1] >> 3 & 3 != 1 and raw[1] >> 1 & 3:  # noqa: PLR2004  as above
            rate_index, bitrate_index = raw[2] >> 2 & 3, raw[2] >> 4
            if rate_index != 3 and bitrate_index != 15:  # noqa: PLR2004  reserved values
                return True
    return False


def _agree(source: ByteSource, position: int, first: FrameHeader, in_a_row: int) -> bool:
    header = first
    for _ in range(in_a_row - 1):
        position += header.size
        following = read_frame_header(source.read_at(position, 4))
        if following is None or not following.agrees_with(first):
            return False
        header = following
    return True


@dataclass(frozen=True, slots=True)
class Mp3Scan:
    """Frames counted by walking them. ``truncated``: the last is cut, or damage lies between."""

    start: int
    header: FrameHeader
    frames: int
    truncated: bool


def scan_mp3(source: ByteSource, start: int, limits: AudioLimits) -> Mp3Scan:
    """Counts the frames from ``start``, over damaged places too, up to the limit of seconds.

    Raises:
        AudioError: ``audio_too_long``, ``too_many_channels`` or ``invalid_sample_rate``.
    """
    first = read_frame_header(source.read_at(start, 4))
    if first is None:
        raise _damaged("an MP3 frame", "something else")
    limits.check_rate(first.rate_hz)
    limits.check_channels(first.channels)
    position, frames, resumes, truncated = start, 0, 0, False
    while position < source.size:
        raw = source.read_at(position, 8)
        header = read_frame_header(raw)
        if header is not None and header.agrees_with(first):
            frames += 1
            limits.check_too_long(frames * first.samples, first.rate_hz, first.channels)
            position += header.size
            truncated = truncated or position > source.size
            continue
        behind = position + max(1, _id3_size(source, position))
        resumed = find_frames(source, behind, in_a_row=4) if resumes < _MOST_RESUMES else None
        if resumed is None:
            break
        resumes, position = resumes + 1, resumed
        truncated = truncated or not raw.startswith(_TAGS)
    return Mp3Scan(start, first, frames, truncated)


def counted_window(source: ByteSource, scan: Mp3Scan) -> Window:
    """Returns the stream as a file whose Xing frame tells the truth about its length."""
    first = bytearray(source.read_at(scan.start, scan.header.size))
    at = max(first.find(b"Xing", 0, _XING_REGION), first.find(b"Info", 0, _XING_REGION))
    flags = struct.unpack(">I", first[at + 4 : at + 8])[0] if 0 <= at <= len(first) - 16 else 0
    stream_bytes = source.size - scan.start
    if flags & _FLAG_FRAMES:  # keep it: it also holds the encoder's delay, which is cut off
        struct.pack_into(">I", first, at + 8, scan.frames - 1)
        if flags & _FLAG_BYTES:
            struct.pack_into(">I", first, at + 12, min(stream_bytes, 2**32 - 1))
        return Window(source, scan.start + scan.header.size, prefix=bytes(first))
    return Window(source, scan.start, prefix=_info_frame(bytes(first[:4]), scan))


def _info_frame(raw: bytes, scan: Mp3Scan) -> bytes:
    # No CRC; bit rate index 8 is a frame of 192 bytes or more at every rate: room for the tag.
    head = bytes((raw[0], raw[1] | 1, 8 << 4 | raw[2] & 0b1100, raw[3]))
    header = read_frame_header(head)
    if header is None:
        raise _damaged("an MP3 frame", "something else")
    side = {(True, 1): 17, (True, 2): 32, (False, 1): 9, (False, 2): 17}
    tag = b"Xing" + struct.pack(">II", _FLAG_FRAMES, scan.frames)
    return (head + b"\0" * side[header.first_version, header.channels] + tag).ljust(
        header.size, b"\0"
    )


def _damaged(expected: str, got: str) -> AudioError:
    return AudioError(
        f"MP3: expected {expected}, got {got}; save the recording again", code="invalid_audio"
    )
