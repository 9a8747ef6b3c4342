"""Letting a recording go on in silence: a recorder that was stopped a moment later."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.audio import Waveform


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class Pad:
    """Puts ``seconds`` of digital silence behind the recording.

    >>> Pad(seconds=0.5)(Waveform(np.ones(8_000, dtype=np.float32)), None).duration_seconds
    1.0
    """

    seconds: Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)]

    def __call__(self, waveform: Waveform, chance: np.random.Generator | None) -> Waveform:
        """Returns the longer recording; nothing is random."""
        silence = round(self.seconds * waveform.sample_rate)
        return waveform.with_samples(np.pad(waveform.samples, (0, silence)))

    def label(self) -> str:
        """Returns how much silence follows."""
        return f"padding {self.seconds:g} s"
