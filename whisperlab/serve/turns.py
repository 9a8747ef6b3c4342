"""Who decodes next: so many sounds at a time, so many that wait, and no longer than so long.

Owns order (first come, first served), bounds and the threads that hand sounds to decoders. It does not
know what a decoder is. Belongs to one event loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from whisperlab.serve.problems import ApiError
from whisperlab.serve.queueing import RESERVED_SHARE

T = TypeVar("T")


class Turns:
    """At most ``places`` pieces of work run, at most ``queue_size`` wait, ``queue_seconds`` each.

    The last of the places to wait are for callers of whom nobody waits.
    """

    def __init__(self, places: int, queue_size: int, queue_seconds: float) -> None:
        self._free = asyncio.Semaphore(places)
        self._threads = ThreadPoolExecutor(places, thread_name_prefix="decode")
        self._queue_size = queue_size
        self._queue_seconds = queue_seconds
        self._waiting: Counter[str] = Counter()

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return self._waiting.total()

    async def take(self, caller: str, work: Callable[[], T]) -> T:
        """Returns what ``work`` returns, called in a thread when its turn has come.

        Who is cancelled while waiting never gets there. Work that has begun goes on without its
        caller, and keeps its place until it has ended.

        Raises:
            ApiError: ``overloaded``: too many wait already, or this one waited too long.
        """
        reserved = self._queue_size // RESERVED_SHARE if self._waiting[caller] else 0
        if self.waiting >= self._queue_size - reserved:
            raise self._overloaded(f"{self.waiting} sounds wait to be decoded already")
        self._waiting[caller] += 1
        try:
            async with asyncio.timeout(self._queue_seconds):
                await self._free.acquire()
        except TimeoutError:
            raise self._overloaded(f"Waited {self._queue_seconds:g} s for a free decoder") from None
        finally:
            self._waiting[caller] -= 1
            self._waiting += Counter()  # forgets callers of whom nobody waits
        begun = asyncio.get_running_loop().run_in_executor(self._threads, work)
        begun.add_done_callback(self._ended)
        return await asyncio.shield(begun)

    def _ended(self, work: asyncio.Future[T]) -> None:
        self._free.release()
        if not work.cancelled():
            work.exception()  # nobody else hears of it where its caller has left

    def close(self) -> None:
        """Returns when all work that has begun has ended."""
        self._threads.shutdown(cancel_futures=True)

    def _overloaded(self, reason: str) -> ApiError:
        return ApiError(
            "overloaded",
            f"{reason}; send this again later.",
            retry_after_seconds=self._queue_seconds,
        )
