"""Reads a FLAC file's STREAMINFO: rate, channels and how many samples it promises.

::

    664c6143                     "fLaC"
    00 000022                    block type 0 (STREAMINFO), 34 bytes
    1000 1000 000010 000c4f      smallest and largest block (samples) and frame (bytes)
    03e800f0 00007d00            20 bits 16000 Hz, 3 bits channels-1, 5 bits bits-1, 36 bits 32000 samples
    ...                          MD5 of the samples (not checked: many writers leave it zero)

Source: RFC 9639, section 8.2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from whisperlab.audio.limits import AudioLimits
from whisperlab.audio.source import ByteSource
from whisperlab.errors import AudioError

_STREAMINFO_BYTES = 34


@dataclass(frozen=True, slots=True)
class FlacHeader:
    """What STREAMINFO says; ``frames`` is 0 where the writer did not know."""

    rate_hz: int
    channels: int
    frames: int


def read_flac_header(source: ByteSource, offset: int, limits: AudioLimits) -> FlacHeader:
    """Returns the promises of the FLAC stream that starts at ``offset``.

    Raises:
        AudioError: ``invalid_audio`` without a whole STREAMINFO, ``invalid_sample_rate``,
            ``too_many_channels``.
    """
    head = source.read_at(offset + 4, 4 + _STREAMINFO_BYTES)
    kind_and_size = struct.unpack(">I", head[:4].ljust(4, b"\xff"))[0] & 0x7FFFFFFF
    if len(head) < 4 + _STREAMINFO_BYTES or kind_and_size != _STREAMINFO_BYTES:
        raise AudioError(
            f"FLAC: expected STREAMINFO of {_STREAMINFO_BYTES} bytes first, got {len(head)} bytes "
            "that are none; save the recording again",
            code="invalid_audio",
        )
    packed = struct.unpack(">Q", head[14:22])[0]
    header = FlacHeader(
        rate_hz=packed >> 44, channels=(packed >> 41 & 0b111) + 1, frames=packed & (2**36 - 1)
    )
    limits.check_channels(header.channels)
    limits.check_rate(header.rate_hz)
    return header
