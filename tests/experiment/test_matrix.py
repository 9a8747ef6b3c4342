"""The matrix puts every run in its place and tests each against its own row's clean recordings."""

from __future__ import annotations

from dataclasses import replace

import pytest
from compared_runs import DATASET, outcome, run, wrong

from whisperlab.errors import ConfigError
from whisperlab.experiment.matrix import Matrix, matrix
from whisperlab.experiment.pairing import Choices
from whisperlab.experiment.result import RunResult
from whisperlab.metric.wer import WordErrorRate
from whisperlab.normalize.profile import Profile
from whisperlab.normalize.whisper_basic import WhisperBasic

BASIC = Profile(name="basic", version="1", steps=(WhisperBasic(),))


def made(configuration: str, done: str | None, *errors: int | None, data: str = "abc") -> RunResult:
    """A run with so many wrong words in each utterance (None: no text)."""
    dataset: dict[str, str | int | None] = {**DATASET, "utterances_sha256": data}
    if done is not None:
        dataset |= {"perturbations": done, "perturbation_seed": 0}
    outcomes = [
        outcome(f"u{n:02}", None if count is None else wrong(count))
        for n, count in enumerate(errors)
    ]
    result = run(*outcomes, dataset=dataset, name=f"{configuration}-{done}")
    return replace(result, card=replace(result.card, configuration_hash=configuration))


def shown(*runs: RunResult) -> Matrix:
    return matrix(runs, BASIC, [WordErrorRate()], Choices(resamples=500))


def test_rows_are_configurations_and_columns_conditions_with_clean_first() -> None:
    found = shown(
        made("b", "noise", *[2] * 20), made("a", None, *[1] * 20), made("a", "noise", *[3] * 20),
        made("b", "room", *[4] * 20),
    )  # fmt: skip
    assert found.conditions == ("clean", "noise", "room")
    assert [row.configuration_hash for row in found.rows] == ["b", "a"]
    rates = [{name: cell.rate.value for name, cell in row.cells.items()} for row in found.rows]
    assert rates == [{"noise": 0.2, "room": 0.4}, {"clean": 0.1, "noise": 0.3}]


def test_the_difference_is_paired_with_the_row_s_own_clean_run() -> None:
    errors = [n % 5 for n in range(40)]
    found = shown(
        made("a", None, *errors), made("a", "noise", *[count + 1 for count in errors]),
        made("b", None, *[5] * 40), made("b", "noise", *[5] * 40),
    )  # fmt: skip
    noise = found.rows[0].cells["noise"].difference
    assert noise is not None
    # one word of ten more in every utterance: certain, however unlike the utterances are
    assert (noise.value, noise.low, noise.high) == pytest.approx((0.1, 0.1, 0.1))
    assert found.rows[0].cells["clean"].difference is None
    unchanged = found.rows[1].cells["noise"].difference
    assert unchanged is not None
    assert unchanged.value == 0.0


def test_what_a_run_lost_counts_in_neither_side_of_the_difference() -> None:
    found = shown(made("a", None, 9, *[0] * 20), made("a", "noise", None, *[1] * 20))
    noise = found.rows[0].cells["noise"]
    assert noise.rate.value == pytest.approx(0.1)
    assert noise.difference is not None
    assert noise.difference.value == pytest.approx(0.1)
    assert noise.difference.units == 20


def test_a_row_without_clean_recordings_has_no_differences() -> None:
    found = shown(made("a", None, *[1] * 4), made("b", "noise", *[1] * 4))
    assert found.rows[1].cells["noise"].difference is None


def test_what_does_not_belong_into_one_matrix_is_refused() -> None:
    with pytest.raises(ConfigError, match="differ in utterances_sha256"):
        shown(made("a", None, 1), made("a", "noise", 1, data="other"))
    with pytest.raises(ConfigError, match=r"one configuration under one condition \(noise\)"):
        shown(made("a", "noise", 1), made("a", "noise", 1))
    with pytest.raises(ConfigError, match="got none"):
        shown()
    with pytest.raises(ConfigError, match="expected one of wer"):
        matrix([made("a", None, 1)], BASIC, [WordErrorRate()], Choices(metric="mer"))
