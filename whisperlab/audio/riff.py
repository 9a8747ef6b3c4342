r"""Walks WAV files (RIFF, RIFX, RF64) chunk by chunk and says where which samples lie.

A 44-byte header, the commonest file of all::

    52494646 24bb0000 57415645              "RIFF"  size    "WAVE"
    666d7420 10000000                       "fmt "  16
    0100 0100 803e0000 007d0000 0200 1000   PCM, 1 channel, 16000 Hz, 32000 bytes/s, block 2, 16 bit
    64617461 00bb0000 ...                   "data"  48000, then the samples

Owns what counts as a sound WAV. Interrupted recorders, pipes and cut uploads leave sizes that are
too large: what is there is read. It does not decode.

Source: IBM & Microsoft, Multimedia Programming Interface and Data Specifications 1.0 (1991);
Microsoft, WAVEFORMATEXTENSIBLE; EBU Tech 3306 (RF64).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from whisperlab.audio.layout import SampleLayout, bytes_per_frame, pcm_encoding
from whisperlab.audio.limits import AudioLimits
from whisperlab.audio.source import ByteSource
from whisperlab.errors import AudioError

_MOST_CHUNKS = 4096
_LARGEST_FORMAT_CHUNK = 4096  # WAVEFORMATEXTENSIBLE needs 40 bytes
_UNKNOWN_SIZE = 0xFFFFFFFF  # RF64: "see ds64"; RIFF: written by ffmpeg and browsers into pipes
_LARGEST_BELIEVABLE_SIZE = 2**40  # a terabyte: RF64 sizes above it are damage, not a cut upload

_PCM, _MS_ADPCM, _FLOAT, _ALAW, _MULAW, _IMA_ADPCM = 0x0001, 0x0002, 0x0003, 0x0006, 0x0007, 0x0011
_EXTENSIBLE = 0xFFFE
# The tail that turns a codec tag into a WAVEFORMATEXTENSIBLE sub-format GUID.
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


@dataclass(frozen=True, slots=True)
class _Format:
    """The ``fmt `` chunk, after its own checks."""

    encoding: str
    channels: int
    rate_hz: int
    block: int
    raw: bytes


@dataclass(slots=True)
class _Found:
    """What a walk has seen so far."""

    format: _Format | None = None
    data_offset: int | None = None
    declared: int = 0
    long_data_size: int | None = None  # from ds64


def read_wav_layout(source: ByteSource, limits: AudioLimits) -> SampleLayout:
    """Returns where the samples of a WAV lie and how they are written.

    Raises:
        AudioError: ``invalid_audio``, ``unsupported_codec``, ``invalid_sample_rate`` or
            ``too_many_channels``, as the header deserves.
    """
    magic = source.read_at(0, 12)
    if len(magic) < 12:  # noqa: PLR2004  the length of the magic above
        raise _damaged("a WAV header", f"{len(magic)} bytes")
    order: Literal["<", ">"] = ">" if magic.startswith(b"RIFX") else "<"
    long_form = magic.startswith(b"RF64")
    found = _walk(source, limits, order, long_form=long_form)
    if found.format is None or found.data_offset is None:
        raise _damaged('a "fmt " chunk and then a "data" chunk', "a file without them")
    return _layout(found.format, found.data_offset, found.declared, source.size, order)


def _walk(
    source: ByteSource, limits: AudioLimits, order: Literal["<", ">"], *, long_form: bool
) -> _Found:
    found = _Found()
    position = 12
    for _ in range(_MOST_CHUNKS):
        head = source.read_at(position, 8)
        if len(head) < 8:  # noqa: PLR2004  id and size
            return found
        name, size = head[:4], struct.unpack(order + "I", head[4:])[0]
        body = position + 8
        if name == b"fmt ":
            if found.format is not None:
                raise _damaged('one "fmt " chunk', "two, which programs read differently")
            found.format = _read_format(source, limits, body, size, order)
        elif name == b"ds64" and long_form:
            found.long_data_size = _read_long_size(source, body)
        elif name == b"data" and found.data_offset is None:
            size = _data_size(found, size, long_form=long_form)
            found.data_offset, found.declared = body, size
        # Chunks are padded to an even size (RIFF 1.0, "Chunks").
        position = body + size + size % 2
    if found.data_offset is None:
        raise _damaged(f'"data" within {_MOST_CHUNKS} chunks', "more chunks")
    return found


def _data_size(found: _Found, size: int, *, long_form: bool) -> int:
    """Returns the declared bytes of the samples: the chunk's own size or, in RF64, that of ds64."""
    if found.format is None:
        raise _damaged('"fmt " before "data"', "samples of unknown format")
    if not long_form or size != _UNKNOWN_SIZE:
        return size
    if found.long_data_size is None:
        raise _damaged('a "ds64" chunk in RF64', "none")
    return found.long_data_size


def _read_long_size(source: ByteSource, body: int) -> int:
    sizes = source.read_at(body, 16)  # RIFF size, data size: 8 bytes each
    if len(sizes) < 16:  # noqa: PLR2004  the two sizes above
        raise _damaged('a whole "ds64" chunk', f"{len(sizes)} bytes")
    riff_size, data_size = struct.unpack("<QQ", sizes)
    if max(riff_size, data_size) > _LARGEST_BELIEVABLE_SIZE:
        raise _damaged("RF64 sizes below a terabyte", f"{max(riff_size, data_size)} bytes")
    return int(data_size)


