"""The comparison's script in a real browser: it draws, filters, plays at the word, obeys the keyboard."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from axe_findings import serious
from compared_runs import SAID, outcome, run, wrong
from html_page import HOSTILE
from playwright.sync_api import Browser, Page, sync_playwright

from whisperlab.experiment.comparison import compare
from whisperlab.experiment.pairing import Choices
from whisperlab.metric.wer import WordErrorRate
from whisperlab.normalize.profile import Profile
from whisperlab.normalize.whisper_basic import WhisperBasic
from whisperlab.report.clips import Placement, clips
from whisperlab.report.comparison import write_comparison

pytestmark = pytest.mark.browser

FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --autoplay-policy=no-user-gesture-required"
)
BASIC = Profile(name="basic", version="1", steps=(WhisperBasic(),))
LONG = " ".join(["word"] * 20)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture
def browser_page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


def written(folder: Path, placement: Placement) -> Path:
    """Utterances: a better, b worse, c the same with a deletion, d the same and right, long."""
    first = run(
        outcome("a-2", wrong(2)),
        outcome("b-10", wrong(0), speaker="bert"),
        outcome("c-1", SAID.removesuffix(" ten")),
        outcome("d-1", LONG, said=LONG, speaker="bert"),
        name="tiny",
    )
    second = run(
        outcome("a-2", wrong(1)),
        outcome("b-10", f"uh {wrong(3)}", speaker="bert"),
        outcome("c-1", SAID.removesuffix(" ten")),
        outcome("d-1", LONG, said=LONG, speaker="bert"),
        name="base",
    )
    tone = 0.2 * np.sin(2 * np.pi * 300 * np.arange(32_000) / 16_000)
    sources: dict[str, Path | bytes] = {}
    for id_ in ("a-2", "b-10", "c-1"):
        sources[id_] = folder / f"{id_} ü.flac"
        soundfile.write(sources[id_], tone.astype(np.float32), 16_000)
    (folder / "page").mkdir()
    comparison = compare([first, second], BASIC, [WordErrorRate()], Choices(resamples=200))
    sounds = clips(sources, 6.0, folder / "page", placement)
    return write_comparison(comparison, folder / "page", sounds)


def opened(page: Page, path: Path, fragment: str = "") -> list[str]:
    """Opens the page at a fragment; returns what its console says."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"{path.as_uri()}{fragment}")
    page.wait_for_selector("#shown:not(:empty)")
    return said


def ids(page: Page) -> list[str]:
    return [str(row.get_attribute("data-id")) for row in page.query_selector_all("#rows article")]


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ("", ["b-10", "a-2", "c-1", "d-1"]),
        ("#sort=errors", ["b-10", "a-2", "c-1", "d-1"]),
        ("#sort=id", ["a-2", "b-10", "c-1", "d-1"]),
        ("#sort=length", ["d-1", "a-2", "b-10", "c-1"]),
        ("#change=B%3Aworse", ["b-10"]),
        ("#change=B%3Abetter", ["a-2"]),
        ("#change=B%3Asame", ["c-1", "d-1"]),
        ("#kind=del", ["c-1"]),
        ("#kind=ins", ["b-10"]),
        ("#kind=sub&sort=id", ["a-2", "b-10"]),
        ("#kind=none", ["d-1"]),
        ("#length=16-30", ["d-1"]),
        ("#length=6-15&slice=speaker%3Dbert", ["b-10"]),
        ("#q=UH%20x", ["b-10"]),
        ("#q=nowhere", []),
    ],
)
def test_the_address_sorts_and_filters(
    browser_page: Page, tmp_path: Path, fragment: str, expected: list[str]
) -> None:
    assert opened(browser_page, written(tmp_path, "none"), fragment) == []
    assert ids(browser_page) == expected


def test_controls_and_shares_filter_and_move_the_address(
    browser_page: Page, tmp_path: Path
) -> None:
    opened(browser_page, written(tmp_path, "none"))
    browser_page.get_by_label("Kind of error").select_option("with a deletion")
    assert ids(browser_page) == ["c-1"]
    assert browser_page.url.endswith("#kind=del")
    browser_page.get_by_label("Kind of error").select_option("all errors")
    browser_page.get_by_role("button", name="1 worse").click()
    assert ids(browser_page) == ["b-10"]
    assert browser_page.inner_text("#shown") == "1 of 4 utterances"


