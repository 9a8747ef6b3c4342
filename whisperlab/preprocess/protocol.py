"""What every preprocessing variant is: a Waveform in, a Waveform out.

Owns the protocol alone; it imports none of the variants.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from whisperlab.audio import Waveform


@runtime_checkable
class Preprocessor(Protocol):
    """A frozen settings object that is its own step: cheap to build, called once an utterance.

    Invariants: the sample rate stays; source time stays honest (cutting the front moves
    ``Waveform.start``, the middle is never removed); the same input gives the same output.
    """

    def __call__(self, waveform: Waveform) -> Waveform:
        """Returns the processed sound; raises ``AudioError`` rather than passing a substitute on."""
        ...
