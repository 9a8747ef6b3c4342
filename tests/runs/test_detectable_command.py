"""`python -m whisperlab.runs detectable`: the table, and sizes that follow from the pilot."""

from __future__ import annotations

from math import sqrt
from pathlib import Path

import pytest
from compared_runs import folder, outcome, runs, wrong


@pytest.fixture
def pilot(tmp_path: Path) -> Path:
    """100 utterances of ten words with 0 or 2 errors: a standard deviation of 10 points."""
    return folder(tmp_path / "a", [outcome(f"u{n:03}", wrong(n % 2 * 2)) for n in range(100)])


def numbers(stdout: str, first: str) -> list[float]:
    """The numbers of the table's row that starts with ``first``."""
    (row,) = [line.split() for line in stdout.splitlines() if line.split()[:1] == [first]]
    return [float(cell.replace(",", "")) for cell in row[1:]]


def test_a_pilot_shows_what_supposed_second_systems_need(pilot: Path) -> None:
    finished = runs("detectable", pilot, "--sizes", "100", "400")
    assert finished.returncode == 0, finished.stderr
    # (1.96 + 0.84) standard errors; the deviation is sqrt(2 (1 - r)) x 10.05 points
    deviation = 10 * sqrt(100 / 99)
    expected = [2.802 * sqrt(2 * (1 - r)) * deviation / 10 for r in (0.0, 0.5, 0.8, 0.95, 0.99)]
    assert numbers(finished.stdout, "100") == pytest.approx(expected, abs=0.006)
    assert numbers(finished.stdout, "400") == pytest.approx([e / 2 for e in expected], abs=0.006)


def test_two_pilots_show_their_own_spread(pilot: Path, tmp_path: Path) -> None:
    # ten of a hundred utterances have one error more: 0.1 words of ten, deviation 3.015 points
    second = folder(
        tmp_path / "b", [outcome(f"u{n:03}", wrong(n % 2 * 2 + (n < 10))) for n in range(100)]
    )
    finished = runs("detectable", pilot, "--against", second, "--difference", "1")
    assert finished.returncode == 0, finished.stderr
    assert numbers(finished.stdout, "100") == pytest.approx([2.802 * 3.015 / 10], abs=0.006)
    assert numbers(finished.stdout, "1,000") == pytest.approx([0.27], abs=0.006)
    # (2.802 x 3.015 / 1)^2
    assert numbers(finished.stdout, "1") == pytest.approx([72], abs=1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--power", "1"), "--power: expected a probability"),
        (("--alpha", "0"), "--alpha: expected a probability"),
        (("--sizes", "0"), "--sizes: expected numbers of at least 1"),
        (("--difference", "-1"), "--difference: expected points above 0"),
    ],
)
def test_a_wrong_argument_is_one_line_and_exit_2(
    pilot: Path, arguments: tuple[str, ...], said: str
) -> None:
    finished = runs("detectable", pilot, *arguments)
    assert finished.returncode == 2
    assert said in finished.stderr


@pytest.mark.parametrize("few", [1, 3])
def test_too_small_a_pilot_is_refused(few: int, tmp_path: Path) -> None:
    pilot = folder(tmp_path / "a", [outcome(f"u{n}", wrong(n)) for n in range(few)])
    finished = runs("detectable", pilot)
    assert finished.returncode == 2
    assert "expected 4 utterances with reference words, got fewer" in finished.stderr
