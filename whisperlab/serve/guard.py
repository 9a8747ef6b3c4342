"""What every request passes and every answer carries, around the application.

Owns the request id, the checks on headers, hosts and origins, the security headers, and that every
error leaves as our envelope (problems.py). It does not know routes, keys or sounds.

``install`` puts it inside Starlette's own error middleware and outside everything else. A handler
finds ``request.state.request_id`` and ``request.state.client_address``.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import uuid
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final, NoReturn

from fastapi.exceptions import RequestValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whisperlab.serve.addresses import TrustedHosts, TrustedProxies
from whisperlab.serve.logs import REQUEST_ID
from whisperlab.serve.problems import ApiError, internal_error
from whisperlab.serve.settings import ServeSettings

_log = logging.getLogger(__name__)

SECURITY_HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
)
NO_STORE: Final = (b"cache-control", b"no-store")

_API_PATHS: Final = ("/v1/", "/health", "/metrics")
"""Below these nothing may be cached; a page beside them decides for itself."""

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9-]{1,64}")

_SINGLE: Final = (
    b"host",
    b"content-type",
    b"content-length",
    b"content-encoding",
    b"authorization",
)
"""Headers whose second value another server on the way may have read instead of the first."""

EXPOSED: Final = (
    b"x-request-id, x-whisperlab-config, x-whisperlab-warning, server-timing, retry-after, "
    b"x-should-retry, "
    b"x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
    b"x-ratelimit-limit-audio-seconds, x-ratelimit-remaining-audio-seconds, "
    b"x-ratelimit-reset-audio-seconds"
)
"""Headers of an answer that a page of an allowed origin may read."""

_POLICY_VIOLATION: Final = 1008
"""The close code of RFC 6455, 7.4.1."""

_PREFLIGHT_SECONDS: Final = b"600"

_HEADER_NAMES: Final = re.compile(rb"[A-Za-z0-9-]+([ \t]*,[ \t]*[A-Za-z0-9-]+)*")

_CODES: Final = {
    400: "invalid_request",
    401: "invalid_api_key",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "file_too_large",
    415: "unsupported_media_type",
}
"""Codes for the exceptions of Starlette itself, by status."""

_SHOWN_PATH_CHARACTERS: Final = 200

CLIENT_GONE: Final = 499
"""Recorded, never sent: the client left before there was an answer (nginx's number)."""

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Answered:
    """One request and what became of it, for metrics and the access log.

    ``route`` is the template (``/v1/models/{model:path}``), None where none matched: a path that a
    client made up must not become a label. ``code`` is that of an error, also one that ended a
    stream. ``state`` is the request's, with what handlers left.
    """

    request_id: str
    client_address: str
    method: str
    route: str | None
    status: int
    code: str | None
    sent_bytes: int
    seconds: float
    state: MutableMapping[str, Any]


Observe = Callable[[Answered], None]


def install(app: Starlette, settings: ServeSettings, observe: Observe) -> None:
    """Puts the guard around ``app``; to be called after every other ``add_middleware``."""
    app.router.redirect_slashes = False  # a redirect would lose an upload
    app.add_exception_handler(HTTPException, _raise_http)
    app.add_exception_handler(RequestValidationError, _raise_validation)
    app.add_middleware(Guard, settings=settings, observe=observe)


def new_request_id() -> str:
    """Returns an id that no other request has."""
    return uuid.uuid4().hex


def envelope(error: ApiError) -> tuple[Headers, bytes]:
    """Returns the headers and the body of an error's answer."""
    body = json.dumps(error.body()).encode("ascii")
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    headers += [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in error.all_headers().items()]  # fmt: skip
    return headers, body


class Guard:
    """The ASGI middleware; one instance serves all requests."""

    def __init__(self, app: ASGIApp, settings: ServeSettings, observe: Observe) -> None:
        self._app = app
        self._observe = observe
        self._limits = settings.limits
        self._hosts = TrustedHosts(settings.trusted_hosts)
        self._origins = frozenset(origin.encode("ascii") for origin in settings.cors_origins)
        self._proxies = TrustedProxies(settings.trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; a WebSocket is refused on a wrong host or origin only."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = _request_id(scope["headers"])
        state["client_address"] = self._proxies.client(
            scope.get("client"), _values(scope["headers"], b"x-forwarded-for")
        )
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._answer_headers(scope))
        started = perf_counter()
        token = REQUEST_ID.set(state["request_id"])
        try:
            await self._serve(scope, exchange)
        finally:
            ended_by = state.get("code")  # a stream, whose status is out already
            self._observe(
                Answered(
                    request_id=state["request_id"],
                    client_address=state["client_address"],
                    method=scope["method"],
                    route=getattr(scope.get("route"), "path", None),
                    status=exchange.status or CLIENT_GONE,
                    code=exchange.code or ended_by,
                    sent_bytes=exchange.sent_bytes,
                    seconds=perf_counter() - started,
                    state=state,
                )
            )
            REQUEST_ID.reset(token)

    async def _serve(self, scope: Scope, exchange: _Exchange) -> None:
        try:
            self._check(scope["headers"])
            if _is_preflight(scope):
                await self._preflight(scope, exchange)
                return
            await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            return
        except asyncio.CancelledError:
            return  # the drain time is over: server.py has answered, and uvicorn would log a bug
        except ApiError as error:
            await exchange.fail(error)
        except Exception:  # noqa: BLE001 - the last door: what nobody foresaw is logged, not shown
            _log.exception("unforeseen failure")
            await exchange.fail(internal_error())

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        # No preflight stands before a WebSocket: a page of any origin can open one.
        trusted = self._origins.issuperset(_values(scope["headers"], b"origin"))
        try:
            self._check(scope["headers"])
        except ApiError:
            trusted = False
        if not trusted:
            await receive()
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        await self._app(scope, receive, send)

    def _check(self, headers: Headers) -> None:
        n_bytes = sum(len(name) + len(value) + 4 for name, value in headers)  # ": " and CRLF
        check_header_size(self._limits.max_headers, self._limits.max_header_bytes, len(headers), n_bytes)  # fmt: skip
        for name in _SINGLE:
            if len(_values(headers, name)) > 1:
                raise ApiError("invalid_request", f"expected one {name.decode()} header, got several")  # fmt: skip
        host = next(iter(_values(headers, b"host")), b"").decode("latin-1")
        if host not in self._hosts:
            raise ApiError("invalid_host", "this server does not answer to that Host; see serve.trusted_hosts")  # fmt: skip
        encoding = next(iter(_values(headers, b"content-encoding")), b"identity")
        if encoding.strip().lower() not in (b"", b"identity"):
            raise ApiError("unsupported_encoding", "expected a body without Content-Encoding")

    def _answer_headers(self, scope: Scope) -> Headers:
        headers = [(b"x-request-id", scope["state"]["request_id"].encode("ascii"))]
        headers += SECURITY_HEADERS
        if scope["path"].startswith(_API_PATHS):
            headers.append(NO_STORE)
        if self._origins:
            headers.append((b"vary", b"Origin"))
            origins = _values(scope["headers"], b"origin")
            if len(origins) == 1 and origins[0] in self._origins:
                headers.append((b"access-control-allow-origin", origins[0]))
                headers.append((b"access-control-expose-headers", EXPOSED))
        return headers

    async def _preflight(self, scope: Scope, exchange: _Exchange) -> None:
        headers = scope["headers"]
        asked = b", ".join(_values(headers, b"access-control-request-headers"))
        origins = _values(headers, b"origin")
        if len(origins) != 1 or origins[0] not in self._origins or not (not asked or _HEADER_NAMES.fullmatch(asked)):  # fmt: skip
            raise ApiError("forbidden", "this origin may not call from a browser; see serve.cors_origins")  # fmt: skip
        allowed = [
            (b"access-control-allow-methods", b"GET, POST"),
            (b"access-control-allow-headers", asked),
            (b"access-control-max-age", _PREFLIGHT_SECONDS),
        ]
        await exchange.send({"type": "http.response.start", "status": 204, "headers": allowed})
        await exchange.send({"type": "http.response.body", "body": b""})


class _Exchange:
    """One request's two directions, watched."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        self._receive = receive
        self._send = send
        self._headers = headers
        self._body_complete = not _has_body(scope["headers"])
        self.status: int | None = None
        self.code: str | None = None
        """The code of the error that the answer is."""
        self.sent_bytes = 0

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._body_complete = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": self._completed(list(message.get("headers", ())))}
        elif message["type"] == "http.response.body":
            self.sent_bytes += len(message.get("body", b""))
        await self._send(message)

    def _completed(self, headers: Headers) -> Headers:
        present = {name.lower() for name, _ in headers}
        present.discard(b"vary")  # a second one adds to the first
        headers += [(name, value) for name, value in self._headers if name not in present]
        if not self._body_complete:
            # The rest of the body would be taken for the next request, or for nothing at length.
            headers.append((b"connection", b"close"))
        return headers

    async def fail(self, error: ApiError) -> None:
        self.code = error.code
        if self.status is not None:
            return  # half an answer is out: returning without its end closes the connection
        headers, body = envelope(error)
        headers.append(NO_STORE)
        await self.send({"type": "http.response.start", "status": error.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


def check_header_size(max_headers: int, max_bytes: int, n_headers: int, n_bytes: int) -> None:
    """Raises ``headers_too_large`` for too many headers or bytes of them."""
    if n_headers > max_headers or n_bytes > max_bytes:
        raise ApiError("headers_too_large", f"expected at most {max_headers} headers of {max_bytes} bytes together")  # fmt: skip


def _request_id(headers: Headers) -> str:
    given = _values(headers, b"x-request-id")
    if len(given) == 1 and _REQUEST_ID.fullmatch(given[0]):
        return given[0].decode("ascii")
    return new_request_id()


def _values(headers: Headers, wanted: bytes) -> list[bytes]:
    return [value for name, value in headers if name == wanted]


def _has_body(headers: Headers) -> bool:
    length = _values(headers, b"content-length")
    return bool(_values(headers, b"transfer-encoding")) or (bool(length) and length[0] != b"0")


def _is_preflight(scope: Scope) -> bool:
    headers = scope["headers"]
    return (
        scope["method"] == "OPTIONS"
        and bool(_values(headers, b"origin"))
        and bool(_values(headers, b"access-control-request-method"))
    )


async def _raise_http(request: Request, error: Exception) -> NoReturn:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status >= 500:  # noqa: PLR2004 - the class of statuses itself
        raise internal_error() from error
    where = request.url.path[:_SHOWN_PATH_CHARACTERS]
    code = _CODES.get(status, "invalid_request")
    messages = {
        "not_found": f"Invalid URL ({request.method} {where})",
        "method_not_allowed": f"Not allowed to {request.method} on {where}",
    }
    message = messages.get(code, str(getattr(error, "detail", "")))
    raise ApiError(code, message, headers=dict(getattr(error, "headers", None) or {})) from error


async def _raise_validation(request: Request, error: Exception) -> NoReturn:
    raise ApiError("invalid_value", "a parameter has an unexpected type or value") from error
