"""Turns at the decoders: order, bounds, and what becomes of those who leave."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from whisperlab.serve.problems import ApiError
from whisperlab.serve.turns import Turns

PATIENCE_SECONDS = 10.0


@contextmanager
def opened(places: int = 1, queue_size: int = 8, queue_seconds: float = 60.0) -> Iterator[Turns]:
    turns = Turns(places, queue_size, queue_seconds)
    try:
        yield turns
    finally:
        turns.close()


class Work:
    """Something to do that lasts until it is told to end."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.end = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.end.wait(PATIENCE_SECONDS)
        return "done"

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, PATIENCE_SECONDS)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, PATIENCE_SECONDS))


def test_who_came_first_is_served_first() -> None:
    async def work() -> None:
        served: list[int] = []
        with opened() as turns:
            first = Work()
            running = asyncio.ensure_future(turns.take("a", first))
            await first.has_begun()
            waiting = [
                asyncio.ensure_future(turns.take("a", lambda n=n: served.append(n)))  # type: ignore[misc]
                for n in range(5)
            ]
            await asyncio.sleep(0)
            assert turns.waiting == 5
            first.end.set()
            assert await running == "done"
            await asyncio.gather(*waiting)
        assert served == [0, 1, 2, 3, 4]
        assert turns.waiting == 0

    run(work())


def test_one_too_many_is_refused_with_a_time_to_wait() -> None:
    async def work() -> None:
        with opened(queue_size=1) as turns:
            first = Work()
            running = asyncio.ensure_future(turns.take("a", first))
            await first.has_begun()
            waiting = asyncio.ensure_future(turns.take("a", int))
            await asyncio.sleep(0)
            with pytest.raises(ApiError) as refused:
                await turns.take("a", int)
            first.end.set()
            assert (await running, await waiting) == ("done", 0)
        assert refused.value.code == "overloaded"
        assert refused.value.retry_after_seconds == 60.0

    run(work())


def test_a_flood_leaves_room_for_who_has_none_waiting() -> None:
    async def work() -> None:
        with opened(queue_size=8) as turns:
            first = Work()
            waiting = [asyncio.ensure_future(turns.take("loud", first))]
            await first.has_begun()
            waiting += [asyncio.ensure_future(turns.take("loud", str)) for _ in range(7)]
            await asyncio.sleep(0)
            with pytest.raises(ApiError):
                await turns.take("loud", str)
            waiting.append(asyncio.ensure_future(turns.take("quiet", str)))
            await asyncio.sleep(0)
            with pytest.raises(ApiError):
                await turns.take("third", str)
            first.end.set()
            assert (await asyncio.gather(*waiting))[-1] == ""
            assert turns.waiting == 0

    run(work())


def test_who_waits_too_long_is_refused_and_takes_no_place() -> None:
    async def work() -> None:
        with opened(queue_seconds=0.05) as turns:
            first = Work()
            running = asyncio.ensure_future(turns.take("a", first))
            await first.has_begun()
            with pytest.raises(ApiError, match="decoder") as refused:
                await turns.take("a", int)
            first.end.set()
            await running
            assert await turns.take("a", int) == 0
        assert refused.value.code == "overloaded"

    run(work())


def test_who_leaves_the_queue_is_never_served() -> None:
    async def work() -> None:
        served: list[str] = []
        with opened() as turns:
            first = Work()
            running = asyncio.ensure_future(turns.take("a", first))
            await first.has_begun()
            leaving = asyncio.ensure_future(turns.take("a", lambda: served.append("left")))
            staying = asyncio.ensure_future(turns.take("a", lambda: served.append("stayed")))
            await asyncio.sleep(0)
            leaving.cancel()
            first.end.set()
            await asyncio.gather(running, staying)
        assert served == ["stayed"]

    run(work())


def test_work_that_its_caller_left_keeps_its_place_until_it_has_ended() -> None:
    async def work() -> None:
        with opened() as turns:
            first, second = Work(), Work()
            leaving = asyncio.ensure_future(turns.take("a", first))
            await first.has_begun()
            leaving.cancel()
            following = asyncio.ensure_future(turns.take("a", second))
            await asyncio.sleep(0.05)
            assert turns.waiting == 1
            assert not second.begun.is_set()
            first.end.set()
            second.end.set()
            assert await following == "done"

    run(work())


def test_what_fails_after_its_caller_left_is_not_reported_as_a_bug(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work() -> None:
        with opened() as turns:
            first = Work()

            def fail() -> None:
                first()
                raise LookupError

            leaving = asyncio.ensure_future(turns.take("a", fail))
            await first.has_begun()
            leaving.cancel()
            first.end.set()
            assert await turns.take("a", int) == 0
        gc.collect()  # asyncio complains of a failure that nobody heard of when it goes

    run(work())
    assert [record for record in caplog.records if record.name == "asyncio"] == []


def test_what_the_work_raises_is_raised_and_frees_the_place() -> None:
    def fail() -> None:
        raise LookupError

    async def work() -> None:
        with opened() as turns:
            with pytest.raises(LookupError):
                await turns.take("a", fail)
            assert await turns.take("a", int) == 0

    run(work())
