"""Preparing the next thing while the present one is worked on.

Owns the one thread that does it. It does not know what is prepared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Ready = TypeVar("Ready")


def ahead(items: Iterable[Item], prepare: Callable[[Item], Ready]) -> Iterator[Ready]:
    """Yields ``prepare(item)`` of each item in order; the next is prepared meanwhile, and no more.

    What ``prepare`` raises comes when its item's turn has come.

    >>> list(ahead([1, 2, 3], lambda number: 10 * number))
    [10, 20, 30]
    """
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as reader:
        waiting: Future[Ready] | None = None
        for item in items:
            ready, waiting = waiting, reader.submit(prepare, item)
            if ready is not None:
                yield ready.result()
        if waiting is not None:
            yield waiting.result()
