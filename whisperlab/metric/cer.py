"""Character error rate.

Owns what a character is: a Unicode code point, spaces between words included. It does not know
normalisation or pooling.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from whisperlab.metric.alignment import align, count
from whisperlab.metric.counts import ErrorCounts


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class CharacterErrorRate:
    """(S + D + I) / N over the characters of two normalised texts, stripped at both ends.

    As ``jiwer.cer``: the spaces between words are characters like any other (every profile but
    ``raw`` leaves single ones), white space at the ends is none. ``None`` without reference
    characters, while the insertions stay in the pooled numerator.

    >>> cer = CharacterErrorRate()
    >>> cer.counts("abcd", "abxd").rate
    0.25
    >>> cer.counts("all right", "alright").deletions  # one l and the space
    2
    >>> cer.counts("", "you").rate is None, cer.counts("", "you").insertions
    (True, 3)
    """

    name: ClassVar[str] = "cer"

    def counts(self, reference: str, hypothesis: str) -> ErrorCounts:
        """Returns the character edits between two normalised texts."""
        return count(align(reference.strip(), hypothesis.strip()))
