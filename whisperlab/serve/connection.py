"""One connection of a client: strict HTTP/1.1, with clocks, and errors in our envelope.

Owns what happens before the application sees a request and after its answer: headers in time and
within their size, framing that no proxy can read differently, the cap on connections, and closing
so that the client can still read the answer. It does not know the application.

uvicorn's protocol (h11) does the rest; this file overrides its methods and reads its ``cycle``.
"""

from __future__ import annotations

import asyncio
import http
import re
from collections.abc import Callable
from typing import Any, Final

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from whisperlab.serve.body import MIN_BYTES_PER_SECOND
from whisperlab.serve.guard import (
    NO_STORE,
    SECURITY_HEADERS,
    check_header_size,
    envelope,
    new_request_id,
)
from whisperlab.serve.problems import ApiError
from whisperlab.serve.settings import LimitSettings

KEEP_ALIVE_SECONDS: Final = 15
"""Longer than the 5 s after which httpx, and so the official client, drops an idle connection."""

LINGER_SECONDS: Final = 1.0
"""How long a client may go on sending after its answer; closing at once would make its kernel throw
the answer away (RFC 9112, 9.6)."""

LINGERING_SHARE: Final = 2
"""With those that only linger there may be so many times ``limits.connections``; more are dropped
without an answer, or the process would run out of files."""

LINGER_BYTES: Final = 1 << 19

OnRefusal = Callable[[ApiError], None]
"""Hears of answers that the application never saw a request for."""

_HEAD_END: Final = re.compile(rb"\n\r?\n")


class Connection(H11Protocol):
    """The protocol of one accepted socket."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: LimitSettings,
        on_refusal: OnRefusal,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._on_refusal = on_refusal
        self._strict = _StrictHttp(limits)
        self.conn = self._strict
        self._header_clock: asyncio.TimerHandle | None = None
        self.last_byte = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock of the headers, or refuses one connection too many."""
        self._closing = _ClosingTransport(transport, self._limits.write_seconds, self.loop)
        super().connection_made(self._closing)
        self._header_clock = self.loop.call_later(self._limits.header_seconds, self._no_headers)
        if len(self.connections) > LINGERING_SHARE * self._limits.connections:
            self._closing.abort()
        elif self._n_open() > self._limits.connections:
            self._refuse(ApiError("overloaded", "the server has as many connections as it may"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clocks and tells the application."""
        self._stop_header_clock()
        self._closing.lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes bytes; after the answer they are thrown away."""
        if self._closing.is_closing():
            self._closing.discard(len(data))
            return
        self.last_byte = self.loop.time()
        super().data_received(data)
        self._watch_headers()

    def on_response_complete(self) -> None:
        """Goes on to the next request of this connection."""
        super().on_response_complete()
        self._watch_headers()

    def send_400_response(self, msg: str) -> None:
        """Answers what is not a valid request; uvicorn calls this."""
        self._refuse(self._strict.refusal or ApiError("invalid_request", "expected a valid HTTP/1.1 request"))  # fmt: skip

    def pause_writing(self) -> None:
        """Starts the clock of a client that does not read."""
        super().pause_writing()
        self._closing.watch_writing()

    def resume_writing(self) -> None:
        """Stops that clock."""
        super().resume_writing()
        self._closing.stop_watching()

    @property
    def is_uploading(self) -> bool:
        """Whether a request's body is not there yet."""
        return self.conn.their_state is h11.SEND_BODY

    @property
    def is_idle(self) -> bool:
        """Whether nothing is owed to the client: no request has begun, no answer is under way."""
        between = self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]
        all_sent = not self._closing.get_write_buffer_size()
        return all_sent and (between or self._closing.is_closing())

    def shutdown(self) -> None:
        """Closes a connection to which nothing is owed; server.py asks for no other."""
        self._closing.close()

    def give_up(self, error: ApiError) -> None:
        """Ends an exchange that shall not be waited for, with an answer if none has begun."""
        self._refuse(error)

    def _n_open(self) -> int:
        if len(self.connections) <= self._limits.connections:
            return len(self.connections)
        return sum(not connection.transport.is_closing() for connection in self.connections)

    def _refuse(self, error: ApiError) -> None:
        self._stop_header_clock()
        if self._closing.is_closing():
            return
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering:
            self.cycle.disconnected = True  # what the application still says goes nowhere
            self.cycle.message_event.set()
        if not (answering and self.cycle.response_started):
            self._closing.write(_wire(error))
            self._on_refusal(error)
        self._closing.close()

    def _watch_headers(self) -> None:
        waiting = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        if not waiting:
            self._stop_header_clock()
        elif self._header_clock is None:
            self._header_clock = self.loop.call_later(self._limits.header_seconds, self._no_headers)

    def _no_headers(self) -> None:
        self._header_clock = None
        if self.conn.trailing_data[0]:
            self._refuse(ApiError("request_timeout", "the headers did not arrive in time"))
        else:
            self._closing.close()

    def _stop_header_clock(self) -> None:
        if self._header_clock is not None:
            self._header_clock.cancel()
            self._header_clock = None


class _StrictHttp(h11.Connection):
    """h11 with a check of the whole head before it is parsed.

    h11 limits only what is incomplete, takes equal Content-Lengths for one and lets
    Transfer-Encoding win over Content-Length; a proxy in front may see another request there.
    """

    def __init__(self, limits: LimitSettings) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size=limits.max_header_bytes)
        self._limits = limits
        self.refusal: ApiError | None = None

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        if self.their_state is h11.IDLE:
            try:
                self._check_head(self.trailing_data[0])
            except ApiError as error:
                self.refusal = error
                raise h11.RemoteProtocolError(error.message) from error
        return super().next_event()

    def _check_head(self, received: bytes) -> None:
        end = _HEAD_END.search(received)
        head = received[: end.end()] if end else received
        lines = head.split(b"\n")[1:]
        n_headers = sum(bool(line.strip()) for line in lines)
        check_header_size(self._limits.max_headers, self._limits.max_header_bytes, n_headers, len(head))  # fmt: skip
        if end is None:
            return
        names = [line.partition(b":")[0].lower() for line in lines]
        lengths, codings = names.count(b"content-length"), names.count(b"transfer-encoding")
        if lengths > 1 or codings > 1 or (lengths and codings):
            raise ApiError("invalid_request", "expected one Content-Length or one Transfer-Encoding, not both")  # fmt: skip
        if head.count(b"\n") != head.count(b"\r\n"):
            raise ApiError("invalid_request", "expected lines that end in CRLF")
        if not head.partition(b"\r\n")[0].endswith((b" HTTP/1.1", b" HTTP/1.0")):
            raise ApiError("invalid_request", "expected a request line that ends in HTTP/1.1")
        if any(line.startswith((b" ", b"\t")) for line in lines):
            raise ApiError("invalid_request", "expected headers of one line each")


