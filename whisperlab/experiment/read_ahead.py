"""Preparing the next thing while the present one is worked on.

Owns the one thread that does it. It does not know what is prepared.

A stop signal may raise between any two steps of the main thread. ``threading.Condition``, on which
futures, executors and the start of a ``Thread`` rest, can then stay locked for good, and whoever
waits for the thread hangs. So the two sides speak through queues of C code, which a signal cannot
leave half done, and the thread is begun by the call beneath ``Thread``.
"""

from __future__ import annotations

import contextlib
from _thread import start_new_thread
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from queue import Empty, SimpleQueue
from typing import Generic, NoReturn, TypeVar

Item = TypeVar("Item")
Ready = TypeVar("Ready")

PATIENCE_SECONDS = 10.0
"""An abandoned preparation is waited for so long; its thread does not outlive the process."""


def ahead(items: Iterable[Item], prepare: Callable[[Item], Ready]) -> Iterator[Ready]:
    """Yields ``prepare(item)`` of each item in order; the next is prepared meanwhile, and no more.

    What ``prepare`` raises comes when its item's turn has come.

    >>> list(ahead([1, 2, 3], lambda number: 10 * number))
    [10, 20, 30]
    """
    reader = _Reader(prepare)
    try:
        reader.start()
        waiting = False
        for item in items:
            reader.ask(item)
            if waiting:
                yield reader.next()
            waiting = True
        if waiting:
            yield reader.next()
    finally:
        reader.end()


class _Reader(Generic[Item, Ready]):
    """The thread; answers in the order it was asked."""

    def __init__(self, prepare: Callable[[Item], Ready]) -> None:
        self._prepare = prepare
        self._asked: SimpleQueue[tuple[Item] | None] = SimpleQueue()
        self._answers: SimpleQueue[Callable[[], Ready]] = SimpleQueue()
        self._ended: SimpleQueue[None] = SimpleQueue()
        self._started = False

    def start(self) -> None:
        start_new_thread(self._answer, ())
        self._started = True

    def ask(self, item: Item) -> None:
        self._asked.put((item,))

    def next(self) -> Ready:
        """Returns what the oldest question led to, or raises it."""
        return self._answers.get()()

    def end(self) -> None:
        self._asked.put(None)
        if self._started:
            with contextlib.suppress(Empty):
                self._ended.get(timeout=PATIENCE_SECONDS)

    def _answer(self) -> None:
        while (asked := self._asked.get()) is not None:
            try:
                ready = self._prepare(*asked)
            except BaseException as error:  # noqa: BLE001 - the asking side raises it in its turn
                self._answers.put(partial(_raise, error))
            else:
                self._answers.put(partial(_same, ready))
        self._ended.put(None)


def _same(ready: Ready) -> Ready:
    return ready


def _raise(error: BaseException) -> NoReturn:
    raise error
