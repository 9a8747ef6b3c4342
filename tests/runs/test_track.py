"""`python -m whisperlab.runs track`: what a tracker gets, with the real trackers where they are installed."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
from compared_runs import folder, outcome, run, runs

from whisperlab.experiment.result import Rate
from whisperlab.runs.tracking import metrics, parameters

SECRET = "nobody may read this"


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def finished(path: Path) -> Path:
    made = folder(path, [outcome("u1", SECRET, SECRET)])
    assert runs("rescore", made, "--profile", "raw").returncode == 0
    return made


def test_parameters_are_settings_by_dotted_key() -> None:
    card = run(outcome("u1", "one"), config={"decode": {"beam_size": 5}, "steps": ["a", "b"]}).card
    given = dict(parameters(card))
    assert given["decode.beam_size"] == "5"
    assert (given["steps.0"], given["steps.1"]) == ("a", "b")
    assert given["fingerprint"] == "f" * 16


def test_metrics_are_the_numbers_that_are_defined() -> None:
    scores = run(outcome("u1", "one")).scores
    rate = Rate(0.25, None, None, 1, 0, 0, 4, 4, 0.25)
    measured = dict(metrics(replace(scores, scores={"wer": rate})))
    assert measured["scores.wer.value"] == 0.25
    assert measured["utterances.total"] == 1.0
    assert "scores.wer.low" not in measured
    assert not any(name.startswith(("profile", "fingerprint")) for name in measured)


@pytest.mark.parametrize("tracker", ["mlflow", "trackio"])
def test_a_tracker_that_is_not_installed_names_its_extra(tracker: str, tmp_path: Path) -> None:
    if installed(tracker):
        pytest.skip(f"{tracker} is installed")
    refused = runs("track", finished(tmp_path / "run"), "--to", tracker)
    assert refused.returncode == 2
    assert f"pip install 'whisperlab[{tracker}]'" in refused.stderr


def test_a_folder_without_a_finished_run_has_nothing_to_send(tmp_path: Path) -> None:
    assert runs("track", tmp_path, "--to", "mlflow").returncode == 2


@pytest.mark.parametrize("tracker", ["mlflow", "trackio"])
@pytest.mark.filterwarnings("default")
def test_the_tracker_has_the_score_and_no_text(
    tracker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not installed(tracker):
        pytest.skip(f"{tracker} is not installed: pip install 'whisperlab[{tracker}]'")
    store = tmp_path / "store"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("TRACKIO_DIR", str(store))
    sent = runs("track", finished(tmp_path / "run"), "--to", tracker, "--project", "p")
    assert sent.returncode == 0, sent.stderr
    content = b"".join(path.read_bytes() for path in store.rglob("*") if path.is_file())
    assert b"configuration_hash" in content or any(store.rglob("configuration_hash"))
    assert b"scores.wer.value" in content or any(store.rglob("scores.wer.value"))
    assert SECRET.encode() not in content
