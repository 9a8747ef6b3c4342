"""Sound files written byte by byte, from the standards and not with the code under test."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

RATE_HZ = 16_000


def tone(seconds: float = 0.5, rate_hz: int = RATE_HZ, hz: float = 440.0) -> NDArray[np.float32]:
    """A sine of amplitude 0.4, shape (n_samples,)."""
    instants = np.arange(round(seconds * rate_hz)) / rate_hz
    return (0.4 * np.sin(2 * np.pi * hz * instants)).astype(np.float32)


def pcm16(samples: NDArray[np.float32]) -> bytes:
    return np.round(samples * 32767).astype("<i2").tobytes()


def chunk(name: bytes, body: bytes, size: int | None = None, order: str = "<") -> bytes:
    """A RIFF or AIFF chunk, padded to an even size; ``size`` may lie."""
    declared = len(body) if size is None else size
    return name + struct.pack(order + "I", declared) + body + b"\0" * (len(body) % 2)


def fmt(
    tag: int = 1,
    channels: int = 1,
    rate_hz: int = RATE_HZ,
    bits: int = 16,
    block: int | None = None,
    extra: bytes = b"",
    order: str = "<",
) -> bytes:
    block = channels * bits // 8 if block is None else block
    fields = (tag, channels, rate_hz, rate_hz * block & 0xFFFFFFFF, block & 0xFFFF, bits)
    return chunk(b"fmt ", struct.pack(order + "HHIIHH", *fields) + extra, order=order)


def riff(*chunks: bytes, magic: bytes = b"RIFF", order: str = "<") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return magic + struct.pack(order + "I", len(body)) + body


def wav(samples: NDArray[np.float32] | None = None, rate_hz: int = RATE_HZ) -> bytes:
    """A plain 16-bit WAV of one channel."""
    return riff(fmt(rate_hz=rate_hz), chunk(b"data", pcm16(tone() if samples is None else samples)))


def aiff(
    data: bytes,
    *,
    channels: int = 1,
    frames: int,
    bits: int = 16,
    rate: bytes = bytes.fromhex("400cfa00000000000000"),
    compression: bytes = b"",
) -> bytes:
    """An AIFF, or with a ``compression`` an AIFF-C; ``rate`` is an 80-bit float (16000 Hz)."""
    common = struct.pack(">hIh", channels, frames, bits) + rate + compression
    body = (b"AIFC" if compression else b"AIFF") + chunk(b"COMM", common, order=">")
    body += chunk(b"SSND", struct.pack(">II", 0, 0) + data, order=">")
    return b"FORM" + struct.pack(">I", len(body)) + body


def ogg_page(
    packet: bytes, *, granule: int, flags: int = 0, serial: int = 7, number: int = 0
) -> bytes:
    """One Ogg page of one packet below 255 * 255 bytes; the CRC is left zero."""
    lacing = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, serial, number, 0, len(lacing))
    return head + lacing + packet


def opus_head(channels: int = 1, pre_skip: int = 312) -> bytes:
    return b"OpusHead" + struct.pack("<BBHIhB", 1, channels, pre_skip, 48_000, 0, 0)


def box(name: bytes, *bodies: bytes) -> bytes:
    """One MP4 box."""
    body = b"".join(bodies)
    return struct.pack(">I4s", 8 + len(body), name) + body


def table(name: bytes, rows: Sequence[Sequence[int]], count: int | None = None) -> bytes:
    """An MP4 table of 32-bit numbers; ``count`` may lie."""
    numbers = [number for row in rows for number in row]
    claimed = len(rows) if count is None else count
    return box(name, struct.pack(f">II{len(numbers)}I", 0, claimed, *numbers))


def encode(
    samples: NDArray[np.float32], rate_hz: int, container: str, subtype: str | None = None
) -> bytes:
    """What libsndfile writes."""
    written = io.BytesIO()
    soundfile.write(written, samples, rate_hz, format=container, subtype=subtype)
    return written.getvalue()


def mux(
    samples: NDArray[np.float32], rate_hz: int, container: str, codec: str, *, tracks: int = 1
) -> bytes:
    """What FFmpeg writes; ``samples`` is (n_samples,) or (n_samples, n_channels)."""
    wide = samples[:, None] if samples.ndim == 1 else samples
    layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[wide.shape[1]]
    written = io.BytesIO()
    with av.open(written, "w", format=container) as output:
        streams = [output.add_stream(codec, rate=rate_hz, layout=layout) for _ in range(tracks)]
        for track, stream in enumerate(streams):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray((wide / (track + 1)).reshape(1, -1)), "flt", layout
            )
            frame.rate, frame.pts = rate_hz, 0
            fifo = av.AudioResampler(
                stream.codec_context.format,
                layout,
                rate_hz,
                stream.codec_context.frame_size or None,
            )
            for piece in [*fifo.resample(frame), *fifo.resample(None)]:
                output.mux(stream.encode(piece))
            output.mux(stream.encode(None))
    return written.getvalue()
