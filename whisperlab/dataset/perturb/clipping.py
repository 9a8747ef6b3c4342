"""Cutting the peaks off a recording, as an overdriven microphone does."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.audio import Waveform


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class Clip:
    """Limits every sample to ``below_peak_db`` under the recording's own peak; the rest stays.

    >>> loud = Waveform(np.array([0.1, -0.8, 0.4], dtype=np.float32))
    >>> [f"{value:.2f}" for value in Clip(below_peak_db=6.0206)(loud, None).samples]
    ['0.10', '-0.40', '0.40']
    """

    below_peak_db: Annotated[float, Field(gt=0, le=80, allow_inf_nan=False)]

    def __call__(self, waveform: Waveform, chance: np.random.Generator | None) -> Waveform:
        """Returns the recording without its peaks; nothing is random."""
        peak = np.abs(waveform.samples).max(initial=np.float32(0))
        level = np.float32(peak * 10 ** (-self.below_peak_db / 20))
        return waveform.with_samples(np.clip(waveform.samples, -level, level))

    def label(self) -> str:
        """Returns where the peaks are cut."""
        return f"clipped {self.below_peak_db:g} dB below peak"
