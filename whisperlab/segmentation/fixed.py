"""Cutting long sound into windows of one length, each overlapping the next.

Owns where the windows lie. How their transcripts are merged is ``segmentation/seam.py``'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.audio import Waveform
from whisperlab.errors import ConfigError
from whisperlab.segmentation.seam import join_pieces, settled_text
from whisperlab.transcript import Transcript


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class FixedWindows:
    """Windows of ``window_seconds``; each begins ``overlap_seconds`` before the one before it ends.

    The last window ends with the sound and may be shorter. A word no longer than the overlap stands
    whole in at least one window, so an overlap of a few seconds loses none at a seam. The overlap
    may be half a window: more, and three windows would share a moment.

    Source: Patry 2022, "Making automatic speech recognition work on large files with Wav2Vec2 in
    Transformers" (huggingface.co/blog/asr-chunking).

    Raises:
        ConfigError: the overlap is longer than half a window.

    >>> import numpy as np
    >>> minute = Waveform(np.zeros(60_000, dtype=np.float32), sample_rate=1_000)
    >>> windows = FixedWindows(window_seconds=30.0, overlap_seconds=5.0).cut(minute)
    >>> [(window.start, window.end) for window in windows]
    [(0.0, 30.0), (25.0, 55.0), (50.0, 60.0)]
    """

    window_seconds: Annotated[float, Field(ge=1, le=3600, allow_inf_nan=False)]
    overlap_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    def __post_init__(self) -> None:
        if self.overlap_seconds > self.window_seconds / 2:
            raise ConfigError(
                f"segmentation.overlap_seconds: expected at most half of "
                f"segmentation.window_seconds={self.window_seconds}, got {self.overlap_seconds}"
            )

    def cut(self, waveform: Waveform) -> list[Waveform]:
        """Returns the windows; sound no longer than one is one piece."""
        window = round(self.window_seconds * waveform.sample_rate)
        step = window - round(self.overlap_seconds * waveform.sample_rate)
        last_start = max(0, len(waveform.samples) - window)
        windows = 1 + -(-last_start // step)
        return [waveform.cut(k * step, k * step + window) for k in range(windows)]

    def join(self, pieces: Sequence[Waveform], transcripts: Sequence[Transcript]) -> Transcript:
        """Returns one transcript in source time; overlaps are merged word by word."""
        return join_pieces(pieces, transcripts)

    def settled(
        self,
        pieces: Sequence[Waveform],
        transcripts: Sequence[Transcript],
        upcoming: Waveform | None,
    ) -> str:
        """Returns the text before the last window, whose end the next one may still change."""
        return settled_text(pieces, transcripts, upcoming)
