"""What the gate says: one sentence a verdict, and JUnit XML that readers understand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from whisperlab.experiment.gate import GateResult, Verdict
from whisperlab.metric.paired import Difference
from whisperlab.report.gate_report import junit, sentence

TESTED = Difference(0.0029, 0.0018, 0.0041, 0.01, 0.9, 10_000, 265)
FEW_SPEAKERS = replace(TESTED, effective_units=12.4)
PASSED = GateResult(
    verdict=Verdict.PASSED,
    metric="wer",
    clusters=None,
    max_delta=0.005,
    alpha=0.05,
    tested=TESTED,
    changed=20,
    utterances=265,
    newly_lost=(),
    units_needed=120,
)
UNSURE = replace(PASSED, verdict=Verdict.INCONCLUSIVE, max_delta=0.002, units_needed=1500)
WORSE = replace(PASSED, verdict=Verdict.REGRESSION, max_delta=0.001)


@pytest.mark.parametrize(
    ("result", "passed", "said"),
    [
        (
            PASSED,
            True,
            "passed: WER +0.29 points against the baseline, at most +0.41 with 95 % confidence "
            "(allowed +0.50), over 265 utterances.",
        ),
        (
            WORSE,
            False,
            "not passed: WER +0.29 points against the baseline, at least +0.18 with 95 % confidence "
            "(allowed +0.10), over 265 utterances.",
        ),
        (
            UNSURE,
            False,
            "not passed: too small to tell: WER +0.29 points against the baseline, between +0.18 and "
            "+0.41 with 95 % confidence each (allowed +0.20), over 265 utterances; if the two are "
            "equal, about 1,500 would tell.",
        ),
        (
            replace(UNSURE, clusters="speaker", units_needed=200),
            True,
            "passed: too small to tell: WER +0.29 points against the baseline, between +0.18 and "
            "+0.41 with 95 % confidence each (allowed +0.20), over 265 values of speaker.",
        ),
        (
            replace(UNSURE, clusters="speaker", tested=FEW_SPEAKERS, units_needed=None),
            False,
            "not passed: too small to tell: WER +0.29 points against the baseline, between +0.18 and "
            "+0.41 with 95 % confidence each (allowed +0.20), over 265 values of speaker (worth 12 of "
            "equal size: with fewer than 30 an interval may cover less than it says).",
        ),
        (
            replace(PASSED, changed=0),
            True,
            "passed: as many errors as the baseline in every utterance, over 265 utterances.",
        ),
        (
            replace(PASSED, changed=0, tested=None, utterances=3),
            True,
            "passed: as many errors as the baseline in every utterance, over 3 utterances.",
        ),
        (
            replace(PASSED, verdict=Verdict.LOST, newly_lost=("a", "b")),
            False,
            "not passed: the run has no text for 2 utterances that the baseline transcribed, first a.",
        ),
        (
            replace(UNSURE, tested=None, utterances=1),
            False,
            "not passed: too small to tell: WER cannot be compared over 1 utterance: too few of "
            "them, or reference words.",
        ),
    ],
)
def test_the_sentence_says_verdict_numbers_and_allowance(
    result: GateResult, passed: bool, said: str
) -> None:
    assert sentence(result, passed=passed) == said


def parsed(result: GateResult, *, passed: bool) -> ElementTree.Element:
    return ElementTree.fromstring(
        junit(result, Path("runs/<new>&"), Path("runs/old"), passed=passed).encode()
    )


def test_a_passed_gate_is_one_passed_test_with_its_numbers() -> None:
    root = parsed(PASSED, passed=True)
    assert root.tag == "testsuites"
    (suite,) = root
    counts = {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "1", "failures": "0", "errors": "0", "skipped": "0"}
    (case,) = suite.iter("testcase")
    assert case.get("name") == "WER of runs/<new>& against runs/old, at most +0.50 points"
    assert case.get("classname") == "whisperlab.gate"
    assert [child.tag for child in case] == ["system-out"]
    facts = {item.get("name"): item.get("value") for item in suite.iter("property")}
    assert facts["difference"] == "0.0029"
    assert facts["verdict"] == "passed"


@pytest.mark.parametrize(("result", "kind"), [(WORSE, "regression"), (UNSURE, "inconclusive")])
def test_a_gate_that_is_not_passed_is_a_failure_of_its_kind(result: GateResult, kind: str) -> None:
    root = parsed(result, passed=False)
    assert root.get("failures") == "1"
    failure = root.find("testsuite/testcase/failure")
    assert failure is not None
    assert failure.get("type") == kind
    assert str(failure.get("message")).startswith("not passed: ")


def test_an_inconclusive_pass_is_a_skipped_test() -> None:
    root = parsed(UNSURE, passed=True)
    suite = root.find("testsuite")
    assert suite is not None
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "1")
    assert root.find("testsuite/testcase/skipped") is not None
