"""The report's own script in a real browser: it draws, sorts and filters, and hostile text stays text."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from app_browser import open_browser
from axe_findings import serious

from whisperlab.experiment.result import RunResult
from whisperlab.metric.alignment import Edit, align
from whisperlab.report import html
from whisperlab.report.html import write_report
from whisperlab.report.paging import paged
from whisperlab.utterance import Outcome, State

pytestmark = pytest.mark.browser

Dom = Callable[[Path, str], str]
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --virtual-time-budget=5000 --dump-dom"
)


@pytest.fixture
def dom(tmp_path_factory: pytest.TempPathFactory) -> Dom:
    """Opens a page at an address fragment and returns the document that its script made."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")

    def opened(path: Path, fragment: str) -> str:
        profile = tmp_path_factory.mktemp("chromium")
        return subprocess.run(
            [chromium, *FLAGS.split(), f"--user-data-dir={profile}", f"{path.as_uri()}{fragment}"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout

    return opened


def ids(document: str) -> list[str]:
    return re.findall(r'<article class="row[^"]*" data-id="([^"]*)"', document)


def test_rows_are_drawn_worst_first_with_their_alignment(
    dom: Dom, result: RunResult, alignments: Mapping[str, tuple[Edit, ...]]
) -> None:
    document = dom(write_report(result, alignments), "")
    assert ids(document) == ["b-1", "a-10", "a-9", "c-1"]
    assert "<small>the</small>a</span> cat sat <ins>down</ins>" in document
    assert "expected a RIFF header, got 4 zero bytes" in document[document.index("<article") :]
    assert "4 utterances</p>" in document


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ("#sort=id", ["a-9", "a-10", "b-1", "c-1"]),  # numbers in ids count as numbers
        ("#sort=id&reversed=1", ["c-1", "b-1", "a-10", "a-9"]),
        ("#sort=audio", ["c-1", "a-10", "a-9", "b-1"]),  # undefined last ...
        ("#sort=audio&reversed=1", ["a-9", "a-10", "c-1", "b-1"]),  # ... either way
        ("#sort=total", ["a-10", "a-9", "c-1", "b-1"]),
        ("#sort=wer", ["a-10", "a-9", "b-1", "c-1"]),
        ("#sort=state", ["b-1", "c-1", "a-9", "a-10"]),
        ("#state=empty", ["c-1"]),
        ("#slice=speaker%3Dp1&sort=id", ["a-10", "b-1"]),
        ("#q=MORNING", ["a-9"]),
        ("#q=riff", ["b-1"]),
        ("#q=nowhere", []),
    ],
)
def test_the_address_sorts_and_filters(
    dom: Dom,
    result: RunResult,
    alignments: Mapping[str, tuple[Edit, ...]],
    fragment: str,
    expected: list[str],
) -> None:
    assert ids(dom(write_report(result, alignments), fragment)) == expected


def test_a_large_run_draws_its_first_rows_and_not_all(dom: Dom, result: RunResult) -> None:
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    outcomes = tuple(
        Outcome(f"u{number}", State.OK, " ".join(words), "one two", audio_seconds=4.0)
        for number in range(5_000)
    )
    edits = align(words, words[:2])
    report = write_report(
        replace(result, outcomes=outcomes), {outcome.id: edits for outcome in outcomes}
    )
    document = dom(report, "#sort=id")
    assert "5,000 utterances</p>" in document
    assert ids(document)[:3] == ["u0", "u1", "u2"]
    assert 100 <= len(ids(document)) <= 500


def test_packed_rows_of_several_pages_are_drawn(
    dom: Dom, result: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "paged", lambda outcomes, found: paged(outcomes, found, 20_000))
    words = ["naïve", "नमस्ते", "</script>", "7"]
    outcomes = tuple(Outcome(f"u{number}", State.OK, " ".join(words), "7") for number in range(99))
    edits = align(words, words[3:])
    report = write_report(
        replace(result, outcomes=outcomes), {outcome.id: edits for outcome in outcomes}
    )
    shown = []
    for page in sorted(result.folder.glob("report*.html")):
        document = dom(page, "#sort=id&q=NA%C3%8FVE")
        shown += ids(document)
        assert "naïve नमस्ते &lt;/script&gt;</del> 7" in document
    assert sorted(shown) == sorted(outcome.id for outcome in outcomes)
    assert ids(dom(report, f"#id={ids(dom(report, ''))[2]}")) == [ids(dom(report, ""))[2]]


def test_hostile_text_stays_text(dom: Dom, result: RunResult) -> None:
    hostile = "<img src=x onerror=\"document.title='owned'\"></script><script>document.title='owned'</script>"
    outcome = Outcome(hostile, State.OK, hostile, hostile, slices={hostile: hostile})
    edits = (Edit("substitution", hostile, hostile), Edit("insertion", "", hostile))
    document = dom(write_report(replace(result, outcomes=(outcome,)), {hostile: edits}), "")
    assert "<title>owned" not in document
    assert "<img" not in document
    assert len(ids(document)) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_nothing_lies_beside_the_page(
    result: RunResult, alignments: Mapping[str, tuple[Edit, ...]], scheme: str
) -> None:
    long = Outcome("z-1", State.OK, "word", "word", slices={"corpus": "a-very-long-name-" * 4})
    longer = replace(result, outcomes=(*result.outcomes, long))
    path = write_report(longer, alignments)
    with open_browser() as browser:
        page = browser.new_page(color_scheme=scheme)
        page.goto(path.as_uri())
        for width in (400, 1400):
            page.set_viewport_size({"width": width, "height": 1000})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert serious(page) == [], width
