"""Whisper's log-mel features, for every engine of ours.

Owns the way from samples to what a Whisper encoder hears. It does not know models, engines or torch.

Frames that touch no sound are filled with what silence gives instead of being computed, so that a
short clip costs what its sound costs, not 30 s. The transform is numpy's in float64: as fast as its
float32 here, and without the 1e-5 by which single precision strays in quiet bins beside loud ones.
The filters are applied as a sparse matrix: two of 201 bins in three hold zeros, and no BLAS thread
is left spinning beside the encoder.

Source: Radford et al. 2022, section 2.2; openai/whisper ``audio.py``; Slaney 1998, Auditory Toolbox
(the mel scale), as in librosa's ``filters.mel``.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from whisperlab.audio import SAMPLE_RATE_HZ, Samples

FRAME_SAMPLES: Final = 400
"""25 ms, one Fourier transform."""
HOP_SAMPLES: Final = 160
"""10 ms, from one frame to the next."""
WINDOW_SAMPLES: Final = 30 * SAMPLE_RATE_HZ
"""What one encoder pass hears."""

POWER_FLOOR: Final = 1e-10
"""Below it a filter's power is silence."""
RANGE_DECADES: Final = 8.0
"""What lies 80 dB below the loudest value of a sound is silence too."""

_HALF_FRAME: Final = FRAME_SAMPLES // 2
_BLOCK_FRAMES: Final = 128
"""Frames transformed at once: some 1.2 MB with all that comes of them, which stays in a core's cache."""

_LINEAR_HZ: Final = 1000.0
"""Slaney's scale is linear to 1 kHz, 15 mels there, and logarithmic above."""
_LINEAR_MELS: Final = 15.0
_LOG_STEP: Final = np.log(6.4) / 27.0
"""27 mels from 1 to 6.4 kHz."""


def mel_filters(n_mels: int) -> NDArray[np.float64]:
    """Returns triangular filters of equal area over 0 to 8 kHz, shape ``(n_mels, 201)``.

    >>> filters = mel_filters(80)
    >>> filters.shape, float(filters.min()) >= 0
    ((80, 201), True)
    """
    top = _mels(SAMPLE_RATE_HZ / 2)
    edges = _hertz(np.linspace(0.0, top, n_mels + 2))  # shape (n_mels + 2,)
    bins = np.linspace(0.0, SAMPLE_RATE_HZ / 2, _HALF_FRAME + 1)  # shape (201,)
    widths = np.diff(edges)
    ramps = edges[:, None] - bins  # shape (n_mels + 2, 201)
    rising = -ramps[:-2] / widths[:-1, None]
    falling = ramps[2:] / widths[1:, None]
    heights = 2.0 / (edges[2:] - edges[:-2])
    triangles: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    return triangles * heights[:, None]


def _mels(hertz: float) -> float:
    """Returns Slaney's mels of a frequency above 1 kHz."""
    return float(_LINEAR_MELS + np.log(hertz / _LINEAR_HZ) / _LOG_STEP)


def _hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = mels * (_LINEAR_HZ / _LINEAR_MELS)
    above = _LINEAR_HZ * np.exp(_LOG_STEP * (mels - _LINEAR_MELS))
    return np.where(mels < _LINEAR_MELS, linear, above)


