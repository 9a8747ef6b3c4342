"""Phrases said again and again: the loops of an autoregressive decoder.

Owns how a loop is found in a sequence of words. It does not know where the words come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import eq
from typing import NamedTuple


class Loop(NamedTuple):
    """``phrase`` stands ``repeats`` times in a row."""

    phrase: tuple[str, ...]
    repeats: int


def longest_loop(words: Sequence[str], max_phrase_words: int) -> Loop | None:
    """Returns the loop that covers most words, ``None`` where nothing is said twice in a row.

    Of loops of equal length the one of the shortest phrase counts ("no no no no" is "no" four times,
    not "no no" twice), then the first.

    >>> longest_loop("well thank you thank you thank you all".split(), 8)
    Loop(phrase=('thank', 'you'), repeats=3)
    >>> longest_loop(["one", "two"], 8) is None
    True
    """
    best: Loop | None = None
    covered = 0
    if len(set(words)) == len(words):  # most texts: no word occurs twice
        return None
    for size in range(1, min(max_phrase_words, len(words) // 2) + 1):
        if not any(map(eq, words, words[size:])):
            continue  # nothing comes again after so many words
        start = 0
        while start + 2 * size <= len(words):
            repeats = _repeats(words, start, size)
            if repeats > 1 and repeats * size > covered:
                best = Loop(tuple(words[start : start + size]), repeats)
                covered = repeats * size
            # a run that was counted holds no longer one of the same phrase
            start += max(1, (repeats - 1) * size)
    return best


def repeats_of(phrase: Sequence[str], words: Sequence[str]) -> int:
    """Returns how often ``phrase`` stands in a row at most; 0 where it does not occur.

    >>> repeats_of(["no"], "no no well no".split()), repeats_of(["yes"], ["no"])
    (2, 0)
    """
    wanted, size = list(phrase), len(phrase)
    return max(
        (
            _repeats(words, start, size)
            for start in range(len(words) - size + 1)
            if list(words[start : start + size]) == wanted
        ),
        default=0,
    )


def _repeats(words: Sequence[str], start: int, size: int) -> int:
    """Returns how often the ``size`` words from ``start`` on stand there in a row."""
    end = start + size
    while end < len(words) and words[end] == words[end - size]:
        end += 1
    return (end - start) // size
