"""Seconds spent per stage of the pipeline, on the monotonic clock.

Owns the one way in which durations are taken. It does not know which stages exist or what they do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


class Stopwatch:
    """Accumulates seconds by stage name; a stage that runs twice adds up.

    >>> watch = Stopwatch()
    >>> with watch.stage("resample"):
    ...     pass
    >>> sorted(watch.seconds)
    ['resample']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the wall time of the ``with`` block to ``name``, also when the block raises."""
        started = perf_counter()
        try:
            yield
        finally:
            self.add(name, perf_counter() - started)

    def add(self, name: str, seconds: float) -> None:
        """Adds ``seconds`` that were measured elsewhere."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
