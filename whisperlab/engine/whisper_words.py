"""From Whisper's tokens to segments, to words and to bytes.

Owns the grouping of a segment's tokens into words with times, and the bytes a token stands for. It
does not know how the times came about (cross attention and dynamic time warping).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from whisperlab.engine.decoding.outcome import DecodedSegment
from whisperlab.transcript import Segment, Word


def segment_of(
    decoded: DecodedSegment,
    *,
    duration_seconds: float,
    text: str,
    speller: Callable[[], Any],
    language: str,
    first_special: int,
) -> Segment:
    """Returns a decoded segment with its ``text`` and its words, inside the sound's duration.

    ``speller`` gives transformers' tokenizer and is asked for words alone; ``language`` is the
    name of one, such as ``english``.
    """
    start = min(decoded.start, duration_seconds)
    end = max(start, min(decoded.end, duration_seconds))
    words: tuple[Word, ...] = ()
    if decoded.token_ends is not None:
        words = words_of(
            speller(),
            language,
            decoded.tokens,
            decoded.token_ends,
            decoded.token_logprobs,
            first_special,
            (start, end),
        )
    window = decoded.window
    return Segment(
        start=start,
        end=end,
        text=text,
        tokens=decoded.tokens,
        avg_logprob=window.avg_logprob,
        no_speech_prob=window.no_speech_prob,
        compression_ratio=window.compression_ratio,
        temperature=window.temperature,
        words=words,
        token_logprobs=decoded.token_logprobs,
        tries=window.tries,
    )


def words_of(
    tokenizer: Any,
    language: str,
    tokens: Sequence[int],
    ends: Sequence[float],
    logprobs: Sequence[float],
    first_special: int,
    span: tuple[float, float],
) -> tuple[Word, ...]:
    """Returns the words of a segment in order, inside ``span`` (seconds), none overlapping.

    ``tokens`` are the segment's ids with their ``ends`` in seconds and ``logprobs``; a token begins
    where the one before it ends. Ids from ``first_special`` on are no text. A word's probability
    is the mean of its tokens'.
    """
    from transformers.models.whisper.tokenization_whisper import (
        _combine_tokens_into_words,  # the only place where transformers has Whisper's word rules
    )

    text = [index for index, token in enumerate(tokens) if token < first_special]
    if not text:
        return ()
    words, _, groups = _combine_tokens_into_words(
        tokenizer, [tokens[index] for index in text], language
    )
    found = []
    cursor, limit = span
    for word, group in zip(words, groups, strict=True):
        members = [text[position] for position in group]
        begin = ends[members[0] - 1] if members[0] > 0 else span[0]
        start = min(max(begin, cursor), limit)
        end = min(max(ends[members[-1]], start), limit)
        chances = [math.exp(logprobs[index]) for index in members] if logprobs else []
        probability = sum(chances) / len(chances) if chances else None
        found.append(Word(start, end, word.strip(), probability))
        cursor = end
    return tuple(found)


def bytes_of(tokenizer: Any, tokens: Sequence[int]) -> list[bytes]:
    """Returns the bytes that each text token stands for; a character can take several tokens.

    Source: Radford et al. 2019 (GPT-2), byte-level BPE: the vocabulary writes each byte as one
    printable character.
    """
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    byte_of = {character: byte for byte, character in bytes_to_unicode().items()}
    return [
        bytes(byte_of[character] for character in piece)
        for piece in tokenizer.convert_ids_to_tokens(list(tokens))
    ]
