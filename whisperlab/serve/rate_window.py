"""The arithmetic of a sliding window counter: what counts now, and how long to wait for room.

Owns the arithmetic and the counts of one process; what is counted, and in which Redis, is in ``rates``.
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


class LocalWindows:
    """The counts of one process: two numbers a caller, whoever has not asked for two windows forgotten.

    >>> windows = LocalWindows(60)
    >>> [windows.hit("a", limit=3, cost=2, now=now)[0] for now in (0.0, 1.0, 61.0, 119.0)]
    [True, False, True, False]
    """

    def __init__(self, window_seconds: int) -> None:
        self._window_seconds = window_seconds
        self._number = 0
        self._previous: dict[str, int] = {}
        self._current: dict[str, int] = {}

    def hit(self, name: str, *, limit: int, cost: int, now: float) -> tuple[bool, Window]:
        """Counts ``cost`` if there is room for it; returns whether there was, and what counts now."""
        number, into = divmod(now, self._window_seconds)
        if number != self._number:
            self._previous = self._current if number == self._number + 1 else {}
            self._current, self._number = {}, int(number)
        window = self._window(name, into)
        if window.counted() + cost > limit:
            return False, window
        self._current[name] = window.current + cost
        return True, self._window(name, into)

    def _window(self, name: str, into: float) -> Window:
        return Window(
            self._previous.get(name, 0),
            self._current.get(name, 0),
            self._window_seconds - into,
            self._window_seconds,
        )


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
