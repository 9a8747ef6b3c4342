r"""Walks AIFF and AIFF-C files chunk by chunk and says where which samples lie.

::

    464f524d 0000bbae 41494646              "FORM"  size  "AIFF"
    434f4d4d 00000012                       "COMM"  18
    0001 00005dc0 0010 400cfa00000000000000 1 channel, 24000 frames, 16 bit, 16000 Hz (80-bit float)
    53534e44 0000bb88 00000000 00000000 ... "SSND"  size, offset, block size, then the samples

Owns what counts as a sound AIFF. It does not decode.

Source: Apple, Audio Interchange File Format 1.3 (1989) and AIFF-C draft (1991).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from whisperlab.audio.layout import SampleLayout, bytes_per_frame, pcm_encoding
from whisperlab.audio.limits import AudioLimits
from whisperlab.audio.source import ByteSource
from whisperlab.errors import AudioError

_MOST_CHUNKS = 4096
_COMMON_SIZE = 18  # channels, frames, bits, rate; AIFF-C adds the compression's name
_BIG_ENDIAN_PCM = (b"NONE", b"twos", b"in24", b"in32")
_FIXED_ENCODINGS = {
    b"raw ": "PCM_U8",
    b"fl32": "FLOAT",
    b"FL32": "FLOAT",
    b"fl64": "DOUBLE",
    b"FL64": "DOUBLE",
    b"ulaw": "ULAW",
    b"ULAW": "ULAW",
    b"alaw": "ALAW",
    b"ALAW": "ALAW",
}


@dataclass(frozen=True, slots=True)
class _Common:
    """The ``COMM`` chunk, after its own checks."""

    encoding: str
    channels: int
    frames: int
    rate_hz: int
    big_endian: bool


def read_aiff_layout(source: ByteSource, limits: AudioLimits) -> SampleLayout:
    """Returns where the samples of an AIFF lie and how they are written.

    Raises:
        AudioError: ``invalid_audio``, ``unsupported_codec``, ``invalid_sample_rate`` or
            ``too_many_channels``, as the header deserves.
    """
    compressed = source.read_at(8, 4) == b"AIFC"
    common: _Common | None = None
    sound: tuple[int, int] | None = None  # offset of the samples, their declared bytes
    position = 12
    for _ in range(_MOST_CHUNKS):
        head = source.read_at(position, 8)
        if len(head) < 8:  # noqa: PLR2004  id and size
            break
        name, size = head[:4], struct.unpack(">I", head[4:])[0]
        body = position + 8
        if name == b"COMM":
            if common is not None:
                raise _damaged('one "COMM" chunk', "two, which programs read differently")
            common = _read_common(
                source.read_at(body, min(size, 64)), limits, compressed=compressed
            )
        elif name == b"SSND" and sound is None:
            skip = struct.unpack(">I", source.read_at(body, 4).rjust(4, b"\0"))[0]
            sound = body + 8 + skip, max(0, size - 8 - skip)
        position = body + size + size % 2
    if common is None or sound is None:
        raise _damaged('"COMM" and "SSND" chunks', "a file without them")
    block = bytes_per_frame(common.encoding, common.channels)
    declared = common.frames * block
    length = min(declared, sound[1], max(0, source.size - sound[0]))
    return SampleLayout(
        encoding=common.encoding,
        rate_hz=common.rate_hz,
        channels=common.channels,
        offset=sound[0],
        length=length - length % block,
        big_endian=common.big_endian,
        truncated=length < declared,
    )


def _read_common(raw: bytes, limits: AudioLimits, *, compressed: bool) -> _Common:
    if len(raw) < _COMMON_SIZE + (4 if compressed else 0):
        raise _damaged(f'a "COMM" chunk of {_COMMON_SIZE} bytes or more', f"{len(raw)}")
    channels, frames, bits = struct.unpack(">hIh", raw[:8])
    limits.check_channels(channels)
    rate_hz = extended_to_float(raw[8:18])
    limits.check_rate(rate_hz)
    kind = raw[18:22] if compressed else b"NONE"
    if kind in _BIG_ENDIAN_PCM or kind == b"sowt":
        encoding = pcm_encoding(bits, eight_bit="PCM_S8")
    elif kind in _FIXED_ENCODINGS:
        encoding = _FIXED_ENCODINGS[kind]
    else:
        raise AudioError(
            f"AIFF-C: expected PCM, float, A-law or mu-law, got {kind!r}; convert it to PCM",
            code="unsupported_codec",
        )
    return _Common(encoding, channels, frames, round(rate_hz), big_endian=kind != b"sowt")


def extended_to_float(raw: bytes) -> float:
    """Returns an 80-bit IEEE 754 extended number; NaN for what is no finite number.

    >>> extended_to_float(bytes.fromhex("400cfa00000000000000"))
    16000.0
    """
    head, mantissa = struct.unpack(">HQ", raw)
    sign, exponent = -1.0 if head >> 15 else 1.0, (head & 0x7FFF) - 16383
    if exponent > 1000:  # noqa: PLR2004  beyond a double; all ones is NaN or infinity
        return math.nan
    return sign * math.ldexp(mantissa, exponent - 63)


def _damaged(expected: str, got: str) -> AudioError:
    return AudioError(
        f"AIFF: expected {expected}, got {got}; save the recording again", code="invalid_audio"
    )
