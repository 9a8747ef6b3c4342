"""What may not be said next: suppressed tokens and the grammar of timestamps.

Owns the masking of logits. It does not choose.

Source: Radford et al. 2022, section 4.5; transformers ``WhisperTimeStampLogitsProcessor``,
``SuppressTokensLogitsProcessor``, ``SuppressTokensAtBeginLogitsProcessor``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from whisperlab.engine.decoding.network import Floats
from whisperlab.engine.decoding.vocabulary import Vocabulary

IMPOSSIBLE = np.float32(-np.inf)


class Rules:
    """The rules of one configuration: a checkpoint's vocabulary, with timestamps or without."""

    def __init__(self, vocabulary: Vocabulary, *, timestamps: bool) -> None:
        self._end = vocabulary.end
        self._first_timestamp = vocabulary.first_timestamp
        self._last_initial = vocabulary.last_initial_timestamp
        self._timestamps = timestamps
        self._suppressed = np.array(vocabulary.suppressed, np.intp)
        self._at_begin = np.array(vocabulary.suppressed_at_begin, np.intp)

    def apply(self, logits: Floats, text: Sequence[int]) -> None:
        """Sets what may not follow ``text`` to minus infinity, in place; shape ``(vocabulary,)``.

        ``text`` are the tokens since the prompt.
        """
        logits[self._suppressed] = IMPOSSIBLE
        if not text:
            logits[self._at_begin] = IMPOSSIBLE
        if self._timestamps:
            self._apply_grammar(logits, text)

    def _apply_grammar(self, logits: Floats, text: Sequence[int]) -> None:
        """Timestamps come in pairs, never decrease, and win when they are likelier together."""
        first = self._first_timestamp
        logits[first - 1] = IMPOSSIBLE  # <|notimestamps|>
        if not text:
            logits[:first] = IMPOSSIBLE
            if self._last_initial is not None:
                logits[first + self._last_initial + 1 :] = IMPOSSIBLE
            return
        after_timestamp = text[-1] >= first
        paired = len(text) == 1 or text[-2] >= first
        if after_timestamp and paired:
            logits[first:] = IMPOSSIBLE  # text has to follow
            return
        if after_timestamp:
            logits[: self._end] = IMPOSSIBLE  # the pair, or the end
        latest = next((token for token in reversed(text) if token >= first), None)
        if latest is not None:
            logits[first : latest if after_timestamp else latest + 1] = IMPOSSIBLE
        likeliest = logits[:first].max()
        times = logits[first:]
        if log_sum_exp(times) > likeliest:
            logits[:first] = IMPOSSIBLE


def log_sum_exp(scores: Floats) -> np.float32:
    """Returns ``log(sum(exp(scores)))``; minus infinity of nothing but impossible scores.

    >>> float(log_sum_exp(np.log(np.array([0.25, 0.5], np.float32)))) == float(np.log(np.float32(0.75)))
    True
    """
    if not scores.size:
        return IMPOSSIBLE
    top = scores.max()
    if top == IMPOSSIBLE:
        return IMPOSSIBLE
    total: np.float32 = top + np.log(np.exp(scores - top).sum())
    return total
