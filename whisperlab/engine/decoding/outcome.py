"""What decoding tells of a window and of its segments, before tokens become words.

Owns the values that an engine turns into ``Segment``; times are seconds from the sound's first sample.
"""

from __future__ import annotations

from dataclasses import dataclass

from whisperlab.transcript import Try


@dataclass(frozen=True, slots=True)
class Window:
    """How one window of one row was decoded; ``token_logprobs`` include <|endoftext|>'s."""

    temperature: float
    avg_logprob: float
    no_speech_prob: float | None
    compression_ratio: float
    token_logprobs: tuple[float, ...]
    tries: tuple[Try, ...]


@dataclass(frozen=True, slots=True)
class DecodedSegment:
    """A segment: seconds from the row's first sample, token ids and window.

    ``token_ends`` are the seconds at which each token ends, by cross attention, when asked for.
    """

    start: float
    end: float
    tokens: tuple[int, ...]
    token_logprobs: tuple[float, ...]
    token_ends: tuple[float, ...] | None
    window: Window