class _ClosingTransport(asyncio.Transport):
    """A transport that lets the client read the answer, as long as the client does read.

    ``close`` ends our direction and throws away what still comes, for ``LINGER_SECONDS``. Unsent
    bytes that do not become fewer at ``MIN_BYTES_PER_SECOND`` over ``write_seconds`` end it at once.
    """

    def __init__(
        self, inner: asyncio.Transport, write_seconds: float, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__()
        self._inner = inner
        self._write_seconds = write_seconds
        self._loop = loop
        self._linger_clock: asyncio.TimerHandle | None = None
        self._write_clock: asyncio.TimerHandle | None = None
        self._is_closing = False
        self._discarded = 0

    def close(self) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        if self._inner.is_closing():
            return
        try:
            self._inner.write_eof()
        except OSError:  # the client has reset the connection, and the loop has not seen it yet
            self._inner.abort()
            return
        self.watch_writing()
        self._inner.resume_reading()
        self._linger_clock = self._loop.call_later(LINGER_SECONDS, self._inner.close)

    def discard(self, n_bytes: int) -> None:
        self._discarded += n_bytes
        if self._discarded > LINGER_BYTES:
            self._inner.pause_reading()

    def lost(self) -> None:
        self._is_closing = True
        self._stop(self._linger_clock)
        self._stop(self._write_clock)

    def watch_writing(self) -> None:
        if self._write_clock is None:
            unsent = self.get_write_buffer_size()
            self._write_clock = self._loop.call_later(self._write_seconds, self._check, unsent)

    def stop_watching(self) -> None:
        if not self._is_closing:
            self._stop(self._write_clock)
            self._write_clock = None

    def _check(self, unsent_before: int) -> None:
        self._write_clock = None
        unsent = self.get_write_buffer_size()
        if unsent_before - unsent >= MIN_BYTES_PER_SECOND * self._write_seconds:
            self.watch_writing()
        elif unsent:
            self.abort()

    @staticmethod
    def _stop(clock: asyncio.TimerHandle | None) -> None:
        if clock is not None:
            clock.cancel()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._is_closing:
            self._inner.write(data)

    def is_closing(self) -> bool:
        return self._is_closing or self._inner.is_closing()

    def abort(self) -> None:
        self._is_closing = True
        self._inner.abort()

    def pause_reading(self) -> None:
        if not self.is_closing():
            self._inner.pause_reading()

    def resume_reading(self) -> None:
        if not self.is_closing():
            self._inner.resume_reading()

    def get_write_buffer_size(self) -> int:
        return self._inner.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._inner.get_extra_info(name, default)


def _wire(error: ApiError) -> bytes:
    headers, body = envelope(error)
    headers += [
        (b"connection", b"close"),
        (b"x-request-id", new_request_id().encode("ascii")),
        *SECURITY_HEADERS,
        NO_STORE,
    ]
    phrase = http.HTTPStatus(error.status).phrase
    lines = [f"HTTP/1.1 {error.status} {phrase}".encode("ascii")]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join([*lines, b"", body])
