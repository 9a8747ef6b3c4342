"""Whether a text passes, or its window is decoded again at the next temperature.

Owns the thresholds' meaning. It decodes nothing.

Source: Radford et al. 2022, section 4.5; transformers ``_need_fallback``.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from whisperlab.engine.decoding.text import Text

BITS_A_BYTE = 8


class Verdict(Enum):
    """What becomes of a window after one try."""

    ACCEPTED = "accepted"
    UNSURE = "unsure"
    SILENT = "silent"
    """No speech: the window gives no segment."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The tests of a text, as in ``DecodeOptions``; ``None`` leaves one out."""

    compression_ratio: float | None
    logprob: float | None
    no_speech: float | None


def judge(text: Text, thresholds: Thresholds, *, end: int, vocabulary_size: int) -> Verdict:
    """Returns what becomes of a window with this text.

    >>> unlikely = Text((7, 8), ended=True, logprobs=(-3.0,) * 3, logprob=-3.0, no_speech=0.9)
    >>> judge(unlikely, Thresholds(None, -1.0, 0.6), end=9, vocabulary_size=10).value
    'silent'
    >>> judge(unlikely, Thresholds(None, -1.0, None), end=9, vocabulary_size=10).value
    'unsure'
    """
    unlikely = thresholds.logprob is not None and text.logprob < thresholds.logprob
    silent = (
        thresholds.no_speech is not None
        and text.no_speech is not None
        and text.no_speech > thresholds.no_speech
    )
    if unlikely and silent:
        return Verdict.SILENT
    tokens = [*text.tokens, end] if text.ended else text.tokens
    loops = (
        thresholds.compression_ratio is not None
        and token_compression_ratio(tokens, vocabulary_size) > thresholds.compression_ratio
    )
    return Verdict.UNSURE if unlikely or loops else Verdict.ACCEPTED


def token_compression_ratio(tokens: Sequence[int], vocabulary_size: int) -> float:
    """Returns bytes / zlib bytes of the token ids, each in as many bytes as the vocabulary needs.

    >>> token_compression_ratio([5] * 200, 51865) > 10 > token_compression_ratio([1, 2, 3], 51865)
    True
    """
    width = int(math.log2(vocabulary_size) / BITS_A_BYTE) + 1
    content = b"".join(token.to_bytes(width, "little") for token in tokens)
    return len(content) / len(zlib.compress(content))
