"""No event is lost between a stream that ends and the next: a browser's events wait for the end.

Gradio tells a browser everything by one stream of messages, ends it when nothing is pending, and the
browser opens another with its next event. An event that arrives while the word of the end is under way
would be answered first: the browser, whose stream still stands, would open none and wait for ever.
Here such an event is taken in when the browser has let go of the ended stream. It does not know what
an event does.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final, Protocol
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

STREAM_PATH: Final = "/queue/data"
THE_END: Final = b'data: {"msg":"close_stream"'
"""How the last message begins; each is sent by itself."""

LETTING_GO_SECONDS: Final = 2.0
"""How long the browser's hanging up is waited for; who reads to the end of the answer waits as long.

Where word and hanging up take longer together, an event of just then may still be lost.
"""


class Queue(Protocol):
    """What is used of Gradio's queue."""

    pending_event_ids_session: dict[str, set[str]]
    push: Any


class Streams:
    """An ASGI wrapper around the page that knows which sessions' streams are ending."""

    def __init__(self, app: ASGIApp, queue: Queue) -> None:
        self._app = app
        self._ending: dict[str, list[asyncio.Event]] = {}
        self._pending = queue.pending_event_ids_session
        self._push = queue.push
        queue.push = self._push_later

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; holds the end of a stream back until the browser has hung up."""
        if scope["type"] != "http" or not scope["path"].endswith(STREAM_PATH):
            await self._app(scope, receive, send)
            return
        session = parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[-1]
        ended = asyncio.Event()

        async def watched(message: Message) -> None:
            known = ended in self._ending.get(session, ())
            if not known and message.get("body", b"").startswith(THE_END):
                self._ending.setdefault(session, []).append(ended)
            elif known and not message.get("more_body", False):
                await _hung_up(receive)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            ended.set()
            if ended in (ending := self._ending.get(session, [])):
                ending.remove(ended)
            if not ending:
                self._ending.pop(session, None)

    async def _push_later(self, body: Any, **rest: Any) -> Any:
        """Takes an event in as Gradio does, once no stream of its session is ending."""
        session = body.session_hash
        if session is None:
            return await self._push(body=body, **rest)
        while ending := self._ending.get(session):
            await ending[-1].wait()
        # Until the event itself is pending this stands for it: no stream ends in between.
        here = f"arriving-{id(body)}"
        self._pending.setdefault(session, set()).add(here)
        try:
            return await self._push(body=body, **rest)
        finally:
            self._pending.get(session, set()).discard(here)


async def _hung_up(receive: Receive) -> None:
    """Waits until the client has closed the connection, or for as long as it may take."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LETTING_GO_SECONDS):
            while (await receive())["type"] != "http.disconnect":
                pass
