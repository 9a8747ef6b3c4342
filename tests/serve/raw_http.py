"""A client of bare sockets: it sends what it is told, byte for byte, and repairs nothing."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


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


@contextmanager
def connected(address: tuple[str, int], patience: float = 10.0) -> Iterator[socket.socket]:
    with socket.create_connection(address[:2], timeout=patience) as client:
        yield client


def send_as_far_as_possible(client: socket.socket, data: bytes) -> int:
    """Sends until the server no longer takes it; returns the bytes that went out."""
    sent = 0
    try:
        while sent < len(data):
            sent += client.send(data[sent : sent + (1 << 16)])
    except (BrokenPipeError, ConnectionResetError, TimeoutError):
        pass
    return sent


def read_answer(client: socket.socket, method: str = "POST") -> RawAnswer:
    """Reads one answer (100 Continue included, which has no body)."""
    received = bytearray()
    while b"\r\n\r\n" not in received:
        piece = _receive(client)
        assert piece, f"closed before a whole head came: {bytes(received)!r}"
        received += piece
    head, _, rest = bytes(received).partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        assert name.lower() not in headers, f"{name} came twice"
        headers[name.lower()] = value
    status = int(first.split(" ")[1])
    body = bytearray(rest)
    if method == "HEAD" or status in (100, 204):
        wanted: int | None = 0
    elif "content-length" in headers:
        wanted = int(headers["content-length"])
    else:
        wanted = None
    while wanted is None or len(body) < wanted:
        piece = _receive(client)
        if not piece:
            break
        body += piece
        if wanted is None and body.endswith(b"0\r\n\r\n"):
            break
    closed = headers.get("connection") == "close" and is_closed(client)
    return RawAnswer(status, headers, bytes(body), closed)


def is_closed(client: socket.socket, within: float = 3.0) -> bool:
    """Whether the server ends the connection, throwing away what still comes."""
    client.settimeout(within)
    end = time.monotonic() + within
    try:
        while time.monotonic() < end:
            if not client.recv(1 << 16):
                return True
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True
    return False


def exchange(address: tuple[str, int], request: bytes, method: str = "POST") -> RawAnswer:
    """Sends one request on a connection of its own and reads the answer."""
    with connected(address) as client:
        send_as_far_as_possible(client, request)
        return read_answer(client, method)


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


def _receive(client: socket.socket) -> bytes:
    try:
        return client.recv(1 << 16)
    except ConnectionResetError:
        return b""
