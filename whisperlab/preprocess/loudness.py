"""Bringing every recording to one level.

Owns how a level is measured and what happens where it is undefined or out of reach.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.audio import Waveform

GATING_BLOCK_SECONDS = 0.4
"""Length of one measuring block (ITU-R BS.1770-4, annex 1)."""

FULL_SCALE = 1.0
"""The largest magnitude that engines and integer formats can hold."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class NormalizeLoudness:
    """Multiplies a recording by the one gain that brings its level to ``target_db``.

    ``method`` says which level: ``rms`` of all samples and ``peak`` in dB re full scale (a
    full-scale sine has -3.01 dB RMS), ``lufs`` the gated programme loudness of ITU-R BS.1770-4, which
    leaves pauses out and so treats a dense and a hesitant speaker alike.

    The edges, all decided:

    - *Clipping*: the gain never takes the peak beyond full scale. Where the target would need more, the
      recording ends at a peak of 1.0, below its target, undistorted; nothing is clipped or compressed.
    - *Digital silence* has no level and comes back as it is; no gain would reach the target.
    - *LUFS, shorter than one 400 ms block*: measured as one block of its own length.
    - *LUFS, wholly below the absolute gate of -70 LUFS* (speech that peaks at 0.003 may be): has no
      loudness by the standard, so it is measured with its peak at full scale and the gain counted in.

    Source: ITU-R BS.1770-4 through pyloudnorm (Steinmetz and Reiss, AES 2021). Default target in
    ``conf/``: -23 LUFS, EBU R 128.

    >>> tone = 0.1 * np.sin(2 * np.pi * 997 * np.arange(16_000) / 16_000).astype(np.float32)
    >>> louder = NormalizeLoudness(method="peak", target_db=-6.02)(Waveform(tone))
    >>> round(float(np.abs(louder.samples).max()), 2)
    0.5
    """

    method: Literal["rms", "peak", "lufs"]
    target_db: Annotated[float, Field(ge=-70, le=0, allow_inf_nan=False)]

    def __call__(self, waveform: Waveform) -> Waveform:
        """Returns the recording at the target level, or as near as full scale allows."""
        samples = waveform.samples.astype(np.float64)
        peak = float(np.abs(samples).max())
        level_db = self._level_db(samples, peak, waveform.sample_rate)
        if level_db is None:
            return waveform
        gain = min(10 ** ((self.target_db - level_db) / 20), FULL_SCALE / peak)
        return waveform.with_samples((samples * gain).astype(np.float32))

    def _level_db(
        self, samples: NDArray[np.float64], peak: float, sample_rate: int
    ) -> float | None:
        """Returns the level by ``method``; ``None`` where there is none."""
        if peak == 0.0:
            return None
        if self.method == "peak":
            return 20 * float(np.log10(peak))
        if self.method == "rms":
            # divided by the peak first: squares of tiny samples would underflow
            mean_square = float(np.mean((samples / peak) ** 2))
            return 10 * float(np.log10(mean_square)) + 20 * float(np.log10(peak))
        loudness = gated_loudness(samples, sample_rate)
        if loudness is None:
            at_full_scale = gated_loudness(samples / peak, sample_rate)
            loudness = at_full_scale and at_full_scale + 20 * float(np.log10(peak))
        return loudness


def gated_loudness(samples: NDArray[np.float64], sample_rate: int) -> float | None:
    """Returns the loudness in LUFS of mono ``(n_samples,)``; ``None`` when no block passes the gate.

    Less than one 400 ms block is measured as one block of its own length.

    Source: ITU-R BS.1770-4, annex 1. A sine of 997 Hz at 0 dBFS reads -3.01 LUFS:

    >>> sine = np.sin(2 * np.pi * 997 * np.arange(48_000) / 48_000)
    >>> round(gated_loudness(sine, 48_000), 2)
    -3.01
    """
    import pyloudnorm

    block = int(np.ceil(GATING_BLOCK_SECONDS * sample_rate))
    missing = max(0, block - len(samples))
    # De Man's coefficients are those of the standard's tables at any rate; pyloudnorm's default
    # filter is a rounded form that reads 0.1 LU low at 16 kHz.
    meter = pyloudnorm.Meter(sample_rate, filter_class="DeMan", block_size=GATING_BLOCK_SECONDS)
    loudness = float(meter.integrated_loudness(np.pad(samples, (0, missing))))
    if not np.isfinite(loudness):
        return None
    # zeros were added to fill the block: the mean square is over the sound alone
    return loudness + 10 * float(np.log10((len(samples) + missing) / len(samples)))
