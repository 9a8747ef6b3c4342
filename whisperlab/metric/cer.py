"""Character error rate.

Owns what a character is: a Unicode code point, spaces between words included. It does not know
normalisation or pooling.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from whisperlab.metric.alignment import AlignedPair, count_units
from whisperlab.metric.counts import ErrorCounts


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class CharacterErrorRate:
    """(S + D + I) / N over the characters of two normalised texts, stripped at both ends.

    As ``jiwer.cer``: the spaces between words are characters like any other (every profile but
    ``raw`` leaves single ones), white space at the ends is none. ``None`` without reference
    characters, while the insertions stay in the pooled numerator. Characters are always aligned at
    unit costs: a profile's cost model is one of words.

    >>> from whisperlab.metric.alignment import align_texts
    >>> cer = CharacterErrorRate()
    >>> cer.counts(align_texts("abcd", "abxd")).rate
    0.25
    >>> cer.counts(align_texts("all right", "alright")).deletions  # one l and the space
    2
    >>> silence = cer.counts(align_texts("", "you"))
    >>> silence.rate is None, silence.insertions
    (True, 3)
    """

    name: ClassVar[str] = "cer"

    def counts(self, pair: AlignedPair) -> ErrorCounts:
        """Returns the character edits between the pair's texts."""
        return count_units(pair.reference.strip(), pair.hypothesis.strip())
