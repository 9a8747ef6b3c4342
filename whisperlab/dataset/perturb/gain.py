"""Making a recording louder or quieter, and nothing else."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.audio import Waveform


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class Amplify:
    """Multiplies by ``gain_db``; samples beyond full scale stay beyond it (`clipping` cuts them).

    >>> half = Amplify(gain_db=-6.0206)(Waveform(np.ones(4, dtype=np.float32)), None)
    >>> half.samples.round(4).tolist()
    [0.5, 0.5, 0.5, 0.5]
    """

    gain_db: Annotated[float, Field(ge=-120, le=60, allow_inf_nan=False)]

    def __call__(self, waveform: Waveform, chance: np.random.Generator | None) -> Waveform:
        """Returns the recording at another level; nothing is random."""
        return waveform.with_samples(waveform.samples * np.float32(10 ** (self.gain_db / 20)))

    def label(self) -> str:
        """Returns the gain with its sign."""
        return f"gain {self.gain_db:+g} dB"
