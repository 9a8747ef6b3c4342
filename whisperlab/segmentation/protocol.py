"""What every segmentation is: one Waveform in, the pieces that the engine hears out.

Owns the protocol alone; it imports none of the ways to cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from whisperlab.audio import Waveform
from whisperlab.transcript import Transcript


@runtime_checkable
class Segmentation(Protocol):
    """A frozen settings object that cuts a waveform and puts the pieces' transcripts together."""

    def cut(self, waveform: Waveform) -> list[Waveform]:
        """Returns the pieces in order of time; each knows its place by ``Waveform.start``."""
        ...

    def join(self, pieces: Sequence[Waveform], transcripts: Sequence[Transcript]) -> Transcript:
        """Returns one transcript in source time from one transcript a piece, in the same order.

        ``transcripts`` are already in source time.
        """
        ...

    def settled(
        self,
        pieces: Sequence[Waveform],
        transcripts: Sequence[Transcript],
        upcoming: Waveform | None,
    ) -> str:
        """Returns as much of the joined text as no later piece can change.

        ``pieces`` are the first ones, ``upcoming`` the next, ``None`` behind the last. What was
        settled once is the beginning of everything settled later, and of the joined text.
        """
        ...
