"""A small application behind the real front, in a thread with real sockets, for the front's tests."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from whisperlab.serve.body import ByteBudget, read_form
from whisperlab.serve.connection import KEEP_ALIVE_SECONDS, Connection
from whisperlab.serve.guard import Answered, install
from whisperlab.serve.problems import ApiError
from whisperlab.serve.server import listen
from whisperlab.serve.settings import (  # fmt: skip
    BatchSettings,
    LimitSettings,
    PoolSettings,
    RateSettings,
    ServeSettings,
)

CONF = Path(__file__).parents[1] / "conf" / "serve.yaml"


def settings(**changes: Any) -> ServeSettings:
    """The defaults of conf/serve.yaml; ``limits`` may be a dictionary of changes."""
    conf = yaml.safe_load(CONF.read_text())
    serve = conf["serve"]
    limits = LimitSettings(**serve.pop("limits") | changes.pop("limits", {}))
    made = ServeSettings(
        host=conf["host"],
        port=0,
        run=None,
        batch=BatchSettings(**serve.pop("batch")),
        pool=PoolSettings(**serve.pop("pool")),
        rates=RateSettings(**serve.pop("rates")),
        limits=limits,
        **serve,
    )
    return replace(made, **changes)


@dataclass
class Front:
    """A running server: where it is and what it saw."""

    address: tuple[str, int] = ("127.0.0.1", 0)
    answered: list[Answered] = field(default_factory=list)
    refused: list[ApiError] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)
    budget: ByteBudget = field(default_factory=lambda: ByteBudget(1 << 30))

    def last(self) -> Answered:
        """The last request that was recorded, waiting for it a little."""
        end = time.monotonic() + 3
        while not self.answered and time.monotonic() < end:
            time.sleep(0.01)
        return self.answered[-1]


async def transcriptions(request: Request) -> Response:
    """Says what the form held; the only valid key is ``good``."""
    if request.headers.get("authorization", "Bearer good") != "Bearer good":
        raise ApiError("invalid_api_key", "expected a valid key")
    front: Front = request.app.state.front
    with front.budget.lease() as lease:
        form = await read_form(request, request.app.state.limits, lease)
        fields = {name: list(values) for name, values in form.fields.items()}
        return JSONResponse({"bytes": len(form.file), "fields": fields})


async def fail(request: Request) -> Response:
    raise ZeroDivisionError("a secret")


async def half(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        yield b"data: begun\n\n"
        raise ZeroDivisionError("a secret")

    return StreamingResponse(parts(), media_type="text/event-stream")


async def stream(request: Request) -> Response:
    """Never ends by itself."""

    async def events() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"data: " + b"x" * 4096 + b"\n\n"
                await asyncio.sleep(0)
        finally:
            request.app.state.front.cancelled.set()

    return StreamingResponse(events(), media_type="text/event-stream")


async def large(request: Request) -> Response:
    return Response(b"x" * (8 << 20), media_type="text/plain")


async def slow(request: Request) -> Response:
    """Takes the seconds that its query names."""
    await asyncio.sleep(float(request.query_params["seconds"]))
    return JSONResponse({"slept": True})


async def who(request: Request) -> Response:
    return JSONResponse({"id": request.state.request_id, "address": request.state.client_address})


def application(chosen: ServeSettings, front: Front) -> Starlette:
    """The routes that the front's tests need."""
    app = Starlette(
        routes=[
            Route("/v1/audio/transcriptions", transcriptions, methods=["POST"]),
            Route("/v1/fail", fail),
            Route("/v1/half", half),
            Route("/v1/stream", stream),
            Route("/v1/large", large),
            Route("/v1/slow", slow),
            Route("/v1/models/{model:path}", who),
            Route("/health", who),
        ]
    )
    app.state.front = front
    app.state.limits = chosen.limits
    install(app, chosen, front.answered.append)
    return app


@contextmanager
def running(
    chosen: ServeSettings | None = None, keep_alive_seconds: int = KEEP_ALIVE_SECONDS
) -> Iterator[Front]:
    """Runs the front on a free port of 127.0.0.1 until the end of the block."""
    chosen = chosen or settings()
    front = Front(budget=ByteBudget(chosen.limits.bytes_in_flight))
    (listener,) = listen("127.0.0.1", 0)
    config = uvicorn.Config(
        application(chosen, front),
        http=cast(
            "Any", partial(Connection, limits=chosen.limits, on_refusal=front.refused.append)
        ),
        loop="asyncio",
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=keep_alive_seconds,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        while not server.started:
            time.sleep(0.005)
        front.address = listener.getsockname()[:2]
        yield front
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        assert not thread.is_alive()
