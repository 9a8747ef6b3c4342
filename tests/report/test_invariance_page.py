"""Invariance as a page and as Markdown: verdicts, both texts of what changed, nothing hostile."""

from __future__ import annotations

from compared_runs import SAID, outcome, run, wrong
from html_page import HOSTILE, Page

from whisperlab.experiment.invariance import Invariance, invariance
from whisperlab.experiment.pairing import Choices
from whisperlab.metric.wer import WordErrorRate
from whisperlab.normalize.profile import Profile
from whisperlab.normalize.whisper_basic import WhisperBasic
from whisperlab.report.invariance import conclusion, invariance_to_json, markdown, page

BASIC = Profile(name="basic", version="1", steps=(WhisperBasic(),))
TEXTS = {f"u{n:02}": wrong(n % 3) for n in range(20)}


def found(must: set[str], **changes: dict[str, str | None]) -> Invariance:
    runs = {
        name: run(*[outcome(id_, text) for id_, text in {**TEXTS, **changed}.items()], name=name)
        for name, changed in {"first": {}, **changes}.items()
    }
    return invariance(runs, must, BASIC, [WordErrorRate()], Choices(resamples=300))


def test_markdown_says_share_rate_difference_and_verdict() -> None:
    shown = found(
        {"batch_8"}, batch_8={"u00": wrong(9)}, shifted={"u03": f"{SAID} eleven"}, again={}
    )
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in markdown(shown).splitlines()
    ]
    assert rows[2] == ["first", "", "9.50 %", "", "baseline"]
    assert rows[3][:3] == ["batch_8", "1 of 20 (5.00 %)", "14.00 %"]
    assert rows[3][3].startswith("+4.50 [")
    assert rows[3][4] == "VIOLATED: must not change"
    assert rows[4][4] == "stable: no difference shown"
    assert rows[5][1:] == ["0 of 20 (0.00 %)", "9.50 %", "0.00 [0.00, 0.00]", "invariant"]
    assert "- batch_8: u00" in markdown(shown)


def test_the_conclusion_names_what_broke_or_what_held() -> None:
    broken = found({"batch_8"}, batch_8={"u00": wrong(9), "u01": None})
    assert conclusion(broken).startswith("Texts changed that must not: batch_8 (2 of 19).")
    assert conclusion(found({"batch_8"}, batch_8={})) == "No text changed that must not: batch_8."


def test_the_page_shows_both_texts_and_what_was_lost() -> None:
    shown = Page(page(found(set(), shifted={"u00": wrong(9), "u01": None})))
    changed = shown.text["changed"]
    assert f"u00|{SAID}|{SAID}|{wrong(9)}|0 → 9|" in changed
    assert "u01|no text in this run|" in changed
    assert "sensitive|" in shown.text["circumstances"]


def test_nothing_changed_needs_no_list() -> None:
    assert "changed" not in Page(page(found({"batch_8"}, batch_8={}))).text


def test_hostile_texts_stay_text() -> None:
    shown = found(set(), shifted={"u00": HOSTILE})
    assert not Page(page(shown)).scripts
    assert HOSTILE in Page(page(shown)).text["changed"]
    assert invariance_to_json(shown)["circumstances"][0]["changed"][0]["after"] == HOSTILE
