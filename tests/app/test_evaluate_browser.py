"""A person evaluates 40 real utterances with the baseline in a real browser and opens the report."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from serve_process import running_server

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
PATIENCE_MS = 600_000


@pytest.fixture
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS.split())
        yield browser
        browser.close()


def chosen(page: Page, label: str, value: str) -> None:
    field = page.get_by_label(label, exact=True).locator("visible=true")
    field.click()
    page.get_by_role("option", name=value, exact=True).click()


def test_an_evaluation_runs_and_its_report_opens(
    browser: Browser, tmp_path: Path, test_data: Path
) -> None:
    manifest = test_data / "english_dev" / "manifest.jsonl"
    overrides = [f"app.runs_dir={tmp_path / 'runs'}", f"app.manifests=[{manifest}]"]
    with running_server(tmp_path, *overrides, "preset=baseline", module="whisperlab.app") as app:
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(app.base_url)
        page.get_by_role("tab", name="Evaluate").click()
        chosen(page, "Dataset", "manifest.jsonl")
        page.get_by_role("button", name="Evaluate").click()
        link = page.get_by_role("link", name="Report of")
        link.wait_for(timeout=PATIENCE_MS)
        with page.context.expect_page() as opened:
            link.click()
        report = opened.value
        report.get_by_text("40 utterances").first.wait_for()
        assert "Word error rate" in report.inner_text("body")
        local = (app.base_url, "data:", "blob:")
        assert [url for url in asked if not url.startswith(local)] == []
