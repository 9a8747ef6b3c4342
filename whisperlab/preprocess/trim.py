"""Cutting silence off both ends.

Owns what counts as silence at the ends of a recording. It never touches the middle: that would
break the single offset that keeps timestamps honest (segmentation does it instead).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.audio import Waveform

FRAME_SECONDS = 0.02
"""Resolution of the cut: levels are taken over frames of 20 ms, about two pitch periods of a low voice."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class TrimSilence:
    """Cuts both ends where the level stays ``threshold_db`` below the loudest 20 ms; moves ``start``.

    The level of a frame is its RMS. It is compared with the recording's own loudest frame and with
    nothing absolute, so a clip that peaks at 0.003 is cut like the same clip at full scale.
    ``margin_seconds`` of what lies outside is kept at each end: weak fricatives (*f*, *th*) begin
    and end words below the threshold. A recording without any loudest frame (digital silence) has
    no speech to cut towards and comes back whole; the result never has zero samples.

    Source: ``librosa.effects.trim`` (frame RMS against the maximum); ours differs in having no
    absolute floor (librosa's -100 dB floor leaves quiet clips untrimmed).

    >>> half_second = np.zeros(8_000, dtype=np.float32)
    >>> tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000).astype(np.float32)
    >>> padded = Waveform(np.concatenate([half_second, tone, half_second]), 16_000)
    >>> trimmed = TrimSilence(threshold_db=40.0, margin_seconds=0.0)(padded)
    >>> trimmed.start, trimmed.end
    (0.5, 1.5)
    """

    threshold_db: Annotated[float, Field(gt=0, le=120, allow_inf_nan=False)]
    margin_seconds: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]

    def __call__(self, waveform: Waveform) -> Waveform:
        """Returns the recording from its first to its last sounding frame, margins included."""
        import librosa

        frame = max(1, round(FRAME_SECONDS * waveform.sample_rate))
        padded = np.pad(waveform.samples, (0, -len(waveform.samples) % frame))
        # (1, n_frames) -> (n_frames,); float64, because the square of a float32 can underflow
        levels = librosa.feature.rms(
            y=padded, frame_length=frame, hop_length=frame, center=False, dtype=np.float64
        )[0]
        sounding = np.flatnonzero(levels > levels.max() * 10 ** (-self.threshold_db / 20))
        if not len(sounding):
            return waveform
        margin = round(self.margin_seconds * waveform.sample_rate)
        return waveform.cut(
            int(sounding[0]) * frame - margin, (int(sounding[-1]) + 1) * frame + margin
        )
