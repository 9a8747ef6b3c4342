"""Sound from wherever it is: encoded, in memory, or made when it is asked for.

Owns the one function that takes any of them. It does not know who makes a sound.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from whisperlab.audio.decode import decode
from whisperlab.audio.limits import AudioLimits
from whisperlab.audio.waveform import Samples, Waveform
from whisperlab.errors import AudioError
from whisperlab.stopwatch import Stopwatch


@runtime_checkable
class Sound(Protocol):
    """A sound that is made from another when it is needed, such as a perturbed copy."""

    def waveform(self, limits: AudioLimits, stopwatch: Stopwatch) -> Waveform:
        """Returns the sound, always the same; raises ``AudioError`` as `decode` does."""
        ...


Source = str | os.PathLike[str] | bytes | Waveform | Samples | Sound
"""A file's path, the bytes of one, sound in memory (bare samples are mono at 16 kHz), or on demand."""


def waveform_of(source: Source, limits: AudioLimits, stopwatch: Stopwatch) -> Waveform:
    """Returns the sound of ``source``; what is decoded passes the door's ``limits``.

    Raises:
        AudioError: as `decode`; ``invalid_samples`` for what is no sound at all.
    """
    if isinstance(source, Waveform):
        return source
    if isinstance(source, np.ndarray):
        return Waveform(source)
    if isinstance(source, Sound):
        return source.waveform(limits, stopwatch)
    if not isinstance(source, str | bytes | os.PathLike):
        raise AudioError(
            "expected a path, the bytes of a file, a Waveform or float32 samples, "
            f"got {type(source).__name__}",
            code="invalid_samples",
        )
    return decode(Path(source) if isinstance(source, str) else source, limits, stopwatch=stopwatch)
