"""A small OpenAI-compatible server in this process: it answers what a test has written down."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter, sleep
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


@dataclass(frozen=True)
class Answer:
    """What the peer sends; ``None`` as body hangs up without a word."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0


@dataclass
class Asked:
    """One request as it arrived."""

    path: str
    headers: Mapping[str, str]
    fields: list[tuple[str, str]]
    file: bytes
    file_name: str
    media_type: str
    at: float


@dataclass
class Peer:
    """The running peer; ``answers`` are given in turn, the last one again and again.

    ``gone`` counts clients that hung up before their answer, ``most_at_once`` the requests that
    were in flight together.
    """

    base_url: str
    answers: list[Answer]
    model: Answer = field(default_factory=lambda: Answer({"id": "m", "object": "model"}))
    asked: list[Asked] = field(default_factory=list)
    gone: int = 0
    in_flight: int = 0
    most_at_once: int = 0

    def next_answer(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def form(self, number: int = -1) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, value in self.asked[number].fields:
            found.setdefault(name, []).append(value)
        return found


def _response(answer: Answer) -> Response:
    if isinstance(answer.body, str):
        return Response(answer.body, answer.status, dict(answer.headers))
    return JSONResponse(answer.body, answer.status, dict(answer.headers))


def _application(peer: Peer) -> Starlette:
    async def transcribe(request: Request) -> Response:
        arrived = perf_counter()
        async with request.form() as form:
            file = form["file"]
            assert isinstance(file, UploadFile)
            peer.asked.append(
                Asked(
                    request.url.path,
                    dict(request.headers),
                    [(name, str(value)) for name, value in form.multi_items() if name != "file"],
                    await file.read(),
                    file.filename or "",
                    file.content_type or "",
                    arrived,
                )
            )
        answer = peer.next_answer()
        peer.in_flight += 1
        peer.most_at_once = max(peer.most_at_once, peer.in_flight)
        until = perf_counter() + answer.delay_seconds
        while perf_counter() < until:
            if await request.is_disconnected():
                peer.gone += 1
                break
            await asyncio.sleep(0.01)
        peer.in_flight -= 1
        return _response(answer)

    async def model(request: Request) -> Response:
        peer.asked.append(Asked(request.url.path, dict(request.headers), [], b"", "", "", 0.0))
        return _response(peer.model)

    return Starlette(
        routes=[
            Route("/v1/audio/transcriptions", transcribe, methods=["POST"]),
            Route("/v1/audio/translations", transcribe, methods=["POST"]),
            Route("/v1/models/{name:path}", model),
        ]
    )


@contextmanager
def running_peer(answers: Sequence[Answer]) -> Iterator[Peer]:
    """Starts the peer on a free port in a thread of its own; stops it afterwards."""
    peer = Peer("", list(answers))
    server = uvicorn.Server(
        uvicorn.Config(_application(peer), host="127.0.0.1", port=0, log_level="error", ws="none")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    peer.base_url = f"http://127.0.0.1:{port}/v1"
    try:
        yield peer
    finally:
        server.should_exit = True
        thread.join(10)
