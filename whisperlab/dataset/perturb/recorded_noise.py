"""Adding noise of one's own: a folder of recordings of the place where the system will be used."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.audio import Waveform
from whisperlab.dataset.perturb.mixing import mixed
from whisperlab.dataset.perturb.recordings import Recordings


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class AddRecordedNoise:
    """Adds a random stretch of a random recording of ``folder`` at ``snr_db`` (`mixing`).

    A recording that is too short goes on from its beginning.
    """

    folder: Annotated[Path, Field(strict=False)]
    snr_db: Annotated[float, Field(ge=-60, le=100, allow_inf_nan=False)]

    def __call__(self, waveform: Waveform, chance: np.random.Generator) -> Waveform:
        """Returns the recording with noise over all of it."""
        noise = self._recordings.drawn(chance, waveform.sample_rate)
        first = int(chance.integers(len(noise)))
        return mixed(
            waveform, np.resize(np.roll(noise, -first), len(waveform.samples)), self.snr_db
        )

    def label(self) -> str:
        """Returns the folder's name, what is in it, and the SNR."""
        return f"noise of {self.folder.name} ({self._recordings.digest()}) {self.snr_db:g} dB"

    @cached_property
    def _recordings(self) -> Recordings:
        return Recordings(self.folder)
