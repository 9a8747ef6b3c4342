"""The gate's answer for people and for continuous integration: one sentence, one JUnit file.

Owns the wording and the file's form::

    <testsuites name="whisperlab.gate"><testsuite name="whisperlab.gate" tests="1" failures="1" ...>
      <properties><property name="difference" value="0.0121" /> ... </properties>
      <testcase classname="whisperlab.gate" name="WER of runs/new against runs/old, at most +0.20 points">
        <failure type="regression" message="not passed: ..." /></testcase></testsuite></testsuites>

Source: the schema that Jenkins' and GitLab's readers accept (windyroad/JUnit-Schema).
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from whisperlab.experiment.gate import GateResult, Verdict
from whisperlab.metric.paired import Difference
from whisperlab.report import notation
from whisperlab.report.verdict import units

SUITE = "whisperlab.gate"


def sentence(result: GateResult, *, passed: bool) -> str:
    """Returns the verdict with what it rests on; ``passed`` says how the gate counts it."""
    return f"{'passed' if passed else 'not passed'}: {_reason(result)}."


def _reason(result: GateResult) -> str:
    name = result.metric.upper()
    if result.verdict is Verdict.LOST:
        lost = notation.plural(len(result.newly_lost), "utterance")
        return f"the run has no text for {lost} that the baseline transcribed, first {result.newly_lost[0]}"
    if result.tested is None:
        if result.verdict is Verdict.PASSED:
            over = notation.plural(result.utterances, "utterance")
            return f"as many errors as the baseline in every utterance, over {over}"
        return (
            f"too small to tell: {name} cannot be compared over "
            f"{notation.plural(result.utterances, 'utterance')}: too few "
            f"{'of them' if result.clusters is None else f'values of {result.clusters}'}, or reference words"
        )
    over = f"over {units(result.tested, result.clusters)}"
    if not result.changed:
        return f"as many errors as the baseline in every utterance, {over}"
    said = f"{name} {notation.points(result.tested.value)} points against the baseline"
    allowed = f"allowed {notation.points(result.max_delta)}"
    confidence = f"{100 * (1 - result.alpha):g} % confidence"
    if result.verdict is Verdict.PASSED:
        bound = notation.points(result.tested.high)
        return f"{said}, at most {bound} with {confidence} ({allowed}), {over}"
    if result.verdict is Verdict.REGRESSION:
        bound = notation.points(result.tested.low)
        return f"{said}, at least {bound} with {confidence} ({allowed}), {over}"
    return (
        f"too small to tell: {said}, between {notation.points(result.tested.low)} and "
        f"{notation.points(result.tested.high)} with {confidence} each ({allowed}), "
        f"{over}{_needed(result, result.tested)}"
    )


def _needed(result: GateResult, tested: Difference) -> str:
    if result.units_needed is None or result.units_needed <= tested.units:
        return ""
    return f"; if the two are equal, about {notation.count(result.units_needed)} would tell"


def junit(result: GateResult, run: Path, baseline: Path, *, passed: bool) -> str:
    """Returns the JUnit XML of the gate's one test; an inconclusive pass is a skipped test."""
    said = sentence(result, passed=passed)
    skipped = passed and result.verdict is not Verdict.PASSED
    numbers = {"tests": "1", "failures": str(int(not passed)), "errors": "0"}
    root = ElementTree.Element("testsuites", {"name": SUITE, **numbers})
    suite = ElementTree.SubElement(
        root, "testsuite", {"name": SUITE, "skipped": str(int(skipped)), **numbers}
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in _facts(result).items():
        ElementTree.SubElement(properties, "property", name=name, value=str(value))
    allowed = notation.points(result.max_delta)
    name = f"{result.metric.upper()} of {run} against {baseline}, at most {allowed} points"
    case = ElementTree.SubElement(suite, "testcase", classname=SUITE, name=name)
    if not passed:
        ElementTree.SubElement(case, "failure", type=result.verdict.value, message=said)
    elif skipped:
        ElementTree.SubElement(case, "skipped", message=said)
    ElementTree.SubElement(case, "system-out").text = said
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _facts(result: GateResult) -> dict[str, object]:
    facts: dict[str, object] = {
        "verdict": result.verdict.value,
        "max_delta": result.max_delta,
        "alpha": result.alpha,
        "utterances": result.utterances,
        "utterances_changed": result.changed,
        "utterances_newly_lost": len(result.newly_lost),
    }
    if result.tested is not None:
        facts |= {
            "difference": result.tested.value,
            "low": result.tested.low,
            "high": result.tested.high,
        }
    return facts
