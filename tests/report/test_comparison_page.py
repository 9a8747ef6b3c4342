"""The comparison's page as a browser reads it: every number, every row, nothing hostile."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from compared_runs import outcome, run, wrong
from html_page import HOSTILE, Page
from rich.console import Console

import whisperlab.report.comparison_rows
from whisperlab.experiment.comparison import Comparison, compare
from whisperlab.experiment.pairing import Choices
from whisperlab.metric.wer import WordErrorRate
from whisperlab.normalize.profile import Profile
from whisperlab.normalize.whisper_basic import WhisperBasic
from whisperlab.report.clips import Clips
from whisperlab.report.comparison import page, write_comparison
from whisperlab.report.comparison_table import comparison_tables
from whisperlab.transcript import Segment

BASIC = Profile(name="basic", version="1", steps=(WhisperBasic(),))
SILENT = Clips({}, "no audio, as asked")


def compared(*runs: Any, **choices: Any) -> Comparison:
    return compare(runs, BASIC, [WordErrorRate()], Choices(resamples=1000, **choices))


FIRST = run(
    *[outcome(f"u{n:02}", wrong(n % 2), speaker="ab"[n % 2]) for n in range(60)], name="tiny"
)
SECOND = run(
    *[outcome(f"u{n:02}", wrong(n % 2 + (n < 12) * 3), speaker="ab"[n % 2]) for n in range(59)],
    outcome("u59", wrong(0), speaker="b"),
    name="base",
)


def test_the_difference_stands_first_with_its_interval_tests_and_shares() -> None:
    shown = Page(page(compared(FIRST, SECOND), SILENT))
    text = shown.text["difference"]
    # 12 utterances gain 3 errors, one loses one: 35 of 600 words
    for part in (
        "Word error rate: B minus A|+5.83| points|",
        "B has a WER 5.83 points higher than A, significantly: 95 % interval +",
        ", p 0.00",
        "paired bootstrap over 60 utterances|",
        "12 worse (20.00 %)|47 same (78.33 %)|1 better (1.67 %)|",
        "A tiny|WER|5.00 %|",
        "B base|WER|10.83 %|",
    ):
        assert part in text
    assert "A tiny vs B base" in shown.text["head"]


def test_without_a_difference_the_page_says_what_could_have_been_seen() -> None:
    other = run(
        *[replace(o, text=wrong(1 - n % 2)) for n, o in enumerate(FIRST.outcomes)], name="b"
    )
    text = Page(page(compared(FIRST, other), SILENT)).text["difference"]
    assert "No difference in WER between B and A is shown: 95 % interval −" in text
    assert "On these 60 utterances a difference of " in text


def test_equal_runs_are_called_equal() -> None:
    text = Page(page(compared(FIRST, FIRST), SILENT)).text["difference"]
    assert "B has as many errors as A in every utterance." in text


def test_slices_stand_worst_first_with_interval_and_p() -> None:
    text = Page(page(compared(FIRST, SECOND), SILENT)).text["slices"]
    # a: 6 x 3 of 300 words; b: 6 x 3 - 1
    assert text.index("a|0.00 %|6.00 %|+6.00|") < text.index("b|10.00 %|15.67 %|+5.67|")


def test_settings_that_differ_name_equal_recognisers() -> None:
    runs = [
        run(
            *FIRST.outcomes,
            name="tiny",
            config={"quantization": {"name": name}, "engine": {"_target_": "x.hf.Hf"}},
        )
        for name in ("none", "bnb_int8")
    ]
    shown = Page(page(compared(*runs), SILENT))
    assert "A quantization=none vs B quantization=bnb_int8" in shown.text["head"]
    assert "|A|B|quantization|none|bnb_int8|" in shown.text["settings"]


def test_lost_utterances_stand_beside_the_difference() -> None:
    lost = run(*SECOND.outcomes[:-1], outcome("u59", None, speaker="b"), name="base")
    shown = Page(page(compared(FIRST, lost), SILENT))
    assert "B has no text for 1 utterance that A transcribed" in shown.text["difference"]
    assert "59 utterances compared" in shown.text["head"]
    assert "1 without text in a run" in shown.text["head"]
    assert "no text|u59|" in shown.text["runs"]


def test_rows_carry_all_lines_word_by_word_with_times() -> None:
    spoken = replace(
        outcome("a", "the cat sat", said="A cat sat."), segments=(Segment(0.0, 1.1, "the cat sat"),)
    )
    other = outcome("a", "a cat sat down", said="A cat sat.")
    comparison = compared(run(spoken, name="x"), run(other, name="y"))
    (row,) = Page(page(comparison, Clips({"a": "../a.flac"}, "linked"))).rows
    assert row["aligned"] == [
        ["a", ["the", 1], 0.0],
        ["cat", [1, 1], 0.4],
        ["sat", [1, 1], 0.8],
        ["", ["", "down"], 1.43],
    ]
    assert (row["clip"], row["errors"], row["words"]) == ("../a.flac", [1, 1], 3)
    assert (row["reference"], row["texts"]) == ("A cat sat.", ["the cat sat", "a cat sat down"])


def test_three_runs_stand_in_one_row_and_in_tie_groups() -> None:
    shown = Page(page(compared(FIRST, SECOND, FIRST), SILENT))
    assert json.loads(shown.scripts[0])["labels"] == ["A", "B", "C"]
    assert all(len(row["errors"]) == 3 for row in shown.rows)
    assert "A = C < B" in shown.text["difference"]


def test_a_large_comparison_shows_what_differs_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whisperlab.report.comparison_rows, "MOST_ROWS", 13)
    found = Page(page(compared(FIRST, SECOND), SILENT)).rows
    assert [row["id"] for row in found] == [f"u{n:02}" for n in range(12)] + ["u59"]


def test_hostile_text_adds_no_element() -> None:
    first, second = (
        run(
            *[
                replace(
                    outcome(f"{HOSTILE}{n}", f"{HOSTILE} {other}", said=HOSTILE),
                    slices={HOSTILE: f"{HOSTILE}{n % 2}"},
                )
                for n in range(4)
            ],
            name=HOSTILE,
            config={HOSTILE: other},
        )
        for other in ("x", "y")
    )
    shown = Page(page(compared(first, second), Clips({f"{HOSTILE}0": HOSTILE}, HOSTILE)))
    assert "img" not in {tag for tag, _ in shown.elements}
    assert len(shown.scripts) == 3  # the data, what both pages share, and the page's own
    assert not any(name.startswith("on") for _, attributes in shown.elements for name in attributes)
    assert shown.rows[0]["texts"] == [f"{HOSTILE} x", f"{HOSTILE} y"]


def test_nothing_is_loaded_but_the_recordings_beside_the_page() -> None:
    shown = Page(page(compared(FIRST, SECOND), SILENT))
    (policy,) = [
        attributes["content"]
        for tag, attributes in shown.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert policy.endswith("media-src file: data:")
    assert {"link", "iframe", "img", "object", "base"}.isdisjoint({t for t, _ in shown.elements})


def test_the_page_is_written_with_its_figures_and_nothing_else(tmp_path: Path) -> None:
    written = write_comparison(compared(FIRST, SECOND), tmp_path, SILENT)
    assert {path.name for path in tmp_path.iterdir()} == {"comparison.html", "comparison.json"}
    assert written == tmp_path / "comparison.html"


def test_the_terminal_says_the_same() -> None:
    console = Console(width=120, color_system=None)
    with console.capture() as captured:
        for table in comparison_tables(compared(FIRST, SECOND, worst=3)):
            console.print(table)
    lines = [" ".join(line.split()) for line in captured.get().splitlines()]
    assert any(line.startswith("A tiny 5.00 %") for line in lines)
    assert any(line.startswith("B has a WER 5.83 points higher than A") for line in lines)
    assert "utterances: 12 worse (20.00 %), 47 same (78.33 %), 1 better (1.67 %)" in lines
    assert any(line.startswith("MAPSSWE: Z ") for line in lines)
    assert [line for line in lines if line.startswith("u0")] == [
        "u00 0 3 10",
        "u01 1 4 10",
        "u02 0 3 10",
    ]
    assert any(line.startswith("speaker=a 0.00 % 6.00 % +6.00") for line in lines)
