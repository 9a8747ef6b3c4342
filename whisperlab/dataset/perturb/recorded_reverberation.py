"""Putting a recording into a real room: a folder of measured impulse responses."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.audio import Waveform
from whisperlab.dataset.perturb.recordings import Recordings
from whisperlab.dataset.perturb.room import in_room
from whisperlab.errors import AudioError


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class ReverberateAsRecorded:
    """Convolves with a random impulse response of ``folder``; the direct sound stays in its place."""

    folder: Annotated[Path, Field(strict=False)]

    def __call__(self, waveform: Waveform, chance: np.random.Generator) -> Waveform:
        """Returns the recording in one of the rooms."""
        response = self._recordings.drawn(chance, waveform.sample_rate)
        if not response.any():
            raise AudioError(
                "expected an impulse response, got digital silence; remove it from the folder",
                code="invalid_samples",
            )
        return in_room(waveform, response)

    def label(self) -> str:
        """Returns the folder's name and what is in it."""
        return f"rooms of {self.folder.name} ({self._recordings.digest()})"

    @cached_property
    def _recordings(self) -> Recordings:
        return Recordings(self.folder)
