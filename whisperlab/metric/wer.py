"""Word error rate.

Owns what counts as its errors: the edits of the words' alignment. It does not know what a word is or
how words are aligned (the profile's), nor pooling.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from whisperlab.metric.alignment import AlignedPair, count
from whisperlab.metric.counts import ErrorCounts


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class WordErrorRate:
    """(S + D + I) / N over words: edits of the cheapest alignment by reference words.

    At unit costs equal to ``jiwer.wer`` of the same normalised texts. It exceeds 1 when insertions abound and is
    ``None`` without reference words, while the insertions stay in the pooled numerator.

    >>> from whisperlab.metric.alignment import align_texts
    >>> wer = WordErrorRate()
    >>> wer.counts(align_texts("the cat sat on the mat", "the cat sit on mat")).rate == (1 + 1) / 6
    True
    >>> silence = wer.counts(align_texts("", "thank you"))
    >>> silence.rate is None, silence.insertions
    (True, 2)
    >>> (silence + wer.counts(align_texts("good morning", "good morning"))).rate
    1.0
    """

    name: ClassVar[str] = "wer"

    def counts(self, pair: AlignedPair) -> ErrorCounts:
        """Returns the word edits of the alignment."""
        return count(pair.edits)
