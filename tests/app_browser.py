"""Chromium on the page: opened with our flags, a recording as its microphone, each tab's main action."""

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
PATIENCE_MS = 180_000


@contextmanager
def open_browser(microphone: Path | None = None) -> Iterator[Any]:
    """Gives playwright's browser."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    flags = list(FLAGS)
    if microphone is not None:
        flags.append(f"--use-file-for-fake-audio-capture={microphone}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        browser.close()


@contextmanager
def open_page(
    browser: Any, base_url: str, width: int = 1400, scheme: str = "light"
) -> Iterator[Any]:
    """Opens the page in a session of its own; fails if anything but this machine was asked."""
    context = browser.new_context(
        viewport={"width": width, "height": 1000},
        color_scheme=scheme,
        permissions=["microphone", "clipboard-read"],
        accept_downloads=True,
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    foreign: list[str] = []

    def seen(request: Any) -> None:
        if not request.url.startswith((base_url, "data:", "blob:")):
            foreign.append(request.url)

    page.on("request", seen)
    page.goto(base_url)
    page.get_by_role("tab", name="Transcribe").wait_for()
    yield page
    context.close()
    assert foreign == []


def show_tab(page: Any, name: str) -> Any:
    """Chooses a tab and returns its panel."""
    page.get_by_role("tab", name=name, exact=True).click()
    panel = page.locator(f"#{name.lower()}")
    panel.wait_for()
    return panel


def give_sound(panel: Any, path: Path) -> None:
    """Uploads a file as a tab's sound."""
    panel.locator("input[type=file]").first.set_input_files(str(path))
    panel.get_by_role("button", name="Clear").first.wait_for()


def press(panel: Any, name: str) -> None:
    panel.get_by_role("button", name=name, exact=True).click()


def transcribe_example(page: Any) -> Any:
    """Takes the second example and returns the panel with its transcript."""
    panel = show_tab(page, "Transcribe")
    panel.get_by_text("digits-02.flac").first.click()
    panel.get_by_role("button", name="Clear").first.wait_for()
    press(panel, "Transcribe")
    panel.get_by_text("1 segment,").wait_for()
    return panel


def compare(page: Any, path: Path, reference: str) -> Any:
    """Returns the panel with the comparison of the first two configurations."""
    panel = show_tab(page, "Compare")
    give_sound(panel, path)
    panel.get_by_label("What was said (optional)").fill(reference)
    press(panel, "Compare")
    panel.get_by_text("Done.", exact=True).wait_for()
    return panel


def preprocess(page: Any, path: Path) -> Any:
    """Returns the panel with the first chain's steps."""
    panel = show_tab(page, "Preprocess")
    give_sound(panel, path)
    press(panel, "Show")
    panel.get_by_text("Done.", exact=True).wait_for()
    return panel
