"""A sweep as a whole: effects from real run folders, the front, and the page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlab.experiment.folder import read_run
from whisperlab.experiment.pareto import front
from whisperlab.metric.wer import WordErrorRate
from whisperlab.normalize.profile import Profile
from whisperlab.report.sweep import read_sweep, sweep_page

RAW = Profile(name="raw", version="1")


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), max_size=12))
def test_nothing_on_the_front_is_beaten_and_everything_else_is(rows: list[tuple[int, ...]]) -> None:
    def beats(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
        return one != other and all(a <= b for a, b in zip(one, other, strict=True))

    kept = front(rows)
    for number, row in enumerate(rows):
        assert (number in kept) != any(beats(other, row) for other in rows)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four replays, two answers by two chains; one job of the sweep cannot be."""
    folder = tmp_path_factory.mktemp("sweep")
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "whisperlab.eval", "-m", "engine=replay", "preprocess=[],[trim]"),
            *("engine.default_text=one two,one", "dataset=demo_digits", "latency_utterances=0"),
            *("resamples=50", f"run_dir={folder}"),
        ],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert "Pareto front" in finished.stdout
    assert (folder / "report.html").exists()
    return folder


def test_effects_of_run_folders_are_those_of_their_counts(sweep: Path) -> None:
    runs = [read_run(sweep / name) for name in "0123"]
    found = read_sweep(runs, RAW, (WordErrorRate(),))
    assert found.effects is not None
    rates = [run.scores.scores["wer"].value or 0.0 for run in runs]
    text, chain = rates[1] - rates[0], rates[2] - rates[0]
    by_factor = {effect.factors: effect.value for effect in found.effects.found}
    values = sorted(by_factor.values())
    assert values == pytest.approx(sorted([text, chain, 0.0]), abs=1e-12)
    page = sweep_page(found, sweep)
    assert "default_text" in page
    assert page.count("<tr>") >= 1 + 4 + 1 + 3


def test_the_command_says_the_same_of_finished_runs(sweep: Path, tmp_path: Path) -> None:
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "whisperlab.runs", "effects"),
            *(str(sweep / name) for name in "0123"),
            *("--output-dir", str(tmp_path / "out")),
        ],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert "Effects on WER" in finished.stdout
    assert (tmp_path / "out" / "report.html").exists()


def test_an_incomplete_factorial_says_what_is_missing(sweep: Path) -> None:
    runs = [read_run(sweep / name) for name in "012"]
    found = read_sweep(runs, RAW, (WordErrorRate(),))
    assert found.effects is None
    assert "no run with" in found.why_none
