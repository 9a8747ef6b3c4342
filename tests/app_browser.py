"""Chromium on the page: opened with our flags, a recording as its microphone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)


@contextmanager
def open_page(
    base_url: str, microphone: Path | None = None, width: int = 1400, scheme: str = "light"
) -> Iterator[Any]:
    """Opens the page and gives playwright's; fails if anything but this machine was asked."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    flags = list(FLAGS)
    if microphone is not None:
        flags.append(f"--use-file-for-fake-audio-capture={microphone}")
    foreign: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        context = browser.new_context(
            viewport={"width": width, "height": 1000},
            color_scheme=scheme,
            permissions=["microphone"],
            accept_downloads=True,
        )
        page = context.new_page()

        def seen(request: Any) -> None:
            if not request.url.startswith((base_url, "data:", "blob:")):
                foreign.append(request.url)

        page.on("request", seen)
        page.goto(base_url)
        page.get_by_role("tab", name="Transcribe").wait_for(timeout=60_000)
        yield page
        browser.close()
    assert foreign == []
