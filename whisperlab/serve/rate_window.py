"""The arithmetic of a sliding window counter: what counts now, and how long to wait for room.

Owns the arithmetic alone; where counts are kept and what of is in ``rates``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

MILLISECONDS: Final = 1000
"""Of a second."""


@dataclass(frozen=True, slots=True)
class Window:
    """One caller's count at a moment: of the minute before and of the running one.

    ``left_seconds`` is how long the running one lasts; the one before still counts by its share
    ``left_seconds / window_seconds``.
    """

    previous: int
    current: int
    left_seconds: float
    window_seconds: int

    def counted(self) -> int:
        """Returns what counts now.

        >>> Window(previous=10, current=3, left_seconds=30.0, window_seconds=60).counted()
        8
        """
        return math.floor(self.previous * self.left_seconds / self.window_seconds) + self.current

    def seconds_until(self, room: int, limit: int) -> float:
        """Returns how long it takes until ``room`` of ``limit`` is free, if nothing more comes.

        >>> Window(previous=0, current=10, left_seconds=30.0, window_seconds=60).seconds_until(1, 10)
        30.0
        >>> Window(previous=0, current=0, left_seconds=0.0, window_seconds=60).seconds_until(10, 10)
        0.0
        """
        most = limit - room
        if self.counted() <= most:
            return 0.0
        if self.current <= most:  # the share of the minute before falls fast enough
            share = (most - self.current + 1) * self.window_seconds / self.previous
            return max(0.0, self.left_seconds - share)
        # The running minute becomes the one before, and its share falls.
        share = (most + 1) * self.window_seconds / self.current
        return self.left_seconds + max(0.0, self.window_seconds - share)


def duration(seconds: float) -> str:
    """Returns seconds as OpenAI's headers write them, rounded up to a millisecond.

    >>> duration(0.12), duration(8.64), duration(90.0), duration(0.0)
    ('120ms', '8.64s', '1m30s', '0s')
    """
    milliseconds = math.ceil(round(seconds * MILLISECONDS, 3))
    if 0 < milliseconds < MILLISECONDS:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60 * MILLISECONDS)
    return (f"{minutes}m" if minutes else "") + f"{rest / MILLISECONDS:g}s"
