"""Takes the pictures of docs/app.md: a real page, each tab after its main action, in a real browser.

    PYTHONPATH=.:tests python docs/generate/app_screenshots.py

Needs Chromium and the extras ``dev`` and ``baseline``. The pictures have few colours, so that each stays below
150 kB.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
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
from PIL import Image
from serve_process import running_server

from whisperlab.audio import SAMPLE_RATE_HZ, decode

FOLDER = Path(__file__).parents[1] / "images"
DEMO = Path(__file__).parents[2] / "whisperlab" / "dataset" / "demo"
CARD_RATE_HZ = 48_000
WIDE, NARROW = 1200, 400
COLOURS = 96


def picture(page: Any, name: str) -> None:
    """Writes what the page shows, without the empty rest of it."""
    page.mouse.move(0, 0)
    page.wait_for_timeout(300)
    height = page.evaluate("document.querySelector('main').getBoundingClientRect().bottom")
    width = page.viewport_size["width"]
    taken = page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": width, "height": height})
    small = Image.open(io.BytesIO(taken)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    path = FOLDER / f"app-{name}.png"
    small.save(path, optimize=True)


def microphone(path: Path) -> Path:
    """Writes digits with pauses, to be spoken into the page."""
    pause = np.zeros(SAMPLE_RATE_HZ, dtype=np.float32)
    parts = [pause]
    for name in ("digits-03.flac", "digits-02.flac", "digits-05.flac"):
        parts += [decode(DEMO / name).samples, pause]
    soundfile.write(path, np.repeat(np.concatenate(parts), 3), CARD_RATE_HZ, "PCM_16")
    return path


def speak(page: Any) -> None:
    """Records until some words are settled and others are not."""
    panel = show_tab(page, "Live")
    press(panel, "Record")
    panel.locator(".wl-settled").filter(has_text=" ").first.wait_for()
    panel.locator(".wl-partial").filter(has_text="e").first.wait_for()
    picture(page, "live")
    press(panel, "Stop")


def evaluate(page: Any) -> None:
    """Evaluates both configurations, so that there are two runs."""
    panel = show_tab(page, "Evaluate")
    panel.get_by_label("Utterances, drawn at random").fill("12")
    panel.get_by_label("Configurations", exact=True).click()
    page.get_by_role("option", name="baseline", exact=True).click()
    page.keyboard.press("Escape")
    press(panel, "Evaluate")
    panel.get_by_text("utterances, ").first.wait_for()
    panel.get_by_text("Done.", exact=True).wait_for()


def runs(page: Any) -> None:
    """Compares the two runs."""
    panel = show_tab(page, "Runs")
    panel.get_by_role("gridcell").filter(has_text="-default-").first.click()
    panel.get_by_label("Against the run").click()
    page.get_by_role("option").filter(has_text="-baseline-").first.click()
    press(panel, "Compare")
    panel.get_by_text("Open the comparison").wait_for()


def main() -> None:
    """Takes all pictures."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        overrides = ("serve.presets=[baseline]", f"app.runs_dir={place / 'runs'}")
        with (
            running_server(place, *overrides, module="whisperlab.app") as app,
            open_browser(microphone(place / "speech.wav")) as browser,
        ):
            with open_page(browser, app.base_url, width=WIDE) as page:
                transcribe_example(page)
                picture(page, "transcribe")
                compare(page, DEMO / "digits-02.flac", "five six")
                picture(page, "compare")
                preprocess(page, DEMO / "digits-02.flac")
                picture(page, "preprocess")
                speak(page)
                evaluate(page)
                picture(page, "evaluate")
                runs(page)
                picture(page, "runs")
            with open_page(browser, app.base_url, width=NARROW, scheme="dark") as page:
                compare(page, DEMO / "digits-02.flac", "five six")
                picture(page, "telephone")


if __name__ == "__main__":
    main()
