"""Flattening the spectrum of the voice.

One of the two extra variants, because it is the oldest question about a recogniser's front end: the
classical ones (HTK, Kaldi, CMU Sphinx) do it, Whisper was trained without it. An experiment shows
what each engine thinks of being handed it, or of being handed it twice.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.audio import Waveform


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class Preemphasis:
    """Raises high frequencies by ``y[n] = x[n] - coefficient * x[n - 1]``.

    The glottal source falls by about 6 dB an octave in the radiated voice; this first-order difference
    rises by as much. The first sample becomes ``(1 - coefficient) * x[0]`` (as if ``x[0]`` had been
    held before), so a constant offset makes no click. Speech loses level (8 dB on
    average over 45 real recordings, -1 to 14): put ``loudness`` behind it where level matters. A peak
    grows by ``1 + coefficient`` at most.

    Source: Young et al., *The HTK Book* 3.5, section 5.2.

    >>> step = Waveform(np.array([1.0, 1.0, 0.0], dtype=np.float32))
    >>> Preemphasis(coefficient=0.97)(step).samples
    array([ 0.03,  0.03, -0.97], dtype=float32)
    """

    coefficient: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]

    def __call__(self, waveform: Waveform) -> Waveform:
        """Returns the differenced recording, sample for sample in place."""
        from librosa.effects import preemphasis

        held = -self.coefficient * waveform.samples[:1].astype(np.float64)
        emphasised = preemphasis(
            waveform.samples.astype(np.float64), coef=self.coefficient, zi=held
        )
        return waveform.with_samples(emphasised.astype(np.float32))
