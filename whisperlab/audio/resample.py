"""Turns blocks of any channel count and rate into one 16 kHz mono signal, block by block.

Owns down-mix and resampling. It does not know files, formats or limits.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from whisperlab.audio.waveform import SAMPLE_RATE_HZ, Samples

Block = NDArray[np.float32]
"""Decoded samples, shape ``(n_frames, n_channels)``."""

_INTEGER_SCALE = 32_768.0  # full scale of 16-bit samples


def mix_down(block: Block) -> Samples:
    """Returns the mean over the channels: shape ``(n_frames, n_channels)`` to ``(n_frames,)``.

    >>> mix_down(np.array([[1.0, 0.0], [0.5, 0.5]], dtype=np.float32)).tolist()
    [0.5, 0.5]
    """
    if block.shape[1] == 1:
        return np.ascontiguousarray(block[:, 0])
    mono = block[:, 0].copy()
    for channel in range(1, block.shape[1]):  # column sums: several times faster than mean(axis=1)
        mono += block[:, channel]
    mono /= block.shape[1]
    return mono


class MonoSignal:
    """Grows a 16 kHz mono signal from blocks of one rate; resampling never sees the whole.

    Source: soxr's HQ quality (a 20-bit linear-phase filter), which librosa uses as well.
    """

    def __init__(self, rate_hz: int) -> None:
        # A bytearray grows in place (mremap), so an hour of sound is not copied to be joined.
        self._bytes = bytearray()
        self._stream: Any = None
        if rate_hz != SAMPLE_RATE_HZ:
            import soxr

            self._stream = soxr.ResampleStream(
                rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ"
            )

    def add(self, block: Block) -> None:
        """Mixes down, resamples and appends one block."""
        mono = mix_down(block)
        self._append(mono if self._stream is None else self._stream.resample_chunk(mono))

    def finish(self) -> Samples:
        """Returns the signal, shape ``(n_samples,)``; nothing can be added afterwards."""
        if self._stream is not None:
            self._append(self._stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
        return np.frombuffer(self._bytes, dtype=np.float32)

    def _append(self, samples: Samples) -> None:
        self._bytes += cast("bytes", samples.data.cast("B")) if len(samples) else b""


def full_scale(peak: float) -> float:
    """Returns what float samples with this peak were scaled to: 1, or a power of two.

    Float files in integer scale (peaks of thousands) come from arrays that were saved without
    dividing by 32768. Overshoots of ordinary float and lossy files stay far below 16 (24 dB).

    >>> full_scale(1.2), full_scale(13_106.8), full_scale(100_000.0)
    (1.0, 32768.0, 131072.0)
    """
    loudest_overshoot = 16.0
    if peak <= loudest_overshoot:
        return 1.0
    return max(_INTEGER_SCALE, float(2.0 ** np.ceil(np.log2(peak))))
