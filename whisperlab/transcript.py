"""What was said and when: Word, Segment, Transcript.

Owns the result types of every engine and their shift in time. It does not know audio, engines or
files. All times are seconds; after the Transcriber they are seconds of the source.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from html import escape
from typing import Final

RETRY_WAIT: Final = "retry_wait"
"""The stage that counts in no latency: waiting to ask again, failed tries included."""


class Finish(StrEnum):
    """How decoding ended."""

    COMPLETE = "complete"
    TRUNCATED = "truncated"
    """The token cap was reached before the model ended its text."""
    CANCELLED = "cancelled"
    """The watch asked to stop; text and segments are what was there by then."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word with its times in seconds; ``probability`` in [0, 1] where the engine knows it."""

    start: float
    end: float
    text: str
    probability: float | None = None

    def shifted(self, seconds: float) -> Word:
        """Returns the word ``seconds`` later."""
        return replace(self, start=self.start + seconds, end=self.end + seconds)


@dataclass(frozen=True, slots=True)
class Try:
    """One decoding of a window under temperature fallback: how it was decoded and how sure it was."""

    temperature: float
    avg_logprob: float | None
    compression_ratio: float | None
    accepted: bool


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech: times in seconds, text as decoded (a leading space is kept).

    ``tokens`` are the model's ids, timestamp tokens included. ``avg_logprob`` (natural log, per
    token), ``no_speech_prob``, ``compression_ratio`` (text bytes / zlib bytes) and ``temperature``
    are openai/whisper's and belong to the whole window that the segment was decoded in; ``None``
    means that the engine does not know. ``token_logprobs`` go with ``tokens``, one each, or are
    empty. ``tries`` is the window's fallback trail, the accepted try last.
    """

    start: float
    end: float
    text: str
    tokens: tuple[int, ...] = ()
    avg_logprob: float | None = None
    no_speech_prob: float | None = None
    compression_ratio: float | None = None
    temperature: float | None = None
    words: tuple[Word, ...] = ()
    token_logprobs: tuple[float, ...] = ()
    tries: tuple[Try, ...] = ()

    def shifted(self, seconds: float) -> Segment:
        """Returns the segment and its words ``seconds`` later."""
        return replace(
            self,
            start=self.start + seconds,
            end=self.end + seconds,
            words=tuple(word.shifted(seconds) for word in self.words),
        )


@dataclass(frozen=True, slots=True)
class Transcript:
    """One utterance's text, its segments in order, and how it came about.

    ``text`` is raw: what the engine said, stripped at both ends, never normalised. ``language`` is
    an ISO 639-1 code or ``None``. ``stages`` holds this utterance's share of the engine's seconds by
    stage (``features``, ``encode``, ``decode_tokens``, ``detokenise``): a batch's time divided by
    its utterances. ``first_token_seconds`` is from the engine's call to the first token of this
    utterance, ``None`` where an engine cannot know. An engine whose rows are requests of their own has ``RETRY_WAIT`` among the
    stages; the others are then the whole of this utterance's time in the engine.

    >>> said = Transcript("one two", segments=(Segment(0.0, 1.0, " one"), Segment(1.0, 2.0, " two")))
    >>> [segment.start for segment in said.shifted(3.5).segments]
    [3.5, 4.5]
    """

    text: str
    language: str | None = None
    segments: tuple[Segment, ...] = ()
    finish: Finish = Finish.COMPLETE
    stages: Mapping[str, float] = field(default_factory=dict)
    first_token_seconds: float | None = None

    def _repr_html_(self) -> str:
        """Returns the text and a table of its segments, for a notebook's cell."""
        rows = "".join(
            f"<tr><td>{segment.start:.2f}</td><td>{segment.end:.2f}</td>"
            f'<td style="text-align:left">{escape(segment.text.strip())}</td></tr>'
            for segment in self.segments
        )
        heads = '<tr><th scope="col">start, s</th><th scope="col">end, s</th><th scope="col">text</th></tr>'
        table = f"<table><thead>{heads}</thead><tbody>{rows}</tbody></table>" if rows else ""
        return f"<div><p>{escape(self.text) or '<em>no speech</em>'}</p>{table}</div>"

    def shifted(self, seconds: float) -> Transcript:
        """Returns the transcript with every time ``seconds`` later."""
        return replace(self, segments=tuple(segment.shifted(seconds) for segment in self.segments))


def compression_ratio(text: str) -> float:
    """Returns UTF-8 bytes / zlib bytes: above 2.4 a text most likely loops (openai/whisper).

    >>> compression_ratio("one two three") < 1 < compression_ratio("one " * 50)
    True
    """
    content = text.encode("utf-8", "replace")
    return len(content) / len(zlib.compress(content))
