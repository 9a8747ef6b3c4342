"""Rows 9, 49, 51 and 52 of the hostile cases, and what every answer carries."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from front_server import Front, running, settings
from raw_http import RawAnswer, RawClient, exchange, request
from starlette.types import Message, Scope

from whisperlab.serve.addresses import TrustedHosts, TrustedProxies
from whisperlab.serve.guard import Answered, Guard, install
from whisperlab.serve.logs import REQUEST_ID

ORIGIN = "https://app.example.org"
SECURITY = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "frame-ancestors 'none'",
}


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    chosen = settings(
        trusted_hosts=("localhost", "::1", "*.example.org"),
        trusted_proxies=("127.0.0.1", "10.0.0.0/8"),
        cors_origins=(ORIGIN,),
    )
    with running(chosen) as server:
        yield server


def ask(
    front: Front, target: str, headers: str = "", method: str = "GET", host: str = "localhost"
) -> RawAnswer:
    head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n"
    return exchange(front.address, head.encode("latin-1"), method)


EVERY_KIND = {
    "an answer": ("/health", "", "GET", 200),
    "not found": ("/v1/nothing", "", "GET", 404),
    "wrong method": ("/v1/audio/transcriptions", "", "GET", 405),
    "a bug": ("/v1/fail", "", "GET", 500),
    "a stream": ("/v1/half", "", "GET", 200),
    "HEAD": ("/health", "", "HEAD", 200),
    "a wrong host": ("/health", "X-Forwarded-Host: localhost\r\n", "GET", 200),
    "a preflight": (
        "/health",
        f"Origin: {ORIGIN}\r\nAccess-Control-Request-Method: POST\r\n",
        "OPTIONS",
        204,
    ),
}


@pytest.mark.parametrize("name", EVERY_KIND)
def test_every_answer_carries_an_id_and_the_security_headers(name: str, front: Front) -> None:
    target, headers, method, status = EVERY_KIND[name]
    with RawClient(front.address) as client:
        client.send(
            f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: My-1\r\n{headers}\r\n".encode()
        )
        head = client.head()
    assert head.status == status
    assert head.headers["x-request-id"] == "My-1"
    assert head.headers.items() >= SECURITY.items()
    assert "server" not in head.headers
    if target.startswith(("/v1/", "/health")):
        assert head.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("given", ["a b", "a" * 65, "é", "", 'a"b', "a\r\nX-Request-Id: b"])
def test_an_unfit_request_id_is_replaced(given: str, front: Front) -> None:
    answer = ask(front, "/health", f"X-Request-Id: {given}\r\n")
    assert answer.status == 200
    made = answer.headers["x-request-id"]
    assert made == json.loads(answer.body)["id"]
    assert len(made) == 32
    assert made != given


ERRORS = {
    "/nothing": ("GET", 404, "not_found"),
    "/v1/audio/transcriptions/": ("POST", 404, "not_found"),
    "//v1/audio/transcriptions": ("POST", 404, "not_found"),
    "/v1/%2e%2e/health": ("GET", 404, "not_found"),
    "/v1/audio/../audio/transcriptions": ("POST", 404, "not_found"),
    "http://evil/health": ("GET", 404, "not_found"),
    "*": ("OPTIONS", 404, "not_found"),
    "/v1/audio/transcriptions": ("PUT", 405, "method_not_allowed"),
    "/v1/audio/transcriptions?a=b": ("OPTIONS", 405, "method_not_allowed"),
    "/health": ("DELETE", 405, "method_not_allowed"),
    "/v1/fail": ("GET", 500, "internal_error"),
}


@pytest.mark.parametrize("target", ERRORS)
def test_every_error_is_our_envelope(target: str, front: Front) -> None:
    method, status, code = ERRORS[target]
    answer = ask(front, target, method=method)
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["content-type"] == "application/json"
    assert ("allow" in answer.headers) == (status == 405)
    assert b"detail" not in answer.body


def test_a_head_of_a_wrong_method_has_no_body_and_keeps_the_connection(front: Front) -> None:
    with RawClient(front.address) as client:
        client.send(b"HEAD /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = client.answer("HEAD")
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
        client.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.answer("GET").status == 200


def test_a_bug_is_logged_under_its_request_and_its_text_stays_here(
    front: Front, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str | None] = []

    def note(_: logging.LogRecord) -> bool:
        seen.append(REQUEST_ID.get())
        return True

    caplog.handler.addFilter(note)
    with caplog.at_level(logging.ERROR, "whisperlab"):
        answer = ask(front, "/v1/fail", "X-Request-Id: bug-1\r\n")
    caplog.handler.removeFilter(note)
    assert b"secret" not in answer.body
    assert "unforeseen failure" in caplog.text
    assert seen[0] == "bug-1"


def test_a_failure_in_the_middle_of_a_stream_cuts_it(front: Front) -> None:
    front.answered.clear()
    with RawClient(front.address) as client:
        client.send(b"GET /v1/half HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.head().status == 200
        received = client.rest()
    assert b"begun" in received
    assert not received.endswith(b"0\r\n\r\n")  # the end of a chunked body
    assert b"secret" not in received
    assert front.last().code == "internal_error"


HOSTS = {
    "localhost": True,
    "LOCALHOST:9000": True,
    "[::1]:8000": True,
    "a.example.org": True,
    "evil": False,
    "localhost.evil": False,
    "example.org": False,
    "localhost@evil": False,
    "127.0.0.1": False,
    "": False,
}


@pytest.mark.parametrize("host", HOSTS)
def test_only_our_hosts_are_answered(host: str, front: Front) -> None:
    answer = ask(front, "/health", host=host)
    if HOSTS[host]:
        assert answer.status == 200
    else:
        assert (answer.status, answer.code) == (400, "invalid_host")


def test_a_star_trusts_every_host() -> None:
    assert "anything" in TrustedHosts(["*"])


@pytest.mark.parametrize("encoding", ["gzip", "deflate, gzip", "br", "x"])
def test_an_encoded_body_is_refused_unread(encoding: str, front: Front) -> None:
    head = request(b"x", "multipart/form-data; boundary=b", headers=f"Content-Encoding: {encoding}\r\n")  # fmt: skip
    answer = exchange(front.address, head[:-1])
    assert (answer.status, answer.code, answer.closed) == (415, "unsupported_encoding", True)


@pytest.mark.parametrize("name", ["Authorization", "Content-Type", "Content-Encoding"])
def test_a_header_that_must_be_single_is_refused_twice(name: str, front: Front) -> None:
    answer = ask(front, "/health", f"{name}: a\r\n{name.lower()}: b\r\n")
    assert (answer.status, answer.code) == (400, "invalid_request")


def test_a_page_of_an_allowed_origin_may_read_answers_and_errors(front: Front) -> None:
    for target in ("/health", "/v1/fail"):
        answer = ask(front, target, f"Origin: {ORIGIN}\r\n")
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "x-request-id" in answer.headers["access-control-expose-headers"]
        assert answer.headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("origin", ["https://evil", "null", ORIGIN + ":8443", "http://app.example.org"])  # fmt: skip
def test_a_page_of_another_origin_may_not(origin: str, front: Front) -> None:
    answer = ask(front, "/health", f"Origin: {origin}\r\n")
    assert "access-control-allow-origin" not in answer.headers
    asked = f"Origin: {origin}\r\nAccess-Control-Request-Method: POST\r\n"
    refused = ask(front, "/v1/audio/transcriptions", asked, "OPTIONS")
    assert (refused.status, refused.code) == (403, "forbidden")
    assert "access-control-allow-methods" not in refused.headers


def test_a_preflight_allows_what_the_official_client_sends(front: Front) -> None:
    names = "authorization, content-type, x-stainless-os, x-stainless-retry-count"
    asked = f"Origin: {ORIGIN}\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: {names}\r\n"  # fmt: skip
    answer = ask(front, "/v1/audio/transcriptions", asked, "OPTIONS")
    assert answer.status == 204
    assert answer.headers["access-control-allow-headers"] == names
    assert answer.headers["access-control-allow-methods"] == "GET, POST"


def test_without_origins_there_is_no_cross_origin_answer() -> None:
    with running() as front:
        answer = ask(front, "/health", f"Origin: {ORIGIN}\r\n")
    assert not [name for name in answer.headers if name.startswith("access-control")]


FORWARDED = {
    "": "127.0.0.1",
    "203.0.113.7": "203.0.113.7",
    "6.6.6.6, 203.0.113.7": "203.0.113.7",
    "6.6.6.6, 203.0.113.7, 10.1.1.1": "203.0.113.7",
    "10.1.1.1": "10.1.1.1",
    "2001:db8::1": "2001:db8::1",
    "::ffff:203.0.113.7": "203.0.113.7",
    "6.6.6.6, nonsense": "127.0.0.1",
    "203.0.113.7, 10.1.1.1, ": "127.0.0.1",
}


@pytest.mark.parametrize("header", FORWARDED)
def test_a_trusted_proxy_is_believed_as_far_as_it_wrote(header: str, front: Front) -> None:
    answer = ask(front, "/health", f"X-Forwarded-For: {header}\r\n")
    assert json.loads(answer.body)["address"] == FORWARDED[header]


def test_several_forwarded_headers_are_one_list(front: Front) -> None:
    answer = ask(front, "/health", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.7\r\n")
    assert json.loads(answer.body)["address"] == "203.0.113.7"


def test_without_proxies_nobody_is_believed() -> None:
    proxies = TrustedProxies([])
    assert proxies.client(("127.0.0.1", 1), [b"6.6.6.6"]) == "127.0.0.1"
    assert proxies.client(None, []) == "unknown"


def test_each_request_is_recorded_with_its_template_and_not_its_path(front: Front) -> None:
    front.answered.clear()
    ask(front, "/v1/models/../../etc/passwd", "X-Request-Id: seen\r\n")
    answered = front.last()
    assert (answered.request_id, answered.route) == ("seen", "/v1/models/{model:path}")
    assert (answered.method, answered.status, answered.code) == ("GET", 200, None)
    assert answered.sent_bytes > 10
    assert 0 < answered.seconds < 5
    front.answered.clear()
    ask(front, "/made/up")
    assert (front.last().route, front.last().code) == (None, "not_found")


def _run(guard: Guard, scope: Scope, incoming: list[Message]) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return incoming.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(guard(scope, receive, send))
    return sent


@pytest.mark.parametrize(
    ("headers", "opened"),
    [
        ([(b"host", b"localhost")], True),
        ([(b"host", b"localhost"), (b"origin", ORIGIN.encode())], True),
        ([(b"host", b"localhost"), (b"origin", b"https://evil")], False),
        ([(b"host", b"evil")], False),
    ],
)
def test_a_websocket_of_a_strange_host_or_origin_is_not_opened(
    headers: list[tuple[bytes, bytes]], opened: bool
) -> None:
    reached: list[Scope] = []

    async def app(scope: Scope, receive: object, send: object) -> None:
        reached.append(scope)

    guard = Guard(app, settings(cors_origins=(ORIGIN,)), lambda _: None)
    scope = {"type": "websocket", "headers": headers, "client": ("127.0.0.1", 1), "path": "/"}
    sent = _run(guard, scope, [{"type": "websocket.connect"}])
    assert bool(reached) == opened
    assert sent == ([] if opened else [{"type": "websocket.close", "code": 1008}])


def test_fastapis_own_refusal_of_a_parameter_is_400_and_not_422() -> None:
    answered: list[Answered] = []
    app = FastAPI()

    @app.get("/v1/number")
    async def number(n: int) -> int:
        return n

    install(app, settings(), answered.append)
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v1/number",
        "raw_path": b"/v1/number",
        "query_string": b"n=x",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 1),
        "scheme": "http",
        "http_version": "1.1",
        "root_path": "",
        "asgi": {"version": "3.0"},
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 400
    assert json.loads(sent[1]["body"])["error"]["code"] == "invalid_value"
    assert answered[0].route == "/v1/number"
