"""Playing a recording faster or slower, pitch and all, as a tape does."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.audio import Waveform


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class ChangeSpeed:
    """Divides the duration by ``factor`` (1.1 is faster); times are those of the new recording.

    Source: Ko et al. 2015, "Audio augmentation for speech recognition", Interspeech, section 2.

    >>> ChangeSpeed(factor=2.0)(Waveform(np.zeros(16_000, dtype=np.float32)), None).duration_seconds
    0.5
    """

    factor: Annotated[float, Field(ge=0.25, le=4.0, allow_inf_nan=False)]

    def __call__(self, waveform: Waveform, chance: np.random.Generator | None) -> Waveform:
        """Returns the recording at another speed; nothing is random."""
        import soxr

        rate = waveform.sample_rate
        samples = soxr.resample(waveform.samples, rate * self.factor, rate, quality="HQ")
        return Waveform(np.asarray(samples, dtype=np.float32), rate, truncated=waveform.truncated)

    def label(self) -> str:
        """Returns the factor."""
        return f"speed {self.factor:g}"
