"""What may not be said next: suppressed tokens and the grammar of timestamps.

Owns the masking of logits. It does not choose.

Source: Radford et al. 2022, section 4.5; transformers ``WhisperTimeStampLogitsProcessor``,
``SuppressTokensLogitsProcessor``, ``SuppressTokensAtBeginLogitsProcessor``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from whisperlab.engine.decoding.network import Floats
from whisperlab.engine.decoding.vocabulary import Vocabulary

IMPOSSIBLE = np.float32(-np.inf)


class Ban(NamedTuple):
    """What may not be said at one place, beside the tokens that are always suppressed.

    ``spans`` are ranges of ids, at most three. ``at_begin`` adds the tokens that may not begin a
    text. ``weighed`` forbids every text token where the timestamps together are likelier than
    the likeliest of them.
    """

    spans: tuple[tuple[int, int], ...]
    at_begin: bool
    weighed: bool


class Rules:
    """The rules of one configuration: a checkpoint's vocabulary, with timestamps or without."""

    def __init__(self, vocabulary: Vocabulary, *, timestamps: bool) -> None:
        self._end = vocabulary.end
        self.first_timestamp = vocabulary.first_timestamp
        self._last_initial = vocabulary.last_initial_timestamp
        self._timestamps = timestamps
        self._size = 1 << 30
        self.suppressed = np.array(vocabulary.suppressed, np.intp)
        self.suppressed_at_begin = np.array(vocabulary.suppressed_at_begin, np.intp)

    def ban(self, text: Sequence[int]) -> Ban:
        """Returns what may not follow ``text``, the tokens since the prompt."""
        if not self._timestamps:
            return Ban((), at_begin=not text, weighed=False)
        first = self.first_timestamp
        spans = [(first - 1, first)]  # <|notimestamps|>
        if not text:
            spans.append((0, first))
            if self._last_initial is not None:
                spans.append((first + self._last_initial + 1, self._size))
            return Ban(tuple(spans), at_begin=True, weighed=False)
        after_timestamp = text[-1] >= first
        if after_timestamp and (len(text) == 1 or text[-2] >= first):
            return Ban((*spans, (first, self._size)), at_begin=False, weighed=False)  # text follows
        if after_timestamp:
            spans.append((0, self._end))  # the pair, or the end
        latest = next((token for token in reversed(text) if token >= first), None)
        if latest is not None:
            spans.append((first, latest if after_timestamp else latest + 1))
        return Ban(tuple(spans), at_begin=False, weighed=True)

    def apply(self, logits: Floats, text: Sequence[int]) -> None:
        """Sets what may not follow ``text`` to minus infinity, in place; shape ``(vocabulary,)``."""
        ban = self.ban(text)
        logits[self.suppressed] = IMPOSSIBLE
        if ban.at_begin:
            logits[self.suppressed_at_begin] = IMPOSSIBLE
        for begin, end in ban.spans:
            logits[begin:end] = IMPOSSIBLE
        first = self.first_timestamp
        if ban.weighed and log_sum_exp(logits[first:]) > logits[:first].max():
            logits[:first] = IMPOSSIBLE


def log_sum_exp(scores: Floats, top: np.float32 | None = None) -> np.float32:
    """Returns ``log(sum(exp(scores)))``; minus infinity of nothing but impossible scores.

    ``top`` is the largest of them, for who has found it already.

    >>> float(log_sum_exp(np.log(np.array([0.25, 0.5], np.float32)))) == float(np.log(np.float32(0.75)))
    True
    """
    if not scores.size:
        return IMPOSSIBLE
    top = scores.max() if top is None else top
    if top == IMPOSSIBLE:
        return IMPOSSIBLE
    below = scores - top
    total: np.float32 = top + np.log(np.exp(below, out=below).sum())
    return total
