"""`python -m whisperlab.runs rescore` on run folders: files, tables, refusals."""

from __future__ import annotations

import fcntl
import json
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from compared_runs import SAID, folder, outcome, runs

from whisperlab.experiment.folder import read_run

OUTCOMES = [
    outcome("u1", "One two three four five six seven eight nine ten."),
    outcome("u2", SAID),
    outcome("u3", None),
]


def test_scores_are_new_and_everything_measured_stays(tmp_path: Path) -> None:
    run = folder(tmp_path / "run", OUTCOMES)
    before = read_run(run)
    finished = runs("rescore", run, "--profile", "raw")
    assert finished.returncode == 0, finished.stderr
    raw = read_run(run)
    assert raw.scores.profile["name"] == "raw"
    assert raw.card.config["profile"]["name"] == "raw"
    assert (raw.scores.scores["wer"].substitutions, raw.scores.scores["wer"].reference_words) == (
        2,
        20,
    )
    assert runs("rescore", run, "--profile", "basic").returncode == 0
    basic = read_run(run)
    assert basic.scores.scores["wer"].value == 0.0
    assert basic.scores.scores["wer"].value_failed_as_deleted == 10 / 30
    for scores in (raw.scores, basic.scores):
        assert (scores.speed, scores.memory, scores.fingerprint, scores.utterances) == (
            before.scores.speed,
            before.scores.memory,
            before.scores.fingerprint,
            before.scores.utterances,
        )
    assert (basic.card.attempts, basic.card.fingerprint) == (
        before.card.attempts,
        before.card.fingerprint,
    )
    assert list(basic.outcomes) == list(before.outcomes)


def test_the_share_of_every_rule_is_kept_and_shown(tmp_path: Path) -> None:
    run = folder(tmp_path / "run", OUTCOMES)
    finished = runs("rescore", run, "--profile", "basic")
    content = json.loads((run / "attribution.json").read_text())
    assert content["profile"]["name"] == "basic"
    assert content["method"].startswith("cumulative")
    shares = {share["rule"]: share for share in content["rules"]}
    assert [share["errors"] for share in content["rules"]] == [2, 1, 1, 0]
    assert shares["lower case"]["erased"] == 1
    assert shares["punctuation and marks"]["examples"][0]["id"] == "u1"
    assert shares["raw texts"]["rate"] == 0.1
    for shown in ("lower case", "raw texts", "brackets", "before and after"):
        assert shown in finished.stdout
    assert (run / "report.html").is_file()


def test_failures_are_analysed_anew_and_named_in_the_report(tmp_path: Path) -> None:
    invented = outcome("u4", "Thanks for watching.")
    run = folder(tmp_path / "run", [*OUTCOMES, replace(invented, reference="")])
    assert runs("rescore", run, "--profile", "basic").returncode == 0
    failures = read_run(run).scores.failures
    assert failures is not None
    assert failures.false_text is not None
    assert (failures.false_text.with_text, failures.false_text.words) == (1, 3)
    assert 'href="#id=u4"' in (run / "report.html").read_text()


def test_a_list_of_ones_own_substitutions_goes_into_the_card(tmp_path: Path) -> None:
    words = tmp_path / "words.json"
    words.write_text('{"ten": "10"}')
    run = folder(tmp_path / "run", OUTCOMES)
    assert runs("rescore", run, "--profile", "basic", "--substitutions", words).returncode == 0
    card = read_run(run).card
    assert card.config["profile"]["substitutions"] == str(words)
    rules = json.loads((run / "attribution.json").read_text())["rules"]
    assert rules[-1]["rule"] == "substitutions"
    assert rules[-1]["changed"] == 2


def test_a_folder_without_a_finished_run_is_refused(tmp_path: Path) -> None:
    finished = runs("rescore", tmp_path, "--profile", "raw")
    assert finished.returncode == 2
    assert "no finished run" in finished.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_that_lacks_utterances_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    run = folder(tmp_path / "run", OUTCOMES)
    lines = (run / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    (run / "ledger.jsonl").write_bytes(b"".join(lines[:2]))
    scores = (run / "scores.json").read_bytes()
    finished = runs("rescore", run, "--profile", "raw")
    assert finished.returncode == 2
    assert "expected 3 records" in finished.stderr
    assert (run / "scores.json").read_bytes() == scores


def test_a_damaged_record_is_exit_code_4(tmp_path: Path) -> None:
    run = folder(tmp_path / "run", OUTCOMES)
    content = (run / "ledger.jsonl").read_bytes().replace(b"One two", b"Two two")
    (run / "ledger.jsonl").write_bytes(content)
    finished = runs("rescore", run, "--profile", "raw")
    assert finished.returncode == 4
    assert "ledger.jsonl:1" in finished.stderr


def test_a_run_that_is_being_written_is_exit_code_75(tmp_path: Path) -> None:
    run = folder(tmp_path / "run", OUTCOMES)
    with (run / "ledger.jsonl").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert runs("rescore", run, "--profile", "raw").returncode == 75
    assert runs("rescore", run, "--profile", "raw").returncode == 0


@pytest.mark.slow
def test_a_hundred_thousand_utterances_take_less_than_a_gigabyte_and_a_report_of_15_mb(
    tmp_path: Path,
) -> None:
    many = [
        outcome(f"u{number:06}", f"{SAID} and some {number % 97} words more", SAID)
        for number in range(100_000)
    ]
    run = folder(tmp_path / "many", many)
    subprocess.run(
        [sys.executable, "-m", "whisperlab.runs", "rescore", str(run), "--profile", "basic"],
        check=True,
        cwd=Path(__file__).parents[2],
    )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    assert peak < 1e9
    assert sum(page.stat().st_size for page in run.glob("report*.html")) < 15e6
    assert (run / "report-2.html").is_file()
