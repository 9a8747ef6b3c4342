"""Every tab for people who cannot see it well or use no mouse, or have a telephone: axe finds nothing,
Tab reaches all, nothing lies beside the page. Each state is reached once and looked at in every width.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from app_browser import compare, open_browser, open_page, preprocess, press, show_tab
from app_calls import CLIP
from axe_findings import serious
from compared_runs import folder, outcome, wrong
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from serve_process import Running, running_server

pytestmark = pytest.mark.browser

TABS = ("Transcribe", "Live", "Compare", "Preprocess", "Evaluate", "Runs")

NO_SOUND = "Record or upload a sound first."
ERRORS = (
    ("Transcribe", "Transcribe", NO_SOUND),
    ("Live", "Record", "No microphone"),
    ("Compare", "Compare", NO_SOUND),
    ("Preprocess", "Show", NO_SOUND),
    ("Evaluate", "Evaluate", "Expected utterances to be a whole number"),
    ("Runs", "Compare", "Choose"),
)
"""A tab, the button that cannot do its work there, and what it says."""

NO_MICROPHONE = """() => {
  navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotFoundError'));
}"""

CONTROLS = """panel => {
  const named = one => one.getAttribute('aria-label') || one.labels?.[0]?.innerText.trim()
    || one.innerText?.trim() || one.title || one.querySelector('[aria-label]')?.ariaLabel || '';
  return [...panel.querySelectorAll('a[href], button, input, select, textarea, audio, [role=button]')]
    .filter(one => one.checkVisibility({visibilityProperty: true}) && !one.disabled && one.type !== 'file')
    .filter(one => one.tabIndex >= 0)
    .map((one, n) => { one.dataset.seen = `${n}`; return [`${n}`, named(one)]; });
}"""
"""Marks what a panel lets people use; returns its marks with names."""

WIDTHS = (400, 1400)
HEIGHT = 1000
BESIDE = "document.documentElement.scrollWidth - window.innerWidth"

SETTLING_MS = 400
"""Gradio's fading lasts 200."""

ATTEMPTS, ATTEMPT_MS = 3, 60_000

FOCUSED = "document.activeElement.dataset.seen ?? ''"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A page that needs no model, with two finished runs."""
    at = tmp_path_factory.mktemp("accessible")
    for name, errors in (("first", 1), ("second", 3)):
        heard = [outcome("a", wrong(errors)), outcome("b", wrong(0))]
        folder(at / "runs" / "sweep" / name, heard, "engine=replay", f"engine.default_text={name}")
    with running_server(
        at, "engine=replay", "engine.default_text=five two", f"app.runs_dir={at / 'runs'}",
        module="whisperlab.app",
    ) as running:  # fmt: skip
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as opened:
        yield opened


def filled(page: Any, tab: str) -> Any:
    """Returns a tab's panel after its main action."""
    panel = show_tab(page, tab)
    if tab == "Transcribe":
        panel.get_by_text("digits-02.flac").first.click()
        panel.get_by_role("button", name="Clear").first.wait_for()
        press(panel, "Transcribe")
        panel.get_by_text("s of sound in").wait_for()
    elif tab == "Compare":
        compare(page, CLIP, "five six")
    elif tab == "Preprocess":
        preprocess(page, CLIP)
    elif tab == "Runs":
        panel.get_by_role("gridcell").filter(has_text="second").first.click()
        panel.get_by_label("Against the run").click()
        page.get_by_role("option", name="sweep/first", exact=True).click()
        press(panel, "Compare")
        panel.get_by_text("Open the comparison").wait_for()
    return panel


def findings(page: Any) -> list[str]:
    """Returns what axe calls serious or worse in any width, and by how much a page is too wide.

    It waits until nothing is dimmed because it still loads.
    """
    for _ in range(100):
        page.wait_for_timeout(SETTLING_MS)
        if not page.locator(".pending").count():
            break
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        page.wait_for_timeout(SETTLING_MS)
        if (beside := page.evaluate(BESIDE)) > 0:
            found.append(f"{width}: {beside} pixels lie beside the page")
        found += [f"{width}: {one}" for one in serious(page)]
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_tab(app: Running, browser: Any, scheme: str) -> None:
    found: dict[str, list[str]] = {}
    with open_page(browser, app.base_url, scheme=scheme) as page:
        for tab in TABS:
            show_tab(page, tab)
            found[f"{tab}, empty"] = findings(page)
            filled(page, tab)
            found[f"{tab}, filled"] = findings(page)
        press(show_tab(page, "Runs"), "Show effects")
        page.get_by_text("Pareto front").wait_for()
        assert "engine.default_text=second" in page.locator(".wl-sweep").inner_text()
        found["Runs, effects"] = findings(page)
    assert {state: what for state, what in found.items() if what} == {}


def provoke(panel: Any, tab: str, button: str, sentence: str) -> None:
    """Does what the tab refuses; again where a page that still loaded took the click without the value."""
    alert = panel.get_by_role("alert").filter(has_text=sentence)
    for _ in range(ATTEMPTS):
        if tab == "Evaluate":
            panel.get_by_label("Utterances, drawn at random").fill("0")
        press(panel, button)
        with suppress(PlaywrightTimeout):
            alert.wait_for(timeout=ATTEMPT_MS)
            return
    raise AssertionError(f"{tab}: {button} did not say {sentence!r}: {panel.inner_text()}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_error_is_a_sentence_where_the_button_is_and_accessible(
    app: Running, browser: Any, scheme: str
) -> None:
    with open_page(browser, app.base_url, scheme=scheme) as page:
        page.evaluate(NO_MICROPHONE)
        for tab, button, sentence in ERRORS:
            panel = show_tab(page, tab)
            provoke(panel, tab, button, sentence)
            assert panel.locator(".error").locator("visible=true").count() == 0
            assert findings(page) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_every_control_has_a_name_and_is_reached_by_keyboard(
    app: Running, browser: Any, width: int
) -> None:
    with open_page(browser, app.base_url, width=width) as page:
        for tab in TABS:
            panel = filled(page, tab)
            controls = dict(panel.evaluate(CONTROLS))
            assert [mark for mark, name in controls.items() if not name] == []
            page.get_by_role("tab", name=tab, exact=True).focus()
            reached = set()
            for _ in range(4 * len(controls) + 20):
                page.keyboard.press("Tab")
                reached.add(page.evaluate(FOCUSED))
            missed = [name for mark, name in controls.items() if mark not in reached]
            assert missed == [], tab
