"""The failures on the page and in the terminal: what stands there and where its links lead."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from whisperlab.experiment.failures import FailureAnalysis, analyse_failures
from whisperlab.experiment.result import RunResult
from whisperlab.experiment.scoring import score_outcomes
from whisperlab.metric.wer import WordErrorRate
from whisperlab.normalize.profile import Profile
from whisperlab.normalize.whisper_basic import WhisperBasic
from whisperlab.report.failures import failure_lines, failures, marks
from whisperlab.report.html import page
from whisperlab.report.paging import paged
from whisperlab.transcript import Segment
from whisperlab.utterance import Outcome, State

BASIC = Profile(name="basic", version="1", steps=(WhisperBasic(),))


def outcome(name: str, reference: str, text: str, logprob: float | None) -> Outcome:
    segments = (Segment(0.0, 1.0, text, avg_logprob=logprob),)
    return Outcome(name, State.OK, reference, text, segments=segments, audio_seconds=30.0)


OUTCOMES = (
    outcome("loops & more", "thank you", "thank you " * 6, -0.9),
    outcome("silence", "", "<b>thanks</b> for watching", -0.8),
    outcome("right", "one two", "one two", -0.1),
)

LOOPS = ["loop", "insertion run", "compressible text"]


@pytest.fixture
def analysis() -> FailureAnalysis:
    return analyse_failures(score_outcomes(OUTCOMES, BASIC, [WordErrorRate()]), BASIC)


def with_failures(result: RunResult, analysis: FailureAnalysis) -> RunResult:
    scores = replace(result.scores, failures=analysis.summary)
    return replace(result, scores=scores, outcomes=OUTCOMES)


def test_the_section_names_kinds_and_worst_utterances_with_links(analysis: FailureAnalysis) -> None:
    written = failures(analysis.summary, lambda name: f"#{name}")
    assert '<th scope="row">loop</th><td>1 of 3</td><td>33.33 %' in written
    assert '<a href="#loops &amp; more">loops &amp; more</a>' in written
    assert "&lt;b&gt;thanks&lt;/b&gt; for watching" in written
    assert "<b>thanks" not in written
    assert "in 1 of 1 speechless utterance: 3 words in 30.0 s, 6.0 a minute" in written
    # kept -0.1 first: 0/2, then 10/4
    assert "area under risk-coverage 125.00 % over 2 utterances" in written
    assert "cannot be known" in written  # no language was detected


def test_a_run_without_analysis_has_no_section_and_no_lines() -> None:
    assert failures(None, str) == ""
    assert failure_lines(None) == []


def test_the_terminal_says_what_was_found_and_no_more(analysis: FailureAnalysis) -> None:
    lines = failure_lines(analysis.summary)
    assert "loop: 1 of 3 utterances (33.33 %), worst loops & more" in lines
    assert not any(line.startswith("truncated") for line in lines)
    assert any(line.startswith("calibration of avg_logprob: area") for line in lines)


def test_rows_carry_their_failures_and_links_lead_to_them(
    result: RunResult, analysis: FailureAnalysis
) -> None:
    assert marks(analysis.findings)["loops & more"] == LOOPS
    written = page(with_failures(result, analysis), {}, findings=analysis.findings)
    assert 'href="#id=loops+%26+more"' in written
    assert '<a href="#failures">failures</a>' in written
    data = written.split('id="data">')[1].split("</script>")[0]
    by_id = {row["id"]: row.get("failures") for row in json.loads(data)["rows"]}
    assert by_id == {
        "loops & more": LOOPS,
        "silence": ["text where nothing is said"],
        "right": None,
    }


def test_a_link_to_an_utterance_of_a_further_page_names_the_page(
    result: RunResult, analysis: FailureAnalysis
) -> None:
    run = with_failures(result, analysis)
    pages = paged(run.outcomes, {}, max_bytes=1)  # one utterance a page, by id
    assert [part[0].id for part in pages] == ["loops & more", "right", "silence"]
    written = page(run, {}, findings=analysis.findings, pages=pages)
    assert 'href="report-3.html#id=silence"' in written
