"""The matrix as a page, as Markdown and as JSON: every number, nothing hostile, the worst the hottest."""

from __future__ import annotations

from dataclasses import replace

from compared_runs import DATASET, outcome, run, wrong
from html_page import HOSTILE, Page

from whisperlab.experiment.matrix import Matrix, matrix
from whisperlab.experiment.pairing import Choices
from whisperlab.experiment.result import RunResult
from whisperlab.metric.wer import WordErrorRate
from whisperlab.normalize.profile import Profile
from whisperlab.normalize.whisper_basic import WhisperBasic
from whisperlab.report.matrix import markdown, matrix_to_json, page, row_names

BASIC = Profile(name="basic", version="1", steps=(WhisperBasic(),))


def made(name: str, done: str | None, *errors: int | None) -> RunResult:
    dataset = DATASET if done is None else {**DATASET, "perturbations": done}
    outcomes = [
        outcome(f"u{n:02}", None if count is None else wrong(count))
        for n, count in enumerate(errors)
    ]
    config = {"quantization": {"name": name}, "perturb": {}, "batch_size": 2}
    result = run(*outcomes, dataset=dataset, name=name, config=config)
    return replace(
        result, card=replace(result.card, configuration_hash=name, model={"name": "tiny"})
    )


def shown(*runs: RunResult) -> Matrix:
    return matrix(runs, BASIC, [WordErrorRate()], Choices(resamples=4000))


FOUND = shown(
    made("none", None, *[1] * 30), made("none", "noise", *[4] * 30),
    made("int8", None, *[2] * 30), made("int8", "noise", *[3] * 29, None),
)  # fmt: skip


def test_a_row_is_named_by_what_tells_it_apart() -> None:
    assert row_names(FOUND) == ["tiny, none", "tiny, int8"]


def test_markdown_has_rate_interval_difference_significance_and_lost_texts() -> None:
    lines = markdown(FOUND).splitlines()
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == ["", "clean", "noise"]
    assert [cell.strip() for cell in lines[2].strip("|").split("|")] == [
        "tiny, none", "**10.00 %** [10.0, 10.0]", "40.00 % [40.0, 40.0] +30.00*",
    ]  # fmt: skip
    assert lines[3].split("|")[3].strip() == ("**30.00 %** [30.0, 30.0] +10.00* (1 without text)")
    assert "paired over the same utterances" in lines[-1]
    assert "30 utterances, profile basic" in lines[-1]


def test_the_page_has_the_same_numbers_and_colours_them_by_rate() -> None:
    source = Page(page(FOUND))
    for part in ("tiny, int8|", "40.00 %|", "+30.00*|", "(1 without text)|"):
        assert part in source.text["matrix"]
    cells = [attributes for name, attributes in source.elements if name == "td"]
    assert [cell["style"] for cell in cells] == [
        "--heat: 0%", "--heat: 100%", "--heat: 33%", "--heat: 67%",
    ]  # fmt: skip
    assert str(cells[1]["title"]).startswith("+30.00 to +30.00 points, p 0.00")


def test_a_hostile_condition_stays_text() -> None:
    hostile = shown(made("none", None, 1, 1), made("none", HOSTILE, 2, 2))
    assert not Page(page(hostile)).scripts
    assert len(markdown(hostile).splitlines()) == 5


def test_json_holds_fractions_and_a_condition_that_was_not_run_is_absent() -> None:
    content = matrix_to_json(shown(made("none", None, 1, 1), made("int8", "noise", 2, 2)))
    first, second = content["rows"]
    assert first["cells"]["clean"]["rate"]["value"] == 0.1
    assert list(second["cells"]) == ["noise"]
    assert second["cells"]["noise"]["difference"] is None
    assert "–" in markdown(shown(made("none", None, 1, 1), made("int8", "noise", 2, 2)))
