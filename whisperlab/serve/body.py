"""Reads the body of a transcription request: within its time, within its bytes, into a form.

Owns the clocks and the byte budget; multipart.py and json_form.py know the two formats. It does not
know routes or parameters. Nothing is written to disk: a sound is at most ``max_file_bytes``.

::

    with budget.lease() as lease:
        form = await read_form(request, limits, lease)
        ...                     # the sound counts against the budget until here
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from starlette.requests import ClientDisconnect, Request

from whisperlab.serve.form import RequestForm, too_large
from whisperlab.serve.json_form import json_bytes_for, read_json_form
from whisperlab.serve.multipart import MultipartReader, check_charset, parse_parameters
from whisperlab.serve.problems import ApiError
from whisperlab.serve.settings import LimitSettings

MIN_BYTES_PER_SECOND: Final = 1024
"""Slower than this, averaged over a window, is an attack or a broken line."""

WINDOW_IN_IDLE_TIMES: Final = 1.5
"""The window of the average, in ``idle_seconds``: 30 s for the default of 20 s."""

ENVELOPE_BYTES: Final = 1 << 18
"""What a multipart body may have beside the sound: 32 fields of up to 8 KiB."""


class ByteBudget:
    """Bytes of bodies and sound that all requests together hold.

    Not for several threads: everything happens on the event loop.
    """

    def __init__(self, total_bytes: int) -> None:
        self._total_bytes = total_bytes
        self.held_bytes = 0

    @contextmanager
    def lease(self) -> Iterator[Lease]:
        """Gives one request's share, empty at first, and takes it back at the end."""
        lease = Lease(self)
        try:
            yield lease
        finally:
            lease.drop(lease.held_bytes)

    def take(self, n_bytes: int) -> None:
        """Holds more bytes.

        Raises:
            ApiError: ``overloaded`` where the budget has not so many left.
        """
        if self.held_bytes + n_bytes > self._total_bytes:
            raise ApiError("overloaded", "the server holds as many bytes of requests as it may")
        self.held_bytes += n_bytes


class Lease:
    """One request's share of a budget."""

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self.held_bytes = 0

    def hold(self, n_bytes: int) -> None:
        """Holds more bytes; raises ``overloaded`` where the budget is used up."""
        self._budget.take(n_bytes)
        self.held_bytes += n_bytes

    def drop(self, n_bytes: int) -> None:
        """Gives bytes back that are no longer in memory."""
        self._budget.held_bytes -= n_bytes
        self.held_bytes -= n_bytes


async def read_form(request: Request, limits: LimitSettings, lease: Lease) -> RequestForm:
    """Returns the sound and the fields of a request with a multipart or JSON body.

    Raises:
        ApiError: As SERVING and the tests of this module list them; the connection should close
            where the body was not read to its end (guard.py does that).
        ClientDisconnect: The client is gone; nobody waits for an answer.
    """
    header = request.headers.get("content-type", "").encode("latin-1")
    kind, parameters = parse_parameters(header)
    if kind == b"multipart/form-data":
        body = _Body(request, limits, limits.max_file_bytes + ENVELOPE_BYTES)
        with MultipartReader(parameters, limits.max_file_bytes) as reader:
            while chunk := await body.next():
                lease.hold(len(chunk))
                reader.feed(chunk)
            return reader.finish()
    if kind == b"application/json":
        check_charset(parameters)
        body = _Body(request, limits, json_bytes_for(limits.max_file_bytes))
        collected = bytearray()
        while chunk := await body.next():
            lease.hold(len(chunk))
            collected += chunk
        form = await asyncio.to_thread(read_json_form, bytes(collected), limits.max_file_bytes)
        lease.drop(len(collected) - len(form.file))
        return form
    raise ApiError(
        "unsupported_media_type",
        "expected Content-Type multipart/form-data or application/json",
    )


class _Body:
    """The bytes of a body, each piece within its time."""

    def __init__(self, request: Request, limits: LimitSettings, max_bytes: int) -> None:
        self._receive = request.receive
        self._limits = limits
        self._max_bytes = max_bytes
        self._more = True
        self._read_bytes = 0
        self._clock = asyncio.get_running_loop().time
        self._end = self._clock() + limits.body_seconds
        self._patience_end = self._clock() + limits.first_byte_seconds
        self._window_end = self._clock() + self._window_seconds
        self._window_bytes = 0
        self._refuse_over(int(request.headers.get("content-length", "0")))

    @property
    def _window_seconds(self) -> float:
        return WINDOW_IN_IDLE_TIMES * self._limits.idle_seconds

    async def next(self) -> bytes:
        """Returns the next bytes, empty at the end of the body."""
        chunk = b""
        while self._more and not chunk:
            chunk = await self._piece()
        return chunk

    async def _piece(self) -> bytes:
        deadline = min(self._patience_end, self._end, self._window_end)
        try:
            async with asyncio.timeout_at(deadline):
                message = await self._receive()
        except TimeoutError:
            if deadline != self._window_end:
                raise _too_slow() from None
            message = {"type": "http.request", "more_body": True}
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        self._more = message.get("more_body", False)
        self._read_bytes += len(chunk)
        self._refuse_over(self._read_bytes)
        if chunk:
            self._patience_end = self._clock() + self._limits.idle_seconds
        self._check_rate(len(chunk))
        return chunk

    def _check_rate(self, n_bytes: int) -> None:
        self._window_bytes += n_bytes
        if not self._more or self._clock() < self._window_end:
            return
        if self._window_bytes < MIN_BYTES_PER_SECOND * self._window_seconds:
            raise _too_slow()
        self._window_bytes = 0
        self._window_end = self._clock() + self._window_seconds

    def _refuse_over(self, n_bytes: int) -> None:
        if n_bytes > self._max_bytes:
            raise too_large(self._limits.max_file_bytes, n_bytes)


def _too_slow() -> ApiError:
    return ApiError("request_timeout", "the body did not arrive in time")
