"""Moving a recording in time: a recorder that was started a moment sooner or later."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.audio import Waveform


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class Shift:
    """Puts ``seconds`` of digital silence in front, or cuts as much off where they are negative.

    Times are those of the new recording. A recording that would vanish keeps its last sample.

    >>> sound = Waveform(np.array([1, 2, 3], dtype=np.float32), sample_rate=10)
    >>> [Shift(seconds=by)(sound, None).samples.tolist() for by in (0.1, -0.2)]
    [[0.0, 1.0, 2.0, 3.0], [3.0]]
    """

    seconds: Annotated[float, Field(ge=-60, le=60, allow_inf_nan=False)]

    def __call__(self, waveform: Waveform, chance: np.random.Generator | None) -> Waveform:
        """Returns the recording later or earlier; nothing is random."""
        count = round(self.seconds * waveform.sample_rate)
        cut = min(max(0, -count), max(0, len(waveform.samples) - 1))
        samples = np.pad(waveform.samples[cut:], (max(0, count), 0))
        return Waveform(samples, waveform.sample_rate, truncated=waveform.truncated)

    def label(self) -> str:
        """Returns by how much, with its sign."""
        return f"shift {1000 * self.seconds:+g} ms"
