"""No cutting: the engine hears the utterance whole and does its own long form."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from whisperlab.audio import Waveform
from whisperlab.transcript import Transcript


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class WholeUtterance:
    """One piece: the utterance itself.

    >>> import numpy as np
    >>> sound = Waveform(np.zeros(1_600, dtype=np.float32))
    >>> WholeUtterance().cut(sound) == [sound]
    True
    """

    def cut(self, waveform: Waveform) -> list[Waveform]:
        """Returns ``[waveform]``."""
        return [waveform]

    def join(self, pieces: Sequence[Waveform], transcripts: Sequence[Transcript]) -> Transcript:
        """Returns the only transcript as it is."""
        return transcripts[0]

    def settled(
        self,
        pieces: Sequence[Waveform],
        transcripts: Sequence[Transcript],
        upcoming: Waveform | None,
    ) -> str:
        """Returns the only transcript's text: there is no later piece."""
        return transcripts[0].text
