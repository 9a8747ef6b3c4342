"""`python -m whisperlab.runs matrix` on folders of runs and of sweeps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from compared_runs import folder, outcome, runs, wrong

from whisperlab.experiment.folder import RunFolder


def made(path: Path, done: str | None, errors: int, started: str) -> Path:
    """A finished run of twenty utterances with so many wrong words each."""
    folder(path, [outcome(f"u{n:02}", wrong(errors)) for n in range(20)])
    card = RunFolder(path).card()
    assert card is not None
    dataset = card.dataset if done is None else {**card.dataset, "perturbations": done}
    attempts = ({"started": started, "ended": started, "end_reason": "finished"},)
    RunFolder(path).write_card(replace(card, dataset=dataset, attempts=attempts))
    return path


def test_a_sweep_s_folder_stands_for_its_runs_in_the_order_they_began(tmp_path: Path) -> None:
    made(tmp_path / "sweep" / "a", "noise 0 dB", 5, "2026-11-24T10:02:00Z")
    made(tmp_path / "sweep" / "b", "noise 10 dB", 3, "2026-11-24T10:01:00Z")
    made(tmp_path / "sweep" / "c", None, 1, "2026-11-24T10:00:00Z")
    finished = runs(
        "matrix", tmp_path / "sweep", "--output-dir", tmp_path / "out", "--resamples", "300"
    )
    assert finished.returncode == 0, finished.stderr
    heading, _, row = finished.stdout.splitlines()[:3]
    assert [cell.strip() for cell in heading.split("|")[2:-1]] == [
        "clean",
        "noise 10 dB",
        "noise 0 dB",
    ]
    assert [cell.split()[0] for cell in row.split("|")[2:-1]] == ["10.00", "30.00", "50.00"]
    content = json.loads((tmp_path / "out" / "matrix.json").read_text(encoding="utf-8"))
    (only,) = content["rows"]
    assert only["cells"]["noise 0 dB"]["difference"]["value"] == 0.4
    assert (
        (tmp_path / "out" / "matrix.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    )


def test_without_an_output_folder_nothing_is_written(tmp_path: Path) -> None:
    one = made(tmp_path / "one", None, 1, "2026-11-24T10:00:00Z")
    before = sorted(tmp_path.rglob("*"))
    assert runs("matrix", one, "--resamples", "100").returncode == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_without_runs_is_named(tmp_path: Path) -> None:
    finished = runs("matrix", tmp_path)
    assert finished.returncode == 2
    assert f"{tmp_path}: no finished run there or below" in finished.stderr
