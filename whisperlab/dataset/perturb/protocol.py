"""What every perturbation is: a Waveform and chance in, a Waveform out.

Owns the protocol alone; it imports none of the perturbations.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from whisperlab.audio import Waveform


@runtime_checkable
class Perturbation(Protocol):
    """A frozen settings object that is its own step: cheap to build, called once an utterance."""

    def __call__(self, waveform: Waveform, chance: np.random.Generator) -> Waveform:
        """Returns the changed sound; all that is random comes from ``chance``.

        Raises:
            AudioError: the sound cannot be changed in this way.
        """
        ...

    def label(self) -> str:
        """Returns what is done, in words and complete: equal labels mean equal sound.

        Raises:
            DatasetError: what it needs (a folder of noises) is not there.
        """
        ...
