"""A run issued again: the same result is exit code 0, anything else is named and is 10."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from whisperlab.config.compose import compose
from whisperlab.config.experiment import build_experiment, run_settings
from whisperlab.experiment.folder import LEDGER, RUN_CARD, SCORES, read_run
from whisperlab.experiment.ledger import Ledger, read_ledger
from whisperlab.experiment.reproduction import Changed, Figure, compare_runs
from whisperlab.experiment.runner import run_experiment
from whisperlab.utterance import Outcome

CHECKOUT = Path(__file__).parents[2]


class Unwatched:
    def started(self, total: int, already_done: int) -> None: ...

    def advanced(self, outcomes: Sequence[Outcome]) -> None: ...

    def stage(self, name: str) -> None: ...


@pytest.fixture
def first(tmp_path: Path) -> Path:
    folder = tmp_path / "first"
    config = compose(
        "eval",
        ["engine=replay", "engine.default_text=one two", "dataset=demo_digits", "dataset.subset=5",
         "latency_utterances=2", "resamples=50", f"run_dir={folder}"],
    )  # fmt: skip
    run_experiment(build_experiment(config, run_settings(config), ["a=b"]), folder, Unwatched())
    return folder


def reproduce(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "whisperlab.runs", "reproduce", *map(str, arguments)]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)


def test_a_run_that_repeats_itself_is_reproduced(first: Path) -> None:
    done = reproduce(first)
    assert done.returncode == 0, done.stderr
    assert "the same: configuration, dataset, " in done.stdout
    assert "texts: 5 of 5 utterances equal (100.0 %)" in done.stdout
    assert "reproduced: every text, state and score is the same" in done.stdout
    again = first.with_name("first-reproduced")
    content = json.loads((again / "reproduction.json").read_text())
    assert content["reproduced"] is True
    assert content["of"] == str(first)
    assert content["configuration"] == []
    before, after = read_run(first), read_run(again)
    assert after.card.fingerprint == before.card.fingerprint
    assert after.card.command == before.card.command
    assert (again / "report.html").is_file()


def test_another_text_and_another_version_are_named_and_not_reproduced(first: Path) -> None:
    outcomes = list(read_ledger(first / LEDGER))
    (first / LEDGER).unlink()
    with Ledger(first / LEDGER) as ledger:  # a run in which another model had said "two" once
        ledger.append([replace(outcomes[0], text="two"), *outcomes[1:]])
    card = json.loads((first / RUN_CARD).read_text())
    card["versions"]["torch"] = "1.0"
    (first / RUN_CARD).write_text(json.dumps(card))
    scores = json.loads((first / SCORES).read_text())
    scores["scores"]["wer"]["deletions"] += 1
    (first / SCORES).write_text(json.dumps(scores))
    done = reproduce(first, "--output", first.with_name("again"))
    assert done.returncode == 10
    assert "texts: 4 of 5 utterances equal (80.0 %)" in done.stdout
    assert f"{outcomes[0].id}: 'ok: two' became 'ok: one two'" in done.stdout
    assert "not reproduced: wer.deletions differ" in done.stdout
    content = json.loads((first.with_name("again") / "reproduction.json").read_text())
    assert [entry["key"] for entry in content["versions"]] == ["torch"]


def test_a_folder_without_a_finished_run_is_refused(tmp_path: Path) -> None:
    done = reproduce(tmp_path)
    assert done.returncode == 2
    assert "no finished run" in done.stderr


def test_facts_that_came_or_went_are_absent_on_one_side_and_the_folder_is_none(first: Path) -> None:
    before = read_run(first)
    config = {**before.card.config, "run_dir": "elsewhere", "new": {"key": 1}}
    after = replace(before, card=replace(before.card, config=config, git={}), outcomes=())
    found = compare_runs(before, after)
    assert found.configuration == (Changed("new.key", "(absent)", "1"),)
    assert {entry.key for entry in found.code} == {"commit", "dirty"}
    assert (found.texts.utterances, found.texts.equal, found.texts.share) == (5, 0, 0.0)
    assert not found.reproduced


def test_clocks_stand_with_the_times_and_make_no_other_machine(first: Path) -> None:
    before = read_run(first)
    machines = [
        {**before.card.hardware, "processor_mhz": mhz, "gpu_mhz": gpus}
        for mhz, gpus in ((2100.0, [1980, 1200]), (1400.0, []))
    ]
    runs = [replace(before, card=replace(before.card, hardware=one)) for one in machines]
    found = compare_runs(*runs)
    assert found.machine == ()
    assert Figure("processor_mhz", 2100.0, 1400.0) in found.times
    assert Figure("gpu_mhz", 1980, None) in found.times
