"""The page in a real browser: each tab's main action, the microphone fed with a real recording."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from app_browser import (
    compare,
    open_browser,
    open_page,
    preprocess,
    press,
    show_tab,
    transcribe_example,
)
from compared_runs import folder, outcome, wrong
from serve_process import Running, running_server

from whisperlab.audio import SAMPLE_RATE_HZ, decode

pytestmark = pytest.mark.browser

DEMO = Path(__file__).parents[2] / "whisperlab" / "dataset" / "demo"
TEXT = "five two"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("app")
    with running_server(
        folder,
        "serve.presets=[baseline]",
        f"app.runs_dir={folder / 'runs'}",
        module="whisperlab.app",
    ) as running:
        yield running


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory, test_data: Path) -> Path:
    """Three real digit strings with pauses, at the rate of a sound card."""
    folder = test_data / "fsdd"
    rows = [json.loads(line) for line in (folder / "test_strings.jsonl").read_text().splitlines()]
    pause = np.zeros(SAMPLE_RATE_HZ, dtype=np.float32)
    parts = [pause]
    for row in [row for row in rows if row["kind"] == "short"][:3]:
        parts += [decode(folder / row["audio_filepath"]).samples, pause]
    path = tmp_path_factory.mktemp("microphone") / "speech.wav"
    soundfile.write(path, np.repeat(np.concatenate(parts), 3), 3 * SAMPLE_RATE_HZ, "PCM_16")
    return path


@pytest.fixture(scope="module")
def browser(microphone: Path) -> Iterator[Any]:
    with open_browser(microphone) as opened:
        yield opened


def test_an_example_is_transcribed_a_segment_seeks_and_a_correction_is_kept(
    app: Running, browser: Any
) -> None:
    with open_page(browser, app.base_url) as page:
        panel = transcribe_example(page)
        text = panel.get_by_label("Text", exact=True)
        assert text.input_value() == TEXT
        place = panel.locator(".wl-place")
        place.evaluate("place => { place.dataset.start = '0.4'; place.click(); }")
        page.wait_for_function("document.querySelector('.wl-player audio').currentTime >= 0.4")
        cell = panel.get_by_role("gridcell").filter(has_text=TEXT)
        cell.dblclick()
        page.keyboard.press("Control+A")
        page.keyboard.type("corrected words")
        page.keyboard.press("Enter")
        page.wait_for_function(
            "area => area.value === 'corrected words'", arg=text.element_handle()
        )
        with page.expect_download() as started:
            press(panel, "Save transcript")
        assert started.value.suggested_filename == "transcript.txt"
        assert Path(started.value.path()).read_text() == "corrected words\n"
        press(panel, "Copy the text")
        page.wait_for_function(
            "async () => await navigator.clipboard.readText() === 'corrected words'"
        )


def test_words_settle_while_the_microphone_is_open(app: Running, browser: Any) -> None:
    with open_page(browser, app.base_url) as page:
        panel = show_tab(page, "Live")
        press(panel, "Record")
        settled = panel.locator(".wl-settled")
        settled.filter(has_text="one four six zero zero").wait_for()
        before = settled.inner_text()
        page.wait_for_timeout(2_000)
        assert settled.inner_text().startswith(before)
        press(panel, "Stop")
        panel.get_by_text("s recorded.").filter(has_not_text="first").wait_for()
        final = panel.get_by_label("The whole recording")
        assert final.input_value().startswith("one four six zero zero")


def test_a_record_pressed_twice_opens_one_microphone_and_stop_closes_it(
    app: Running, browser: Any
) -> None:
    with open_page(browser, app.base_url) as page:
        page.evaluate("""() => {
            window.streams = [];
            const media = navigator.mediaDevices, open = media.getUserMedia.bind(media);
            media.getUserMedia = async wanted => {
                await new Promise(resolve => setTimeout(resolve, 300)); // a person is asked
                const stream = await open(wanted);
                window.streams.push(stream);
                return stream;
            };
        }""")
        panel = show_tab(page, "Live")
        panel.get_by_role("button", name="Record", exact=True).dblclick()
        press(panel, "Stop")
        panel.get_by_role("button", name="Record", exact=True).wait_for()
        tracks = page.evaluate("streams.map(stream => stream.getTracks()[0].readyState)")
        assert tracks == ["ended"]


def test_two_configurations_are_compared_word_by_word(app: Running, browser: Any) -> None:
    with open_page(browser, app.base_url) as page:
        panel = compare(page, DEMO / "digits-02.flac", "five six")
        cards = panel.locator(".wl-card")
        assert cards.locator("h2").all_inner_texts() == ["default", "baseline"]
        first = cards.first
        assert "WER 50.0 %" in first.inner_text()
        assert (first.locator("del").inner_text(), first.locator("ins").inner_text()) == (
            "six",
            "two",
        )


def test_each_step_is_shown_and_the_page_fits_a_telephone(app: Running, browser: Any) -> None:
    with open_page(browser, app.base_url, width=400, scheme="dark") as page:
        tabs = page.get_by_role("tab").all()
        assert all(tab.is_visible() for tab in tabs)
        panel = preprocess(page, DEMO / "digits-02.flac")
        assert panel.locator(".wl-spectrum").count() == 3
        assert "five two" in panel.locator(".wl-words").first.inner_text()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_runs_error_rate_and_speed_are_seen_on_a_telephone(app: Running, browser: Any) -> None:
    folder(app.log.parent / "runs" / "measured", [outcome("a", wrong(1))])
    with open_page(browser, app.base_url, width=400) as page:
        panel = show_tab(page, "Runs")
        panel.get_by_role("gridcell").filter(has_text="measured").first.wait_for()
        table = panel.locator(".wl-runs").bounding_box()
        for heading in ("name", "wer", "rtfx"):
            box = panel.get_by_role("columnheader", name=heading, exact=True).first.bounding_box()
            assert box["width"] > 40
            assert box["x"] + box["width"] <= table["x"] + table["width"], heading
