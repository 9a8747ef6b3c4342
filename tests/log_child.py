"""A server process as far as its log goes: tries every way by which words could come into it."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
import warnings
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

import uvicorn

from whisperlab.errors import AudioError, InferenceError
from whisperlab.serve import logs
from whisperlab.serve.problems import ApiError

LOGGER = logging.getLogger("whisperlab.serve.child")
CANARY = sys.argv[-1]


def fail() -> None:
    float(CANARY)


def fail_together() -> None:
    raise ExceptionGroup(CANARY, [ValueError(CANARY), AudioError("the sound is too short")])


async def forgotten() -> None:
    fail()


class Unraisable:
    def __del__(self) -> None:
        fail()


def log_all() -> None:
    LOGGER.info("answered", extra={"status": 200, "text": CANARY, "prompt": CANARY, "key": CANARY})
    LOGGER.info("answered", extra={"route": {"name": CANARY}, "bytes": CANARY.encode()})
    LOGGER.warning("two arguments are wanted: %d %d", CANARY)
    for error in (ValueError(CANARY), OSError(5, "no", CANARY), ApiError("invalid_value", CANARY)):
        try:
            raise error
        except (ValueError, OSError, ApiError):
            LOGGER.exception("failed")
    try:
        try:
            fail()
        except ValueError as error:
            raise InferenceError(f"the engine failed: {error}") from error
    except InferenceError:
        LOGGER.exception("failed")
    try:
        fail_together()
    except ExceptionGroup:
        LOGGER.exception("failed")
    logging.getLogger("httpx").warning("HTTP Request: POST %s", CANARY)
    logging.getLogger("library").error(f"quoted: {CANARY}")  # noqa: G004 - as libraries do
    logging.getLogger("library").info(CANARY)
    logging.getLogger("uvicorn.access").info('1.2.3.4 - "GET /?key=%s"', CANARY)
    logging.getLogger("uvicorn.asgi").debug(CANARY)
    warnings.warn("something is deprecated", stacklevel=1)
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    unraisable = Unraisable()
    del unraisable
    gc.collect()


async def orphans() -> None:
    task = asyncio.create_task(forgotten())
    await asyncio.sleep(0.01)
    del task
    gc.collect()
    asyncio.get_running_loop().call_soon(lambda words: float(words), CANARY)
    await asyncio.sleep(0.01)


async def app(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[Any]],
    send: Callable[[Any], Awaitable[None]],
) -> None:
    if scope["type"] == "http":
        logs.REQUEST_ID.set("request-1")
        LOGGER.info("in a request")
        raise ValueError(CANARY)


async def served() -> None:
    server = uvicorn.Server(
        uvicorn.Config(cast("Any", app), port=0, log_config=None, log_level="debug", lifespan="off")
    )
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    for request in (f"GET /{CANARY}?key={CANARY} HTTP/1.1", CANARY):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{request}\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        await reader.read()
        writer.close()
    server.should_exit = True
    await serving


if __name__ == "__main__":
    logs.configure("debug")
    log_all()
    asyncio.run(orphans())
    asyncio.run(served())
