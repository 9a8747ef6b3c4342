"""Reads an Ogg file's first and last pages: which codec, how long, whether the end is there.

::

    4f676753 00 02 0000000000000000   "OggS", version 0, first page, granule position 0
    53747265 00000000 a1b2c3d4        stream serial, page number, CRC
    01 13                             one segment of 19 bytes
    4f707573 48656164 01 01 3801 ...  "OpusHead", version 1, 1 channel, pre-skip 312 samples

Owns what counts as a sound Ogg stream of Opus or Vorbis. It does not decode.

Source: RFC 3533 (Ogg), RFC 7845 (Opus in Ogg), Vorbis I specification 4.2.2 and A.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from whisperlab.audio.limits import AudioLimits
from whisperlab.audio.source import ByteSource
from whisperlab.errors import AudioError

_PAGE_HEADER = struct.Struct("<4sBBqIIIB")
_LARGEST_PAGE = _PAGE_HEADER.size + 255 + 255 * 255
_MOST_HEADER_PAGES = 4096  # cover art in comment headers fills pages; a thumbnail, not an album
_LAST_PAGE_FLAG = 0x04
_OPUS_RATE_HZ = 48_000  # granule positions count at 48 kHz whatever the input was (RFC 7845, 4)


@dataclass(frozen=True, slots=True)
class _Page:
    """One page: ``granule`` is the sample at its end, 0 or -1 in pages of headers."""

    flags: int
    granule: int
    serial: int
    body: int
    end: int


@dataclass(frozen=True, slots=True)
class OggHeader:
    """``truncated``: the last page is cut or is not marked as the last one."""

    codec: str
    channels: int
    truncated: bool


def read_ogg_header(source: ByteSource, limits: AudioLimits) -> OggHeader:
    """Returns what the first stream of an Ogg file says of itself.

    Raises:
        AudioError: ``unsupported_codec`` for other codecs than Opus and Vorbis; ``invalid_audio``
            for damaged headers; ``audio_too_short`` where no sound follows them;
            ``audio_too_long`` by the granule position, which is the length by definition.
    """
    first = _read_page(source, 0)
    if first is None or first.end > source.size:
        raise _damaged("a first page", "a piece of one")
    packet = source.read_at(first.body, min(first.end - first.body, 64))
    codec, channels, rate_hz, skip = _read_identification(packet)
    limits.check_channels(channels)
    limits.check_rate(rate_hz)
    sound = _first_sound_page(source, first)
    last = _last_page(source)
    truncated = last is None or last.end > source.size or not last.flags & _LAST_PAGE_FLAG
    if sound is None:
        if last is not None and last.end > source.size:
            raise _damaged("a whole page of sound", "a file cut before the end of one")
        limits.check_too_short(0, rate_hz)
        return OggHeader(codec, channels, truncated)
    if last is not None and last.serial == first.serial and last.end <= source.size:
        # A recording of a live stream starts at a large position; one page alone has no start.
        start = sound.granule if sound.body != last.body else 0
        limits.check_too_long(last.granule - start, rate_hz, channels)
        limits.check_too_short(max(0, last.granule - skip), rate_hz)
    return OggHeader(codec, channels, truncated)


def _read_identification(packet: bytes) -> tuple[str, int, int, int]:
    """Returns codec, channels, rate of the granule positions (Hz), samples to skip."""
    if packet.startswith(b"OpusHead"):
        if len(packet) < 19 or packet[8] & 0xF0:  # noqa: PLR2004  RFC 7845, 5.1: 19 bytes, major version 0
            raise _damaged("an Opus header of version 1", f"{len(packet)} bytes")
        return "opus", packet[9], _OPUS_RATE_HZ, struct.unpack("<H", packet[10:12])[0]
    if packet.startswith(b"\x01vorbis"):
        if len(packet) < 16:  # noqa: PLR2004  Vorbis I, 4.2.2: up to the rate
            raise _damaged("a Vorbis header", f"{len(packet)} bytes")
        channels, rate_hz = struct.unpack("<BI", packet[11:16])
        return "vorbis", channels, rate_hz, 0
    raise AudioError(
        f"Ogg: expected Opus or Vorbis first, got {packet[:8]!r}; convert it to Opus or FLAC",
        code="unsupported_codec",
    )


def _pages(source: ByteSource) -> Iterator[_Page]:
    position = 0
    while (page := _read_page(source, position)) is not None and page.end <= source.size:
        yield page
        position = page.end


def _first_sound_page(source: ByteSource, first: _Page) -> _Page | None:
    for number, page in enumerate(_pages(source)):
        if page.serial == first.serial and page.granule not in (0, -1):
            return page
        if number > _MOST_HEADER_PAGES:
            raise _damaged(f"sound within {_MOST_HEADER_PAGES} pages", "headers only")
    return None


def _last_page(source: ByteSource) -> _Page | None:
    start = max(0, source.size - _LARGEST_PAGE - _PAGE_HEADER.size)
    tail = source.read_at(start, source.size - start)
    at = len(tail)
    while (at := tail.rfind(b"OggS", 0, at)) >= 0:
        page = _read_page(source, start + at)
        if page is not None:
            return page
    return None


def _read_page(source: ByteSource, position: int) -> _Page | None:
    head = source.read_at(position, _PAGE_HEADER.size + 255)
    if len(head) < _PAGE_HEADER.size:
        return None
    magic, version, flags, granule, serial, _, _, segments = _PAGE_HEADER.unpack_from(head)
    sizes = head[_PAGE_HEADER.size : _PAGE_HEADER.size + segments]
    if magic != b"OggS" or version != 0:
        return None
    body = position + _PAGE_HEADER.size + segments
    # A table of sizes that is itself cut leaves the end beyond the file, as it is.
    return _Page(flags, granule, serial, body, body + sum(sizes) + (segments - len(sizes)))


def _damaged(expected: str, got: str) -> AudioError:
    return AudioError(
        f"Ogg: expected {expected}, got {got}; save the recording again", code="invalid_audio"
    )