def _read_format(
    source: ByteSource, limits: AudioLimits, body: int, size: int, order: Literal["<", ">"]
) -> _Format:
    raw = source.read_at(body, min(size, _LARGEST_FORMAT_CHUNK))
    if size > _LARGEST_FORMAT_CHUNK or len(raw) < size or size < 16:  # noqa: PLR2004  the fixed fields
        raise _damaged('a "fmt " chunk of 16 to 4096 bytes', f"{size}, {len(raw)} of them there")
    tag, channels, rate_hz, _, block, bits = struct.unpack(order + "HHIIHH", raw[:16])
    if tag == _EXTENSIBLE:
        if len(raw) < 40 or raw[26:40] != _GUID_TAIL:  # noqa: PLR2004  WAVEFORMATEXTENSIBLE's size
            raise _unsupported_codec(f"sub-format {raw[24:40].hex() or 'missing'}")
        tag = struct.unpack(order + "H", raw[24:26])[0]
    adpcm = tag in (_MS_ADPCM, _IMA_ADPCM) and order == "<"
    if tag not in (_PCM, _FLOAT, _ALAW, _MULAW) and not adpcm:
        raise _unsupported_codec(f"codec tag 0x{tag:04x}")
    limits.check_channels(channels)
    limits.check_rate(rate_hz)
    if adpcm:
        _check_adpcm(tag, channels, block, bits, raw)
        encoding = "MS_ADPCM" if tag == _MS_ADPCM else "IMA_ADPCM"
    else:
        encoding = _plain_encoding(tag, bits)
        if block != bytes_per_frame(encoding, channels):
            raise _damaged(
                f"blocks of {bytes_per_frame(encoding, channels)} bytes for {channels} channels "
                f"of {bits} bits",
                str(block),
            )
    return _Format(encoding, channels, rate_hz, block, raw)


def _plain_encoding(tag: int, bits: int) -> str:
    if tag == _PCM:
        return pcm_encoding(bits, eight_bit="PCM_U8")
    wanted = {
        (_FLOAT, 32): "FLOAT",
        (_FLOAT, 64): "DOUBLE",
        (_ALAW, 8): "ALAW",
        (_MULAW, 8): "ULAW",
    }
    if (tag, bits) not in wanted:
        raise _damaged("float samples of 32 or 64, or A-law/mu-law of 8 bits", f"{bits} bits")
    return wanted[tag, bits]


def _check_adpcm(tag: int, channels: int, block: int, bits: int, raw: bytes) -> None:
    """Checks that a block holds its preamble and as many samples as the header says.

    Source: Microsoft, "New Multimedia Data Types and Data Techniques" 3.0 (1994): a block starts
    with 7 (MS) or 4 (IMA) bytes a channel that hold 2 or 1 samples; then 4 bits a sample.
    """
    preamble, in_preamble = (7, 2) if tag == _MS_ADPCM else (4, 1)
    room = (block - preamble * channels) * 2 // channels + in_preamble
    samples = struct.unpack("<H", raw[18:20])[0] if len(raw) >= 20 else 0  # noqa: PLR2004  wSamplesPerBlock's end
    if bits != 4 or channels > 2 or not 0 < samples <= room:  # noqa: PLR2004  the codec's definition
        raise _damaged(
            "ADPCM of 4 bits, 1 or 2 channels and blocks that hold their samples",
            f"{bits} bits, {channels} channels, {samples} samples in a block of {block} bytes",
        )


def _layout(
    written: _Format, offset: int, declared: int, file_size: int, order: Literal["<", ">"]
) -> SampleLayout:
    present = max(0, file_size - offset)
    # 0xFFFFFFFF is what a recorder writes that does not know the end yet: legal, not a cut.
    length = present if declared == _UNKNOWN_SIZE else min(declared, present)
    header = _canonical_header(written, length) if "ADPCM" in written.encoding else b""
    return SampleLayout(
        encoding=written.encoding,
        rate_hz=written.rate_hz,
        channels=written.channels,
        offset=offset,
        length=length - length % written.block,  # a last sample cut in half is dropped
        big_endian=order == ">",
        truncated=present < declared != _UNKNOWN_SIZE,
        header=header,
    )


def _canonical_header(written: _Format, length: int) -> bytes:
    """Returns a header without surprises under which libsndfile decodes ADPCM blocks."""
    fmt = (
        b"fmt " + struct.pack("<I", len(written.raw)) + written.raw + b"\0" * (len(written.raw) % 2)
    )
    data = b"data" + struct.pack("<I", min(length - length % written.block, _UNKNOWN_SIZE - 8192))
    return b"RIFF" + struct.pack("<I", _UNKNOWN_SIZE) + b"WAVE" + fmt + data


def _damaged(expected: str, got: str) -> AudioError:
    return AudioError(
        f"WAV: expected {expected}, got {got}; save the recording again", code="invalid_audio"
    )


def _unsupported_codec(got: str) -> AudioError:
    return AudioError(
        f"WAV: expected PCM, float, A-law, mu-law or ADPCM, got {got}; convert it to PCM",
        code="unsupported_codec",
    )
