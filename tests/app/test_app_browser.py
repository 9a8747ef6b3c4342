"""The page in a real browser: each tab's main action, the microphone fed with a real recording."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from app_browser import open_page
from serve_process import Running, running_server

from whisperlab.audio import SAMPLE_RATE_HZ, decode

pytestmark = pytest.mark.browser

DEMO = Path(__file__).parents[2] / "whisperlab" / "dataset" / "demo"
PATIENCE_MS = 60_000


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


def test_an_example_is_transcribed_a_segment_seeks_and_a_correction_is_kept(app: Running) -> None:
    with open_page(app.base_url) as page:
        page.get_by_text("digits-01.flac").first.click()
        page.get_by_test_id("waveform-Sound").first.wait_for(timeout=PATIENCE_MS)
        page.get_by_role("button", name="Transcribe", exact=True).click()
        place = page.locator(".wl-place").first
        place.wait_for(timeout=PATIENCE_MS)
        page.get_by_text("1 segments").wait_for(timeout=PATIENCE_MS)
        place.evaluate("place => { place.dataset.start = '0.4'; place.click(); }")
        page.wait_for_function(
            "() => document.querySelector('.wl-player audio').currentTime >= 0.4",
            timeout=PATIENCE_MS,
        )
        text = page.get_by_label("Text", exact=True)
        assert text.input_value().split()
        cell = page.locator("[role=gridcell], td").filter(has_text=text.input_value()).last
        cell.dblclick()
        page.keyboard.press("Control+A")
        page.keyboard.type("corrected words")
        page.keyboard.press("Enter")
        page.wait_for_function(
            "() => [...document.querySelectorAll('textarea')]"
            ".some(area => area.value === 'corrected words')",
            timeout=PATIENCE_MS,
        )
        page.get_by_role("button", name="Prepare download").click()
        link = page.locator("a[download]", has_text="transcript").or_(
            page.locator("a[href*='transcript.txt']")
        )
        link.first.wait_for(timeout=PATIENCE_MS)
        with page.expect_download() as started:
            link.first.click()
        assert Path(started.value.path()).read_text() == "corrected words\n"


def test_words_settle_while_the_microphone_is_open(app: Running, microphone: Path) -> None:
    with open_page(app.base_url, microphone) as page:
        page.get_by_role("tab", name="Live").click()
        page.get_by_role("button", name="Record").first.click()
        page.locator(".wl-settled").filter(has_text="e").wait_for(timeout=PATIENCE_MS)
        settled = page.locator(".wl-settled").inner_text()
        page.wait_for_timeout(2_000)
        assert page.locator(".wl-settled").inner_text().startswith(settled)
        page.get_by_role("button", name="Stop").first.click()
        final = page.get_by_label("The whole recording")
        page.get_by_text("s recorded.").wait_for(timeout=PATIENCE_MS)
        page.wait_for_function(
            "area => area.value !== ''", arg=final.element_handle(), timeout=PATIENCE_MS
        )


def test_two_configurations_are_compared_word_by_word(app: Running) -> None:
    with open_page(app.base_url) as page:
        page.get_by_role("tab", name="Compare").click()
        page.locator("input[type=file]:visible, input[type=file]").nth(1).set_input_files(
            str(DEMO / "digits-01.flac")
        )
        page.get_by_label("What was said (optional)").fill("one two")
        page.get_by_test_id("waveform-Sound").first.wait_for(timeout=PATIENCE_MS)
        page.get_by_role("button", name="Compare", exact=True).click()
        page.locator(".wl-card").nth(1).wait_for(timeout=PATIENCE_MS)
        assert page.get_by_text("WER").count() >= 2


def test_each_step_is_shown_and_the_page_fits_a_telephone(app: Running) -> None:
    with open_page(app.base_url, width=400, scheme="dark") as page:
        page.get_by_role("tab", name="Preprocess").or_(page.get_by_text("Preprocess")).first.click()
        page.locator("input[type=file]").last.set_input_files(str(DEMO / "digits-01.flac"))
        page.get_by_test_id("waveform-Sound").first.wait_for(timeout=PATIENCE_MS)
        page.get_by_role("button", name="Show", exact=True).click()
        page.get_by_text("The transcript").wait_for(timeout=PATIENCE_MS)
        assert page.locator(".wl-spectrum").count() == 3
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
