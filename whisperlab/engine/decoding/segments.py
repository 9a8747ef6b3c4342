"""A window's tokens cut at their timestamps, and how far the next window begins behind this one.

Owns the reading of timestamps. It does not decode.

Source: transformers ``_retrieve_segment``; openai/whisper ``transcribe.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

FRAMES_A_POSITION: Final = 2
"""Feature frames that one encoder position hears: its second convolution has stride 2."""

SECONDS_A_FRAME: Final = 0.01
SECONDS_A_TIMESTAMP: Final = 0.02
"""What one timestamp token counts; also what one encoder position hears."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens ``first`` to ``last`` of a window, ``start`` to ``end`` in seconds of the sound."""

    start: float
    end: float
    first: int
    last: int


class Cut(NamedTuple):
    """The pieces of a window, and the frames after which the next window begins."""

    pieces: list[Piece]
    advance: int


def cut(tokens: Sequence[int], first_timestamp: int, *, seek: int, n_frames: int) -> Cut:
    """Returns the pieces of a window that begins at frame ``seek`` and has ``n_frames`` of sound.

    A piece ends where two timestamps stand together. What follows the last pair is left to the next
    window, unless the text ends with a single timestamp: then no speech follows it.
    """
    offset = seek * SECONDS_A_TIMESTAMP / FRAMES_A_POSITION
    is_time = [token >= first_timestamp for token in tokens]

    def seconds(position: int) -> float:
        return offset + (tokens[position] - first_timestamp) * SECONDS_A_TIMESTAMP

    pairs = [at + 1 for at in range(len(tokens) - 1) if is_time[at] and is_time[at + 1]]
    if not pairs:
        times = [at for at, timed in enumerate(is_time) if timed]
        if times and tokens[times[-1]] != first_timestamp:
            end = seconds(times[-1])
        else:
            end = offset + _timestamps_in(n_frames) * SECONDS_A_TIMESTAMP
        start = seconds(0) if tokens and is_time[0] else offset
        return Cut([Piece(start, end, 0, len(tokens))], n_frames)
    single_ending = is_time[-2:] == [False, True]
    # Without a single one at the end, the last piece takes both timestamps of the last pair.
    ends = [*pairs, len(tokens)] if single_ending else [*pairs[:-1], pairs[-1] + 1]
    pieces = []
    first = 0
    for number, last in enumerate(ends):
        both = number == len(ends) - 1 and not single_ending
        start = seconds(first) if is_time[first] else offset
        pieces.append(Piece(start, seconds(last - 2 if both else last - 1), first, last))
        first = last
    if single_ending:
        return Cut(pieces, n_frames)
    return Cut(pieces, (tokens[first - 2] - first_timestamp) * FRAMES_A_POSITION)


def _timestamps_in(n_frames: int) -> int:
    """Returns how many timestamps fit, in the float32 arithmetic of the reference."""
    return int(np.float32(n_frames) * np.float32(SECONDS_A_FRAME) / np.float32(SECONDS_A_TIMESTAMP))
