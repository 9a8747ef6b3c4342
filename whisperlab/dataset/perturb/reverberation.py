"""Putting a recording into a room that is made up: sound that dies away exponentially.

Owns the made-up room; what a room does with a recording is `room`.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.audio import Samples, Waveform
from whisperlab.dataset.perturb.mixing import power_ratio
from whisperlab.dataset.perturb.room import in_room

DECAY_DB = 60.0
"""By how much sound has fallen after the reverberation time, by its definition (ISO 3382-1)."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class Reverberate:
    """Convolves with a direct sound followed by noise that falls by 60 dB in ``rt60_seconds``.

    ``direct_to_reverberant_db`` is the energy of the direct sound against all that follows: 0 dB is a
    talker at the critical distance. Every utterance has a room of its own of that kind.

    Source: the exponential decay model, Polack 1988 (Kuttruff, "Room Acoustics", chapter 4).
    """

    rt60_seconds: Annotated[float, Field(gt=0, le=20, allow_inf_nan=False)]
    direct_to_reverberant_db: Annotated[float, Field(ge=-40, le=60, allow_inf_nan=False)]

    def __call__(self, waveform: Waveform, chance: np.random.Generator) -> Waveform:
        """Returns the recording in the room."""
        return in_room(waveform, self.impulse_response(waveform.sample_rate, chance))

    def label(self) -> str:
        """Returns the reverberation time and the balance."""
        return f"room {self.rt60_seconds:g} s, direct {self.direct_to_reverberant_db:g} dB"

    def impulse_response(self, rate_hz: int, chance: np.random.Generator) -> Samples:
        """Returns one room's response, ``(n_samples,)``; the direct sound is its first sample, 1."""
        seconds = np.arange(1, max(2, round(self.rt60_seconds * rate_hz))) / rate_hz
        envelope = 10 ** (-DECAY_DB / 20 * seconds / self.rt60_seconds)
        tail = chance.standard_normal(len(seconds)) * envelope
        energy = power_ratio(-self.direct_to_reverberant_db)
        tail *= np.sqrt(energy / np.square(tail).sum())
        return np.concatenate([[1.0], tail]).astype(np.float32)
