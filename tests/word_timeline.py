"""Known words with known times, and an engine that hears exactly the words of a stretch of sound.

The oracle of the segmentation tests: it reads the truth, so that whatever is doubled, lost or
misplaced was so by cutting and joining.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from whisperlab.audio import Waveform
from whisperlab.transcript import Segment, Transcript, Word

RATE_HZ = 100
"""Synthetic sound has one sample a centisecond, the grid of the synthetic times."""

DIGITS = ("zero", "one", "two", "three")
"""Few words, so that neighbours often say the same."""


def silence(seconds: float) -> Waveform:
    return Waveform(np.zeros(round(seconds * RATE_HZ), dtype=np.float32), RATE_HZ)


@st.composite
def timelines(
    draw: st.DrawFn, *, unique: bool = False, longest_gap: int = 400
) -> tuple[list[Word], float]:
    """Words of 0.2-1.2 s, gaps in centiseconds, and the duration of the sound they are in."""
    count = draw(st.integers(0, 60))
    time = 0
    words = []
    for index in range(count):
        time += draw(st.integers(0, longest_gap))
        length = draw(st.integers(20, 120))
        text = f"word{index}" if unique else draw(st.sampled_from(DIGITS))
        words.append(Word(time / 100, (time + length) / 100, text))
        time += length
    return words, max(1, time + draw(st.integers(0, longest_gap))) / 100


@dataclass(frozen=True)
class Oracle:
    """Hears a word that lies whole in the piece; one cut off by its end it hears wrongly, or not.

    ``timed`` gives word times. ``segment_words`` is how many words stand in one segment.
    """

    words: Sequence[Word]
    timed: bool = True
    segment_words: int = 4
    hears_halves: bool = False

    def hear(self, piece: Waveform) -> Transcript:
        """Returns the transcript of ``piece`` in its own time, as an engine does."""
        heard = []
        for word in self.words:
            if piece.start - 1e-6 <= word.start and word.end <= piece.end + 1e-6:
                heard.append(word)
            elif self.hears_halves and word.start < piece.end and piece.start < word.end:
                start, end = max(word.start, piece.start), min(word.end, piece.end)
                heard.append(Word(start, end, f"{word.text[:2]}~"))
        segments = tuple(
            self._segment(heard[first : first + self.segment_words])
            for first in range(0, len(heard), self.segment_words)
        )
        text = "".join(segment.text for segment in segments).strip()
        return Transcript(text, language="en", segments=segments).shifted(-piece.start)

    def _segment(self, words: Sequence[Word]) -> Segment:
        text = "".join(f" {word.text}" for word in words)
        times = tuple(words) if self.timed else ()
        return Segment(words[0].start, words[-1].end, text, words=times)


def assert_orderly(said: Transcript, duration_seconds: float) -> None:
    """Segments and their words follow one another, never overlap and stay inside the sound."""
    time = 0.0
    for segment in said.segments:
        assert time <= segment.start <= segment.end <= duration_seconds + 1e-6
        time = segment.start
        for word in segment.words:
            assert time <= word.start <= word.end <= segment.end
            time = word.end
        time = segment.end
