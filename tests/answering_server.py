"""An HTTP server in this process whose answers are one function's: a proxy, a stubborn server."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def asks(self, name: str, value: str) -> bool:
        """True when the form has the field with this value."""
        return f'name="{name}"\r\n\r\n{value}\r\n'.encode() in self.body


@dataclass(frozen=True)
class Reply:
    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


Answering = Callable[[Request], Reply]


@contextmanager
def answering(answer: Answering) -> Iterator[str]:
    """Starts the server on a free port; gives its address with ``/v1``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = answer(Request(self.command, self.path, headers, body))
            self.send_response_only(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_POST = do_HEAD = _answer  # noqa: N815 - the standard library's names

        def log_message(self, *_: object) -> None:
            """Writes no log."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that hangs up is no news."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def forwarding(base_url: str) -> Answering:
    """Returns the answers of another server, each whole before it is handed on."""
    parts = urlsplit(base_url)
    dropped = {"content-length", "connection", "transfer-encoding", "date", "server"}

    def answer(request: Request) -> Reply:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        headers = {name: value for name, value in request.headers.items() if name != "connection"}
        try:
            connection.request(request.method, request.path, request.body, headers)
            reply = connection.getresponse()
            kept = {k.lower(): v for k, v in reply.getheaders() if k.lower() not in dropped}
            return Reply(reply.read(), reply.status, kept)
        finally:
            connection.close()

    return answer
