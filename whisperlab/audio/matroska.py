"""Looks whether a Matroska or WebM file is as long as it says.

::

    1a45dfa3 9f 4286 81 01 ...     EBML head of 31 bytes: version 1, ..., DocType "webm"
    18538067 01ffffffffffffff      Segment of unknown size: a live recording, as browsers make it
    18538067 010000000000042c      Segment of 1068 bytes

FFmpeg reads a cut file to its end without saying so. It does not decode.

Source: RFC 8794 (EBML), sections 4 and 6; RFC 9559 (Matroska), section 5.
"""

from __future__ import annotations

from whisperlab.audio.source import ByteSource

_SEGMENT = bytes.fromhex("18538067")


def segment_is_cut(source: ByteSource) -> bool:
    """Returns whether the segment claims bytes beyond the end of the file."""
    head_size = _read_size(source.read_at(4, 8))
    if head_size is None:
        return False
    position = 4 + head_size[1] + head_size[0]
    if source.read_at(position, 4) != _SEGMENT:
        return False
    segment = _read_size(source.read_at(position + 4, 8))
    if segment is None:
        return False
    size, width = segment
    unknown = size == (1 << 7 * width) - 1  # all ones (RFC 8794, 6.2)
    return not unknown and position + 4 + width + size > source.size


def _read_size(raw: bytes) -> tuple[int, int] | None:
    """Returns an EBML size and its width in bytes: the leading zeros of byte 1 say how many follow."""
    if not raw or raw[0] == 0:
        return None
    width = 9 - raw[0].bit_length()
    if len(raw) < width:
        return None
    return int.from_bytes(raw[:width], "big") & ((1 << 7 * width) - 1), width