def test_lines_stand_word_under_word_and_errors_differ_in_shape(
    browser_page: Page, tmp_path: Path
) -> None:
    opened(browser_page, written(tmp_path, "none"), "#q=b-10")
    cells = [
        column.inner_text().split("\n")
        for column in browser_page.query_selector_all("#rows .column")
    ]
    assert cells[0] == ["said", "A", "B"]
    assert [part.strip() for part in cells[1]] == ["", "", "uh"]
    assert [part.strip() for part in cells[2]] == ["one", "one", "x"]
    decorations = browser_page.evaluate(
        "[...document.querySelectorAll('.legend .word')].map(n => getComputedStyle(n).textDecorationLine + getComputedStyle(n).borderBottomStyle)"
    )
    assert len(set(decorations)) == 3


@pytest.mark.parametrize("placement", ["link", "embed"])
def test_a_word_plays_the_recording_from_there(
    browser_page: Page, tmp_path: Path, placement: Placement
) -> None:
    page = browser_page
    said = opened(page, written(tmp_path, placement), "#q=a-2")
    # two seconds of audio, ten words of 48 characters: "six" is character 24 + 0 of the text
    page.get_by_role("button", name="six", exact=True).click()
    sounding = page.wait_for_selector(".column.now")
    assert sounding is not None
    assert sounding.get_attribute("aria-label") in ("six", "seven")
    page.get_by_role("button", name="■ stop").click()
    assert page.query_selector(".column.now") is None
    assert said == []


def test_the_keyboard_reaches_every_word_with_one_tab_stop(
    browser_page: Page, tmp_path: Path
) -> None:
    page = browser_page
    opened(page, written(tmp_path, "embed"), "#q=a-2")
    stops = page.evaluate(
        "[...document.querySelectorAll('#rows button.column')].filter(n => n.tabIndex === 0).length"
    )
    assert stops == 1
    page.focus("#rows button.column")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert focused == "four"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert focused == "two, A heard x"
    page.keyboard.press("Enter")
    page.wait_for_selector("text=■ stop")


def test_a_recording_that_is_gone_is_said_and_not_silent(
    browser_page: Page, tmp_path: Path
) -> None:
    path = written(tmp_path, "link")
    (tmp_path / "a-2 ü.flac").unlink()
    opened(browser_page, path, "#q=a-2")
    browser_page.get_by_role("button", name="▶ play").click()
    browser_page.wait_for_selector("text=cannot be played")


@pytest.mark.parametrize("width", [400, 700, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_runs_out_of_the_window_and_text_can_be_read(
    browser_page: Page, tmp_path: Path, width: int, scheme: str
) -> None:
    page = browser_page
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    opened(page, written(tmp_path, "none"))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert serious(page) == []
    # WCAG 2.2, 1.4.3: 4.5 to 1
    assert page.evaluate(CONTRAST) >= 4.5


CONTRAST = """() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!colour.endsWith(", 0)")) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  return Math.min(...[...document.querySelectorAll(
    "h1, h2, h3, .detail, .value, td, th, .word, .as-said, .column b, .meta span, .rate small, button")]
    .filter((node) => node.textContent.trim() && node.getClientRects().length).map((node) => {
      const [x, y] = [light(getComputedStyle(node).color), light(ground(node))].sort((a, b) => b - a);
      return (x + 0.05) / (y + 0.05);
    }));
}"""


def test_hostile_text_stays_text(browser_page: Page, tmp_path: Path) -> None:
    hostile = f"{HOSTILE} <img src=x onerror=\"document.title='owned'\">"
    runs = [
        run(outcome(hostile, f"{hostile} {text}", said=hostile, speaker=hostile), name=hostile)
        for text in ("x", "y")
    ]
    comparison = compare(runs, BASIC, [WordErrorRate()], Choices(resamples=10))
    opened(browser_page, write_comparison(comparison, tmp_path, clips({}, 0, tmp_path, "none")))
    assert ids(browser_page) == [hostile]
    browser_page.click("summary:has-text('raw texts')")
    assert browser_page.title() != "owned"
    assert browser_page.query_selector("img") is None
