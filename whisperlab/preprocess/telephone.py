"""Limiting a recording to the band of a telephone line.

One of the two extra variants, because calls are what many recordings are: run a wideband corpus
through it and the difference in WER is the price of the line, per model and quantisation.
"""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from whisperlab.audio import Waveform


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class TelephoneBand:
    """Keeps ``low_hz`` to ``high_hz`` and the sample rate; nothing moves in time.

    A Butterworth high-pass and low-pass of ``order`` each, forwards and backwards: -6.02 dB at both
    edges, twice ``6 * order`` dB an octave beyond. It is the band alone, without the line's companding, noise
    or codec. A recording whose rate cannot hold ``high_hz`` is limited already and only loses its lows.

    Source: ITU-T G.712 (11/2001), the 300 to 3400 Hz passband of a speech channel.

    >>> seconds = np.arange(16_000) / 16_000
    >>> hiss = Waveform(np.sin(2 * np.pi * 6_000 * seconds).astype(np.float32))
    >>> line = TelephoneBand(low_hz=300.0, high_hz=3400.0, order=6)
    >>> float(np.abs(line(hiss).samples[4_000:12_000]).max()) < 0.001
    True
    """

    low_hz: Annotated[float, Field(gt=0, le=1_000, allow_inf_nan=False)]
    high_hz: Annotated[float, Field(gt=0, le=96_000, allow_inf_nan=False)]
    order: Annotated[int, Field(ge=1, le=8)]

    @model_validator(mode="after")
    def _band_is_open(self) -> Self:
        if self.low_hz >= self.high_hz:
            raise ValueError(
                f"expected low_hz below high_hz, got {self.low_hz} and {self.high_hz}; swap them"
            )
        return self

    def __call__(self, waveform: Waveform) -> Waveform:
        """Returns the recording within the band, sample for sample in place."""
        from scipy import signal

        rate = waveform.sample_rate
        sections = signal.butter(self.order, self.low_hz, btype="highpass", fs=rate, output="sos")
        if self.high_hz < rate / 2:
            highs = signal.butter(self.order, self.high_hz, btype="lowpass", fs=rate, output="sos")
            sections = np.concatenate([sections, highs])
        filtered = signal.sosfiltfilt(sections, waveform.samples, padtype=None)
        return waveform.with_samples(filtered.astype(np.float32))
