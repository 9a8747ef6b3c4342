"""Without a valid key nothing of the page is to be had; a browser shows its key once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from key_files import add, stored, write
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from whisperlab.app import door as door_module
from whisperlab.app.door import Door, Sessions
from whisperlab.serve.keys import KeyRing
from whisperlab.serve.problems import ApiError

COOKIE = "whisperlab-test"
KEY = "wl_" + "k" * 43
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

Ask = Callable[..., Awaitable[httpx.Response]]


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    caller = Request(scope).state.page_caller
    await PlainTextResponse(f"inside as {caller.name}")(scope, receive, send)


def through(ring: KeyRing) -> httpx.AsyncClient:
    """A browser in front of a door, whose refusals become answers as in the guard."""
    door = Door(inside, ring, Sessions(), COOKIE)

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {"client_address": "192.0.2.7"}
        try:
            await door(scope, receive, send)
        except ApiError as error:
            await PlainTextResponse(error.message, error.status)(scope, receive, send)

    return httpx.AsyncClient(
        transport=httpx.ASGITransport(guarded), base_url="http://door", follow_redirects=True
    )


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    return write(tmp_path / "keys.json", stored("alice", KEY))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


pytestmark = pytest.mark.anyio


async def test_without_a_file_of_keys_everybody_is_let_in_by_address() -> None:
    async with through(KeyRing(None)) as browser:
        assert (await browser.get("/")).text == "inside as 192.0.2.7"


async def test_a_key_in_the_header_lets_a_program_in(keys_file: Path) -> None:
    async with through(KeyRing(keys_file)) as program:
        authorization = {"authorization": f"Bearer {KEY}"}
        assert (await program.get("/x", headers=authorization)).text == "inside as alice"
        wrong = await program.get("/x", headers={"authorization": "Bearer wl_other"})
        assert (wrong.status_code, wrong.text) == (401, "Incorrect API key provided.")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/theme.css"), ("POST", "/gradio_api/queue/join"), ("POST", "/gradio_api/upload"),
     ("GET", "/gradio_api/file=x"), ("HEAD", "/"), ("GET", "/login"), ("POST", "/logout")],
)  # fmt: skip
async def test_without_a_key_a_program_gets_nothing(
    keys_file: Path, method: str, path: str
) -> None:
    async with through(KeyRing(keys_file)) as program:
        answer = await program.request(method, path)
        assert answer.status_code == 401
        assert "inside" not in answer.text


async def test_a_browser_is_asked_and_its_cookie_is_no_key(keys_file: Path) -> None:
    async with through(KeyRing(keys_file)) as browser:
        asked = await browser.get("/", headers=BROWSER)
        assert asked.status_code == 401
        assert 'name="key"' in asked.text
        assert "script" not in asked.text
        entered = await browser.post("/login", data={"key": f" {KEY} "})
        assert entered.text == "inside as alice"
        (cookie,) = entered.history[0].headers.get_list("set-cookie")
        assert {"HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
        assert KEY not in cookie
        assert (await browser.get("/gradio_api/info")).text == "inside as alice"
        left = await browser.get("/logout", headers=BROWSER)
        assert left.status_code == 401
        token = cookie.partition("=")[2].partition(";")[0]
        browser.cookies.set(COOKIE, token)  # somebody kept it
        assert (await browser.get("/", headers=BROWSER)).status_code == 401


async def test_cookies_of_other_programs_do_not_end_a_session(keys_file: Path) -> None:
    async with through(KeyRing(keys_file)) as browser:
        await browser.post("/login", data={"key": KEY})
        token = browser.cookies[COOKIE]
        browser.cookies.clear()
        for other in ('state={"a": 1}', "a@b=1", "\u00e4=1", "alone"):
            cookies = f"{other}; {COOKIE}={token}".encode()
            headers = {b"accept": b"text/html", b"cookie": cookies}
            answer = await browser.get("/", headers=headers)
            assert answer.text == "inside as alice", other


@pytest.mark.parametrize(
    ("typed", "said"), [("", "Type your key."), ("wl_nobody", "Incorrect API key provided.")]
)
async def test_a_wrong_key_is_answered_by_the_form(keys_file: Path, typed: str, said: str) -> None:
    async with through(KeyRing(keys_file)) as browser:
        answer = await browser.post("/login", data={"key": typed}, headers=BROWSER)
        assert answer.status_code == 401
        assert said in answer.text
        assert "set-cookie" not in answer.headers


async def test_a_revoked_key_ends_its_sessions_and_its_successor_does_not_revive_them(
    keys_file: Path,
) -> None:
    ring = KeyRing(keys_file)
    async with through(ring) as browser:
        await browser.post("/login", data={"key": KEY})
        write(keys_file)
        add(keys_file, "alice", "wl_" + "n" * 43)
        ring.reload()
        refused = await browser.get("/", headers=BROWSER)
        assert refused.status_code == 401
        assert "Incorrect API key" in refused.text


async def test_an_expired_key_ends_its_sessions(keys_file: Path) -> None:
    ring = KeyRing(keys_file)
    async with through(ring) as browser:
        await browser.post("/login", data={"key": KEY})
        past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
        write(keys_file, stored("alice", KEY, expires=past))
        ring.reload()
        assert "expired" in (await browser.get("/", headers=BROWSER)).text


async def test_a_form_that_is_no_form_is_refused(keys_file: Path) -> None:
    async with through(KeyRing(keys_file)) as browser:
        assert (await browser.post("/login", content=b"x" * 5000)).status_code == 413
        assert (await browser.post("/login", content=b"\xff\x00&=&key")).status_code == 401
        browser.cookies.set(COOKIE, "no such session")
        assert (await browser.get("/", headers=BROWSER)).status_code == 401


async def test_behind_tls_the_cookie_goes_by_tls_only(keys_file: Path) -> None:
    async with through(KeyRing(keys_file)) as browser:
        proxied = {"x-forwarded-proto": "https"}
        entered = await browser.post(
            "/login", data={"key": KEY}, headers=proxied, follow_redirects=False
        )
        assert entered.status_code == 303
        assert "Secure" in entered.headers["set-cookie"].split("; ")


async def test_no_websocket_passes_without_a_way_to_show_a_key(keys_file: Path) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    door = Door(inside, KeyRing(keys_file), Sessions(), COOKIE)
    await door({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_the_oldest_sessions_make_room() -> None:
    sessions = Sessions()
    first = sessions.begin("digest")
    assert sessions.key(first) == "digest"
    for _ in range(door_module.MAX_SESSIONS):
        last = sessions.begin("digest")
    assert sessions.key(first) is None
    assert sessions.key(last) == "digest"
    assert last not in repr(vars(sessions))
