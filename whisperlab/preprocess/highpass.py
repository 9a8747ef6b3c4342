"""Removing rumble, hum and DC offset below the voice."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.audio import Waveform

LARGEST_CUTOFF_HZ = 1_000
"""Half the Nyquist frequency of the lowest rate the door for sound admits (4 kHz), so that every
cut-off can be built at every rate."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class HighPass:
    """Takes away what lies below ``cutoff_hz`` without moving anything in time.

    A Butterworth filter of ``order`` runs forwards and then backwards: the phase shifts cancel, so
    words stay where they are, and the attenuation doubles (-6.02 dB at the cut-off, ``2 * 6 * order``
    dB an octave below). The ends are not extended; the filter starts settled at the first and the
    last sample, so a constant offset vanishes without a thump.

    Source: Gustafsson, "Determining the initial states in forward-backward filtering", IEEE Trans.
    Signal Processing 44(4), 1996, in ``scipy.signal.sosfiltfilt``.

    >>> offset = Waveform(np.full(16_000, 0.25, dtype=np.float32))
    >>> float(np.abs(HighPass(cutoff_hz=80.0, order=2)(offset).samples).max()) < 1e-6
    True
    """

    cutoff_hz: Annotated[float, Field(gt=0, le=LARGEST_CUTOFF_HZ, allow_inf_nan=False)]
    order: Annotated[int, Field(ge=1, le=8)]

    def __call__(self, waveform: Waveform) -> Waveform:
        """Returns the recording without its low frequencies, sample for sample in place."""
        from scipy import signal

        sections = signal.butter(
            self.order, self.cutoff_hz, btype="highpass", fs=waveform.sample_rate, output="sos"
        )
        filtered = signal.sosfiltfilt(sections, waveform.samples, padtype=None)
        return waveform.with_samples(filtered.astype(np.float32))
