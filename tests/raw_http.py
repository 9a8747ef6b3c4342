"""A client of bare sockets: it sends what it is told, byte for byte, and repairs nothing."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from dataclasses import dataclass, replace
from typing import Any

PATIENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """One answer as it came; ``closed`` says that the server closed the connection after it."""

    status: int
    headers: dict[str, str]
    body: bytes
    closed: bool

    @property
    def error(self) -> dict[str, Any]:
        """The envelope's content; fails if the body is not exactly an envelope."""
        envelope = json.loads(self.body)
        assert set(envelope) == {"error"}
        assert set(envelope["error"]) == {"message", "type", "param", "code"}
        error: dict[str, Any] = envelope["error"]
        return error

    @property
    def code(self) -> str:
        return str(self.error["code"])


class RawClient:
    """One connection."""

    def __init__(
        self, address: tuple[str, int], *, receive_buffer_bytes: int | None = None
    ) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        if receive_buffer_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(PATIENCE_SECONDS)
        try:
            self.socket.connect(address[:2])
        except OSError:
            self.socket.close()
            raise
        self._received = bytearray()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> int:
        """Sends as far as the server takes it; returns how many bytes went out."""
        sent = 0
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, TimeoutError):
            while sent < len(data):
                sent += self.socket.send(data[sent : sent + (1 << 16)])
        return sent

    def has_answer(self, within: float = 0.0) -> bool:
        """Whether something can be read, the end of the connection included."""
        return bool(select.select([self.socket], [], [], within)[0])

    def answer(self, method: str = "POST") -> RawAnswer:
        """Reads one answer (100 Continue included, which has no body)."""
        head = self.head()
        has_body = method != "HEAD" and head.status not in (100, 204)
        body = self._body(head.headers) if has_body else b""
        closed = head.headers.get("connection") == "close" and self.is_closed()
        return replace(head, body=body, closed=closed)

    def head(self) -> RawAnswer:
        """Reads the head of an answer only."""
        head = self._until(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            assert name.lower() not in headers, f"{name} came twice"
            headers[name.lower()] = value
        return RawAnswer(int(first.split(" ")[1]), headers, b"", closed=False)

    def rest(self) -> bytes:
        """Reads what comes until the server ends the connection, as it stands on the wire."""
        while self._receive():
            pass
        return self._take(len(self._received))

    def is_closed(self, within: float = 3.0) -> bool:
        """Whether the server ends the connection, throwing away what still comes."""
        self.socket.settimeout(within)
        end = time.monotonic() + within
        try:
            while time.monotonic() < end:
                if not self.socket.recv(1 << 16):
                    return True
        except TimeoutError:
            return False
        except ConnectionResetError:
            return True
        return False

    def _body(self, headers: dict[str, str]) -> bytes:
        if "content-length" in headers:
            return self._take(int(headers["content-length"]))
        if headers.get("transfer-encoding") != "chunked":
            return self.rest()
        body = bytearray()
        while size := int(self._until(b"\r\n"), 16):
            body += self._take(size)
            self._take(2)
        self._take(2)
        return bytes(body)

    def _until(self, end: bytes) -> bytes:
        while end not in self._received:
            assert self._receive(), f"closed too early, after {bytes(self._received)!r}"
        return self._take(self._received.index(end) + len(end))[: -len(end)]

    def _take(self, n_bytes: int) -> bytes:
        while len(self._received) < n_bytes:
            assert self._receive(), f"closed too early, after {bytes(self._received)!r}"
        taken = bytes(self._received[:n_bytes])
        del self._received[:n_bytes]
        return taken

    def _receive(self) -> bool:
        try:
            piece = self.socket.recv(1 << 16)
        except ConnectionResetError:
            return False
        self._received += piece
        return bool(piece)


def exchange(address: tuple[str, int], request: bytes, method: str = "POST") -> RawAnswer:
    """Sends one request on a connection of its own and reads the answer."""
    with RawClient(address) as client:
        client.send(request)
        return client.answer(method)


def request(
    body: bytes,
    content_type: str,
    *,
    path: str = "/v1/audio/transcriptions",
    headers: str = "",
) -> bytes:
    """Returns a well-formed POST."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n{headers}\r\n"
    ).encode("latin-1") + body


MULTIPART = "multipart/form-data; boundary=b"
JSON = "application/json"
FILE = 'form-data; name="file"; filename="upload"'


def part(disposition: str, content: bytes, *headers: str) -> bytes:
    lines = "".join(f"{line}\r\n" for line in (f"Content-Disposition: {disposition}", *headers))
    return b"--b\r\n" + lines.encode("latin-1") + b"\r\n" + content + b"\r\n"


def field(name: str, value: str | bytes) -> bytes:
    content = value.encode() if isinstance(value, str) else value
    return part(f'form-data; name="{name}"', content)


def form(*parts: bytes, end: bytes = b"--b--\r\n") -> bytes:
    return b"".join(parts) + end


def chunked(content_type: str) -> bytes:
    return (
        f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()
