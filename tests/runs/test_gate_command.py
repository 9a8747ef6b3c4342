"""`python -m whisperlab.runs gate` on run folders: exit codes, the sentence, the JUnit file."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from compared_runs import folder, outcome, runs, wrong


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """A baseline, a run that is nearly equal, one that is worse, one that could be either."""
    errors = {
        "baseline": [1] * 100,
        "equal": [2, 2, 0, 0, *[1] * 96],
        "worse": [4] * 100,
        "unsure": [6, 6, 6, 6, *[0] * 15, *[1] * 81],
    }
    return {
        name: folder(tmp_path / name, [outcome(f"u{n:03}", wrong(k)) for n, k in enumerate(each)])
        for name, each in errors.items()
    }


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("baseline", 0, "passed: as many errors as the baseline in every utterance"),
        ("equal", 0, "passed: WER 0.00 points against the baseline, at most +0."),
        ("worse", 10, "not passed: WER +30.00 points against the baseline, at least +30.00"),
        ("unsure", 10, "not passed: too small to tell: WER +0.50 points against the baseline"),
    ],
)
def test_the_exit_code_is_the_verdict_and_stdout_one_sentence(
    folders: dict[str, Path], name: str, code: int, said: str
) -> None:
    finished = runs("gate", folders[name], "--baseline", folders["baseline"], "--max-delta", "0.9")
    assert finished.returncode == code, finished.stderr
    (line,) = finished.stdout.splitlines()
    assert line.startswith(said)
    assert finished.stderr == ""


def test_an_inconclusive_gate_passes_when_told(folders: dict[str, Path], tmp_path: Path) -> None:
    report = tmp_path / "gate.xml"
    finished = runs(
        *("gate", folders["unsure"], "--baseline", folders["baseline"], "--max-delta", "0.9"),
        *("--inconclusive", "pass", "--junit", report),
    )
    assert finished.returncode == 0
    assert finished.stdout.startswith("passed: too small to tell")
    assert ElementTree.parse(report).find(".//skipped") is not None


def test_the_junit_file_holds_the_sentence(folders: dict[str, Path], tmp_path: Path) -> None:
    report = tmp_path / "gate.xml"
    finished = runs(
        *("gate", folders["worse"], "--baseline", folders["baseline"], "--max-delta", "0.2"),
        *("--junit", report),
    )
    failure = ElementTree.parse(report).find(".//failure")
    assert failure is not None
    assert failure.get("message") == finished.stdout.strip()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--max-delta", "nan"), "--max-delta: expected percentage points"),
        (("--max-delta", "0.2", "--alpha", "0.7"), "alpha: expected a probability"),
        (("--max-delta", "0.2", "--clusters", "session"), "clusters 'session'"),
        (("--max-delta", "0.2", "--resamples", "0"), "--resamples: expected at least 1"),
        (("--max-delta", "0.2", "--seed", "-1"), "--seed: expected at least 0"),
    ],
)
def test_a_wrong_argument_is_one_line_and_exit_2(
    folders: dict[str, Path], arguments: tuple[str, ...], said: str
) -> None:
    finished = runs("gate", folders["equal"], "--baseline", folders["baseline"], *arguments)
    assert finished.returncode == 2
    (line,) = finished.stderr.splitlines()
    assert said in line


def test_a_junit_file_that_cannot_be_written_is_exit_74(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    finished = runs(
        *("gate", folders["equal"], "--baseline", folders["baseline"], "--max-delta", "0.9"),
        *("--junit", tmp_path / "gone" / "gate.xml"),
    )
    assert finished.returncode == 74


def test_baseline_and_allowance_must_be_given(folders: dict[str, Path]) -> None:
    assert runs("gate", folders["equal"], "--max-delta", "0.2").returncode == 2
    assert runs("gate", folders["equal"], "--baseline", folders["baseline"]).returncode == 2
