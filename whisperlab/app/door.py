"""The way into the page where keys are asked for: a key in a header, or a session begun with one.

Owns the sign-in form and the sessions. A program sends its key with every request, as to the API; a
person types it once, and the browser keeps a cookie that is no key. Nothing of the page is to be had
without: not its files, not its queue. It does not know what lies behind it.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from time import monotonic
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from whisperlab.report.markup import Markup, element
from whisperlab.serve.keys import Caller, KeyRing
from whisperlab.serve.keys.key_file import digest
from whisperlab.serve.problems import ApiError

SESSION_SECONDS: Final = 12 * 3600.0
"""A working day; then the key is asked for again."""

MAX_SESSIONS: Final = 10_000
MAX_FORM_BYTES: Final = 4096
FORM_SECONDS: Final = 10.0
POLICY_VIOLATION: Final = 1008
"""The close code of RFC 6455, 7.4.1."""

POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
STYLE: Final = Markup(
    ":root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:26rem;"
    "margin:15vh auto;padding:0 1rem}input,button{font:inherit;width:100%;padding:.6rem;"
    "box-sizing:border-box;margin-block:.25rem 1rem}button{background:#0d6e66;color:#fff;border:0;"
    "border-radius:.3rem;cursor:pointer}[role=alert]{color:light-dark(#a61b30,#ff9aa8)}"
)


class Sessions:
    """Browsers that have shown a key; in memory are digests, of tokens and of keys."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def begin(self, key_sha256: str) -> str:
        """Returns the token of a new session."""
        token = secrets.token_urlsafe(32)
        self._known[_hashed(token)] = (key_sha256, monotonic() + SESSION_SECONDS)
        while len(self._known) > MAX_SESSIONS:
            self._known.popitem(last=False)
        return token

    def key(self, token: str) -> str | None:
        """Returns the digest of the session's key, ``None`` where there is no such session."""
        key_sha256, until = self._known.get(_hashed(token), ("", 0.0))
        return key_sha256 if monotonic() < until else None

    def end(self, token: str) -> None:
        """Forgets a session."""
        self._known.pop(_hashed(token), None)


class Door:
    """An ASGI wrapper that lets callers through and tells them apart: ``state["page_caller"]``."""

    def __init__(self, app: ASGIApp, keys: KeyRing, sessions: Sessions, cookie: str) -> None:
        self._app = app
        self._keys = keys
        self._sessions = sessions
        self._cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, or hands it on.

        Raises:
            ApiError: ``invalid_api_key`` to a program; the guard sends it.
        """
        if scope["type"] == "websocket" and self._keys.asked:  # the page opens none
            await receive()
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        where = (request.method, request.url.path)
        if self._keys.asked and where == ("POST", "/login"):
            answer = await self._sign_in(request)
        elif self._keys.asked and where == ("GET", "/logout"):
            answer = self._sign_out(request)
        else:
            try:
                caller = self._identify(request)
            except ApiError as error:
                if request.method != "GET" or "text/html" not in request.headers.get("accept", ""):
                    raise
                answer = _form(error.message if self._token(request) else "")
            else:
                scope["state"]["caller"] = caller.name
                scope["state"]["page_caller"] = caller
                await self._app(scope, receive, send)
                return
        await answer(scope, receive, send)

    def _identify(self, request: Request) -> Caller:
        authorization = request.headers.getlist("authorization")
        token = self._token(request)
        if self._keys.asked and not authorization and token:
            return self._keys.holder(self._sessions.key(token))
        return self._keys.identify(authorization, request.state.client_address)

    def _token(self, request: Request) -> str:
        # Starlette reads past what Python's own parser ends at: other programs' cookies, of any port.
        return request.cookies.get(self._cookie, "")

    async def _sign_in(self, request: Request) -> Response:
        """Begins a session with the key of the form."""
        body = bytearray()
        try:
            async with asyncio.timeout(FORM_SECONDS):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > MAX_FORM_BYTES:
                        raise ApiError("file_too_large", "Expected a form with a key.")
        except TimeoutError as error:
            raise ApiError("request_timeout", "The form did not arrive in time.") from error
        except ClientDisconnect:
            return Response()
        key = parse_qs(body.decode("ascii", "replace")).get("key", [""])[0].strip()
        try:
            self._keys.identify([f"Bearer {key}"], request.state.client_address)
        except ApiError as error:
            return _form(error.message if key else "Type your key.")
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(
            self._cookie,
            self._sessions.begin(digest(key.encode())),
            httponly=True,
            samesite="strict",
            secure=_is_https(request),
        )
        return answer

    def _sign_out(self, request: Request) -> Response:
        self._sessions.end(self._token(request))
        answer = RedirectResponse("/", status_code=303)
        answer.delete_cookie(self._cookie)
        return answer


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _is_https(request: Request) -> bool:
    """True behind TLS, a proxy's too: to believe a forged header would only be stricter."""
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))


def _form(wrong: str) -> Response:
    """Returns the form that asks for a key; ``wrong`` says what was amiss with the last one."""
    note = element("p", wrong, role="alert", id="wrong") if wrong else Markup("")
    key = element(
        "input", id="key", name="key", type="password", required="", autofocus="",
        autocomplete="current-password", aria_describedby="wrong" if wrong else "hint",
    )  # fmt: skip
    page = element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", name="viewport", content="width=device-width"),
            element("title", "whisperlab: sign in"),
            element("style", STYLE),
        ),
        element(
            "body",
            element(
                "main",
                element("h1", "whisperlab"),
                element(
                    "p", "This server asks for a key; whoever runs it gives you one.", id="hint"
                ),
                note,
                element(
                    "form",
                    element("label", "Key", for_="key"),
                    key,
                    element("button", "Sign in"),
                    method="post",
                    action="/login",
                ),
            ),
        ),
        lang="en",
    )
    headers = {"content-security-policy": POLICY, "cache-control": "no-store"}
    return HTMLResponse(f"<!doctype html>{page}", 401, headers)
