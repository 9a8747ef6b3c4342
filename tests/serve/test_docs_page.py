"""The page at /docs in a real browser: every route, narrow and wide, by keyboard, nothing from elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serve_process import Running, running_server

from whisperlab.serve.service import ROUTES

pytestmark = pytest.mark.browser

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("page")
    with running_server(folder, "engine=replay", "engine.default_text=hello") as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=chromium, args=FLAGS.split())
        yield opened
        opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_it_shows_every_route_without_sideways_scrolling(
    server: Running, browser: Any, width: int, scheme: str, tmp_path: Path
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{server.base_url}/docs")
    page.wait_for_selector("section h2")
    shown = set(page.locator("section h2 code").all_inner_texts())
    assert shown == {route.replace(":path", "") for route in ROUTES}
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert all(url.startswith((server.base_url, "data:")) for url in asked)
    assert said == []
    page.close()


def test_an_example_is_copied_by_keyboard_with_the_servers_address(
    server: Running, browser: Any
) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(f"{server.base_url}/docs")
    page.wait_for_selector("section h2")
    page.locator("#health .sample button").first.focus()
    page.keyboard.press("Enter")
    # Not wait_for_function: the page's policy forbids the eval with which it would wait.
    page.locator("#said", has_text="Copied").wait_for(state="attached")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"curl {server.base_url}/health"
    context.close()
