"""Sound in memory: mono float32 samples that know their rate and where they began.

Owns the invariants of sound between the door and the engine. It does not know files or formats.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from whisperlab.errors import AudioError

SAMPLE_RATE_HZ = 16_000
"""The rate every Whisper checkpoint was trained at (openai/whisper, ``audio.py``)."""

Samples = NDArray[np.float32]
"""Mono samples, shape ``(n_samples,)``, nominally in [-1, 1]."""


@dataclass(frozen=True, slots=True, eq=False)
class Waveform:
    """Mono sound: ``samples`` float32 ``(n_samples,)``, ``sample_rate`` Hz, ``start`` s of source time.

    ``start`` keeps timestamps honest: cutting the front moves it, so that a time in the waveform
    plus ``start`` is a time in the source. ``truncated`` says that the file was cut off and was
    decoded as far as it goes.

    Raises:
        AudioError: ``invalid_samples`` for another shape, another dtype or values that are not
            finite; ``invalid_sample_rate`` for a rate that is not positive.

    >>> tone = Waveform(np.zeros(8_000, dtype=np.float32), sample_rate=16_000, start=1.5)
    >>> tone.duration_seconds, tone.end
    (0.5, 2.0)
    """

    samples: Samples
    sample_rate: int = SAMPLE_RATE_HZ
    start: float = 0.0
    truncated: bool = False

    def __post_init__(self) -> None:
        if self.samples.ndim != 1:
            raise AudioError(
                f"expected shape (n_samples,), got {self.samples.shape}; mix down to mono first",
                code="invalid_samples",
            )
        if self.samples.dtype != np.float32:
            raise AudioError(
                f"expected float32 samples, got {self.samples.dtype}; convert and scale to [-1, 1] first",
                code="invalid_samples",
            )
        if self.sample_rate <= 0:
            raise AudioError(
                f"expected a sample rate above 0 Hz, got {self.sample_rate}",
                code="invalid_sample_rate",
            )
        if not _is_finite(self.samples):
            raise AudioError(
                "expected finite samples, got NaN or infinity; repair the recording",
                code="invalid_samples",
            )

    @property
    def duration_seconds(self) -> float:
        """Length of what is in memory, in seconds."""
        return len(self.samples) / self.sample_rate

    @property
    def end(self) -> float:
        """Source time at which the samples end, in seconds."""
        return self.start + self.duration_seconds

    def with_samples(self, samples: Samples) -> Waveform:
        """Returns the same place in source time with other ``samples`` of the same length in time."""
        return replace(self, samples=samples)

    def cut(self, first: int, last: int) -> Waveform:
        """Returns samples ``first`` (in) to ``last`` (out); ``start`` moves with the front.

        >>> Waveform(np.zeros(100, dtype=np.float32), 100, start=2.0).cut(50, 75).start
        2.5
        """
        first = min(max(0, first), len(self.samples))
        last = min(max(first, last), len(self.samples))
        return replace(
            self, samples=self.samples[first:last], start=self.start + first / self.sample_rate
        )


def _is_finite(samples: Samples) -> bool:
    """Returns whether all are; min and max hand a NaN on, and make no array as long as the sound."""
    return len(samples) == 0 or bool(np.isfinite((samples.min(), samples.max())).all())
