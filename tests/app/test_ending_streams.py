"""Streams that end: an event that arrives meanwhile waits, and a browser that goes on misses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from app_browser import open_browser, open_page, press, show_tab
from compared_runs import folder, outcome, wrong
from serve_process import running_server

from whisperlab.app import streams
from whisperlab.app.streams import Streams

SESSION = "s1"
END = b'data: {"msg":"close_stream"}\n\n'
SCOPE = {"type": "http", "path": "/gradio_api/queue/data", "query_string": b"session_hash=s1"}


class Queue:
    """Gradio's queue as far as it is used: what is pushed is pending."""

    def __init__(self) -> None:
        self.pending_event_ids_session: dict[str, set[str]] = {}
        self.pushed: list[Any] = []
        self.while_pushed: set[str] = set()
        self.push: Any = self._push

    async def _push(self, body: Any, request: Any) -> str:
        await asyncio.sleep(0)
        self.pushed.append((body, request))
        self.while_pushed = set(self.pending_event_ids_session.get(body.session_hash or "", ()))
        return "event"


async def ending_twice(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
    await send({"type": "http.response.body", "body": END, "more_body": True})
    await ending(scope, receive, send)


async def ending(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"data: {}\n\n", "more_body": True})
    await send({"type": "http.response.body", "body": END, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def push(queue: Queue, session: str | None) -> asyncio.Task[Any]:
    async def pushed() -> Any:
        return await queue.push(body=SimpleNamespace(session_hash=session), request=1)

    return asyncio.create_task(pushed())


def test_an_event_waits_for_the_end_of_its_sessions_stream_and_no_other_does() -> None:
    async def scene() -> None:
        queue, gone = Queue(), asyncio.Event()
        app = Streams(ending, queue)
        sent: list[Any] = []

        async def receive() -> Any:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        stream = asyncio.ensure_future(app(SCOPE, receive, send))
        await asyncio.sleep(0.05)
        assert [one.get("body") for one in sent] == [None, b"data: {}\n\n", END]
        waiting = push(queue, SESSION)
        assert [await push(queue, other) for other in ("s2", None)] == ["event", "event"]
        await asyncio.sleep(0.05)
        assert len(queue.pushed) == 2
        gone.set()
        assert await waiting == "event"
        await stream
        assert sent[-1].get("more_body", False) is False
        assert await push(queue, SESSION) == "event"  # and the next waits for nothing

    asyncio.run(scene())


def test_while_an_event_is_taken_in_its_session_has_something_pending_and_then_no_more() -> None:
    async def scene() -> None:
        queue = Queue()
        Streams(ending, queue)
        await push(queue, SESSION)
        assert len(queue.while_pushed) == 1
        assert queue.pending_event_ids_session == {SESSION: set()}

    asyncio.run(scene())


def test_a_stream_that_ends_twice_holds_nobody_and_a_value_that_looks_like_the_end_is_none() -> (
    None
):
    value = b'data: {"msg":"process_generating","output":{"data":[{"msg":"close_stream"}]}}'

    async def going_on(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.body", "body": value, "more_body": True})
        await asyncio.sleep(3600)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        pass

    async def scene() -> None:
        queue = Queue()
        await Streams(ending_twice, queue)(SCOPE, receive, send)
        assert queue.push.__self__._ending == {}  # a waiter on what has ended would never let go
        stream = asyncio.ensure_future(Streams(going_on, queue)(SCOPE, receive, send))
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            assert await push(queue, SESSION) == "event"
        stream.cancel()

    asyncio.run(scene())


def test_who_does_not_hang_up_is_waited_for_no_longer_than_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "LETTING_GO_SECONDS", 0.1)

    async def scene() -> None:
        queue = Queue()
        sent: list[Any] = []

        async def receive() -> Any:
            await asyncio.sleep(3600)

        async def send(message: Any) -> None:
            sent.append(message)

        stream = asyncio.ensure_future(Streams(ending, queue)(SCOPE, receive, send))
        await asyncio.sleep(0.02)
        async with asyncio.timeout(10):
            assert await push(queue, SESSION) == "event"
            await stream
        assert sent[-1] == {"type": "http.response.body", "body": b""}

    asyncio.run(scene())


@pytest.mark.browser
def test_what_is_pressed_while_the_word_of_the_end_is_under_way_is_done(tmp_path: Path) -> None:
    for name in ("first", "second"):
        heard = [outcome("a", wrong(1)), outcome("b", wrong(0))]
        folder(tmp_path / "runs" / "sweep" / name, heard, "engine=replay", f"engine.default_text={name}")  # fmt: skip
    tests = str(Path(__file__).parents[1])
    with (
        running_server(
            tmp_path, "engine=replay", "engine.default_text=one", f"app.runs_dir={tmp_path / 'runs'}",
            module="late_ending", environment={"PYTHONPATH": tests},
        ) as running,
        open_browser() as browser,
        open_page(browser, running.base_url) as page,
    ):  # fmt: skip
        page.set_default_timeout(30_000)
        panel = show_tab(page, "Runs")
        for _ in range(3):
            press(panel, "Compare")
            panel.get_by_role("alert").filter(has_text="Choose").wait_for()
            press(panel, "Show effects")
            page.get_by_text("Pareto front").wait_for()
