"""A report too large for one file: which utterances stand where."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from html_page import Page
from hypothesis import given
from hypothesis import strategies as st

from whisperlab.experiment.result import RunResult
from whisperlab.metric.alignment import Edit, align
from whisperlab.report import html
from whisperlab.report.html import write_report
from whisperlab.report.paging import paged
from whisperlab.report.rows import embedded
from whisperlab.utterance import Failure, Outcome, State


def spoken(number: int, wrong: int) -> tuple[Outcome, tuple[Edit, ...]]:
    said = [f"w{place}" for place in range(10)]
    heard = ["x"] * wrong + said[wrong:]
    outcome = Outcome(f"u{number:03}", State.OK, " ".join(said), " ".join(heard))
    return outcome, align(said, heard)


def test_what_one_page_holds_stays_in_its_order() -> None:
    pairs = [spoken(number, number % 3) for number in range(9)]
    outcomes = [outcome for outcome, _ in pairs]
    assert paged(outcomes, {outcome.id: edits for outcome, edits in pairs}) == [outcomes]


def test_no_utterances_are_one_page() -> None:
    assert paged([], {}) == [[]]


@given(wrong=st.lists(st.integers(0, 10), min_size=1, max_size=40), room=st.integers(1, 8000))
def test_pages_hold_every_utterance_once_and_the_worst_come_first(
    wrong: list[int], room: int
) -> None:
    pairs = [spoken(number, errors) for number, errors in enumerate(wrong)]
    outcomes = [outcome for outcome, _ in pairs]
    pages = paged(outcomes, {outcome.id: edits for outcome, edits in pairs}, room)
    assert all(pages)
    order = [outcome.id for page in pages for outcome in page]
    assert sorted(order) == [outcome.id for outcome in outcomes]
    if len(pages) > 1:
        errors = {outcome.id: count for (outcome, _), count in zip(pairs, wrong, strict=True)}
        assert [errors[name] for name in order] == sorted(wrong, reverse=True)


def test_an_utterance_without_text_is_the_worst() -> None:
    lost = Outcome("z", State.FAILED, "a b", "", error=Failure("invalid_audio", "no header"))
    outcome, edits = spoken(1, 10)
    assert paged([outcome, lost], {outcome.id: edits}, 1) == [[lost], [outcome]]


def test_each_page_is_a_file_that_leads_to_the_others(
    result: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "paged", lambda outcomes, found: paged(outcomes, found, 2000))
    pairs = [spoken(number, number % 4) for number in range(12)]
    run = replace(result, folder=tmp_path, outcomes=tuple(outcome for outcome, _ in pairs))
    path = write_report(run, {outcome.id: edits for outcome, edits in pairs})
    files = sorted(file.name for file in tmp_path.iterdir())
    assert path.name == "report.html"
    assert files == ["report-2.html", "report-3.html", "report.html"]
    shown: list[object] = []
    for number, name in enumerate(["report.html", *files[:2]], start=1):
        page = Page((tmp_path / name).read_text())
        shown += [row["id"] for row in page.rows]
        links = {attributes["href"] for tag, attributes in page.elements if tag == "a"}
        others = {"report.html", *files[:2]} - {name}
        assert {f"{other}#utterances" for other in others} <= links
        assert ("summary" in page.text) == (number == 1)
    assert len(set(shown)) == len(shown) == 12


def test_several_pages_pack_their_rows_to_less_than_a_third_and_always_alike(
    result: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "paged", lambda outcomes, found: paged(outcomes, found, 400_000))
    chance = Random(0)
    words = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(1, 9))) for _ in range(5000)]
    outcomes, alignments = [], {}
    for number in range(800):
        said = chance.choices(words, k=20)
        heard = [word if chance.random() < 0.9 else chance.choice(words) for word in said]
        outcomes.append(Outcome(f"u{number:03}", State.OK, " ".join(said), " ".join(heard)))
        alignments[outcomes[-1].id] = align(said, heard)
    run = replace(result, folder=tmp_path, outcomes=tuple(outcomes))
    first = write_report(run, alignments).read_text()
    assert write_report(run, alignments).read_text() == first
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["report-2.html", "report.html"]
    packed = sum(len(Page(file.read_text()).scripts[0]) for file in files)
    assert packed < len(embedded(run.outcomes, alignments, {})) / 3


def test_pages_of_a_larger_report_do_not_outlive_it(
    result: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [spoken(number, 1) for number in range(12)]
    run = replace(result, folder=tmp_path, outcomes=tuple(outcome for outcome, _ in pairs))
    alignments = {outcome.id: edits for outcome, edits in pairs}
    monkeypatch.setattr(html, "paged", lambda outcomes, found: paged(outcomes, found, 2000))
    write_report(run, alignments)
    monkeypatch.setattr(html, "paged", paged)
    write_report(run, alignments)
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