class LogMel:
    """Log-mel features with ``n_mels`` filters: 80, or 128 from large-v3 on.

    >>> LogMel(80)(np.zeros(16_000, np.float32)).shape
    (80, 3000)
    """

    def __init__(self, n_mels: int) -> None:
        self.n_mels = n_mels
        self._filters = csr_array(mel_filters(n_mels))
        self._window = np.hanning(FRAME_SAMPLES + 1)[:-1]  # periodic

    def __call__(self, samples: Samples, at_least: int = WINDOW_SAMPLES) -> NDArray[np.float32]:
        """Returns the features of ``samples``, shape ``(n_mels, n_frames)``; about -1 to 2.

        ``samples`` has shape ``(n_samples,)`` at 16 kHz and is followed by silence up to
        ``at_least`` samples (more than 200); longer sounds are taken whole. ``n_frames`` is that
        length / 160, rounded down.
        """
        total = max(len(samples), at_least)
        features = np.empty((self.n_mels, total // HOP_SAMPLES), np.float32)
        heard = frames_heard(len(samples), features.shape[1])
        block = _Block(min(heard, _BLOCK_FRAMES))
        for start in range(0, heard, _BLOCK_FRAMES):
            stop = min(start + _BLOCK_FRAMES, heard)
            power = block.power(_frames(samples, total, start, stop), self._window)
            mels = self._filters @ power.T  # shape (n_mels, n_frames)
            np.log10(np.maximum(mels, POWER_FLOOR, out=mels), out=features[:, start:stop])
        silence = np.float32(np.log10(POWER_FLOOR))
        features[:, heard:] = silence
        peak = features[:, :heard].max(initial=silence)
        floor = peak - np.float32(RANGE_DECADES)
        np.maximum(features, floor, out=features)
        features += np.float32(4.0)
        features *= np.float32(0.25)
        return features

    @staticmethod
    def widened(part: NDArray[np.float32], n_frames: int) -> NDArray[np.float32]:
        """Returns ``part`` of features with zeros behind it: ``n_frames`` wide."""
        return np.pad(part, ((0, 0), (0, n_frames - part.shape[1])))


class _Block:
    """Memory for the transforms of up to ``n_frames``: taken anew for each, it costs half their time."""

    def __init__(self, n_frames: int) -> None:
        self._shaped = np.empty((n_frames, FRAME_SAMPLES))
        self._spectrum = np.empty((n_frames, _HALF_FRAME + 1), np.complex128)
        self._power = np.empty((n_frames, _HALF_FRAME + 1))

    def power(
        self, frames: NDArray[np.float32], window: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Returns the spectrum's power, shape ``(n_frames, 201)``, until the next call."""
        n_frames = len(frames)
        shaped = np.multiply(frames, window, out=self._shaped[:n_frames])
        spectrum = np.fft.rfft(shaped, out=self._spectrum[:n_frames])
        parts = spectrum.view(np.float64)  # real and imaginary by turns
        np.square(parts, out=parts)
        return np.add(parts[:, ::2], parts[:, 1::2], out=self._power[:n_frames])


def _frames(samples: Samples, total: int, start: int, stop: int) -> NDArray[np.float32]:
    """Returns frames ``start`` (in) to ``stop`` (out) of ``mirrored(samples, total)``, not all of it."""
    first, last = start * HOP_SAMPLES, (stop - 1) * HOP_SAMPLES + FRAME_SAMPLES
    before = max(0, first - _HALF_FRAME)  # what is mirrored in front of this part is in no frame
    part = mirrored(samples[before:last], total - before)[first - before : last - before]
    return np.lib.stride_tricks.sliding_window_view(part, FRAME_SAMPLES)[::HOP_SAMPLES]


def frames_heard(n_samples: int, n_frames: int) -> int:
    """Returns how many of ``n_frames`` touch a sound of ``n_samples``; the others are silence.

    >>> frames_heard(16_000, 3000), frames_heard(480_000, 3000)
    (102, 3000)
    """
    return min(n_frames, -(-(n_samples + _HALF_FRAME) // HOP_SAMPLES))


def mirrored(samples: Samples, total: int) -> NDArray[np.float32]:
    """Returns ``samples`` and the silence behind them, with half a frame mirrored at either end.

    Of ``total`` samples with the silence no more than the frames touch that touch sound.
    """
    length = min(total, len(samples) + FRAME_SAMPLES)
    sound = np.zeros(length + 2 * _HALF_FRAME, np.float32)
    sound[_HALF_FRAME : _HALF_FRAME + len(samples)] = samples
    sound[:_HALF_FRAME] = sound[2 * _HALF_FRAME : _HALF_FRAME : -1]
    sound[-_HALF_FRAME:] = sound[-_HALF_FRAME - 2 : -2 * _HALF_FRAME - 2 : -1]
    return sound
