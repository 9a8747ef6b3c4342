"""Word error rate.

Owns what a word is: what stands between white space. It does not know normalisation or pooling.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from whisperlab.metric.alignment import align, count
from whisperlab.metric.counts import ErrorCounts


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class WordErrorRate:
    """(S + D + I) / N over words: edits of the cheapest alignment by reference words.

    Equal to ``jiwer.wer`` of the same normalised texts. It exceeds 1 when insertions abound and is
    ``None`` without reference words, while the insertions stay in the pooled numerator.

    >>> wer = WordErrorRate()
    >>> wer.counts("the cat sat on the mat", "the cat sit on mat").rate == (1 + 1) / 6
    True
    >>> silence = wer.counts("", "thank you")
    >>> silence.rate is None, silence.insertions
    (True, 2)
    >>> (silence + wer.counts("good morning", "good morning")).rate
    1.0
    """

    name: ClassVar[str] = "wer"

    def counts(self, reference: str, hypothesis: str) -> ErrorCounts:
        """Returns the word edits between two normalised texts."""
        return count(align(reference.split(), hypothesis.split()))
