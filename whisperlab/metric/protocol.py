"""What every error rate is: two normalised and aligned texts in, ErrorCounts out.

Owns the protocol alone; it imports none of the metrics.
"""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

from whisperlab.metric.alignment import AlignedPair
from whisperlab.metric.counts import ErrorCounts


@runtime_checkable
class Metric(Protocol):
    """A frozen settings object that counts errors of one utterance; counts are pooled with ``+``.

    An empty reference is no special case: its insertions count, its length is 0.
    """

    name: ClassVar[str]
    """The key in ``scores.json``: ``wer``, ``cer``."""

    def counts(self, pair: AlignedPair) -> ErrorCounts:
        """Returns the edits between two texts that went through a profile once already.

        The words are aligned by the profile's rules: its costs, compounds, optional words.
        """
        ...
