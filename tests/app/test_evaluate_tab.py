"""The endpoint /evaluate of a real page: the command's own result, stopped for real, one at a time."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, sleep
from typing import Any
from urllib.request import urlopen

import psutil
import pytest
from gradio_client import Client
from gradio_client.client import Job
from gradio_client.exceptions import AppError
from serve_process import Running, running_server

PATIENCE_SECONDS = 600.0


@pytest.fixture
def client(page: Running) -> Client:
    return Client(page.base_url, verbose=False)


def submitted(client: Client, *asked: Any) -> Job:
    return client.submit(*asked, api_name="/evaluate")


def evaluated(client: Client, *asked: Any) -> tuple[str, str, dict[str, Any]]:
    state, table, details = submitted(client, *asked).result(PATIENCE_SECONDS)
    return state, table, details


def command(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a line that the page showed, in this run folder: the page names none of the machine's."""
    words = shlex.split(line)
    assert words[:3] == ["python", "-m", "whisperlab.eval"]
    words = [word for word in words if not word.startswith("run_dir=")] + [f"run_dir={folder}"]
    return subprocess.run(
        [sys.executable, *words[1:]], capture_output=True, text=True, check=True, timeout=300
    )


def content(folder: Path) -> dict[str, Any]:
    """What two runs of the same must share (INTERFACES: Run folder)."""
    scores = json.loads((folder / "scores.json").read_text("utf-8"))
    lines = (folder / "ledger.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line)["record"] for line in lines]
    for record in records:
        del record["timings"], record["attempt"]
    card = json.loads((folder / "run.json").read_text("utf-8"))
    return {
        "utterances": scores["utterances"],
        "scores": scores["scores"],
        "records": sorted(records, key=lambda record: str(record["id"])),
        "fingerprint": card["fingerprint"],
        "hash": card["configuration_hash"],
    }


def until(true: Callable[[], object], what: str) -> None:
    end = perf_counter() + PATIENCE_SECONDS
    while not true():
        assert perf_counter() < end, what
        sleep(0.05)


def evaluating(page: Running) -> list[int]:
    """The processes below the server that evaluate right now."""
    found = []
    for child in psutil.Process(page.process.pid).children(recursive=True):
        try:
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child.pid)
        except psutil.NoSuchProcess:
            continue
    return found


def ledger_lines(folder: Path) -> int:
    path = folder / "ledger.jsonl"
    return len(path.read_text("utf-8").splitlines()) if path.exists() else 0


def last_details(job: Job) -> dict[str, Any]:
    outputs = job.outputs()
    details: dict[str, Any] = outputs[-1][2] if outputs else {}
    return details


@pytest.mark.slow
def test_the_result_is_the_commands_own(client: Client, runs_dir: Path, tmp_path: Path) -> None:
    job = submitted(client, "demo_digits", ["default"], 6, 7, "basic")
    _, table, details = job.result(PATIENCE_SECONDS)
    (run,) = details["runs"]
    command(run["resume"], tmp_path / "again")
    assert content(runs_dir / run["name"]) == content(tmp_path / "again")
    assert run["utterances"] == 6
    assert f"{100 * run['wer']:.2f} %" in table


def test_an_evaluation_tells_how_it_stands_and_ends_with_scores_and_report(
    page: Running, client: Client, runs_dir: Path
) -> None:
    job = submitted(client, "demo_digits", ["baseline"], 4, 7, "basic")
    state, table, details = job.result(PATIENCE_SECONDS)
    (run,) = details["runs"]
    assert "Done." in state
    assert (run["state"], run["engine"], run["utterances"]) == ("finished", "pocketsphinx", 4)
    scores = json.loads((runs_dir / run["name"] / "scores.json").read_text("utf-8"))
    assert run["wer"] == scores["scores"]["wer"]["value"]
    assert f"{100 * run['wer']:.2f} %" in table
    assert f'href="{run["report"]}"' in table
    with urlopen(f"{page.base_url}{run['report']}", timeout=10) as answer:
        assert answer.read() == (runs_dir / run["name"] / "report.html").read_bytes()
    states = "".join(output[0] for output in job.outputs())
    assert "loading the model" in states
    assert "2 of 4 utterances, 2 ok" in states
    assert " left</div>" in states


@pytest.mark.slow
def test_several_configurations_run_in_turn_into_one_table(client: Client, runs_dir: Path) -> None:
    _, table, details = evaluated(
        client, "demo_digits", ["baseline", "default"], 2, 0, "whisper-english"
    )
    assert [run["configuration"] for run in details["runs"]] == ["baseline", "default"]
    assert [run["engine"] for run in details["runs"]] == ["pocketsphinx", "hf"]
    assert all(run["profile"] == "whisper-english" for run in details["runs"])
    assert table.count("/report.html") == 2
    assert all((runs_dir / run["name"] / "report.html").is_file() for run in details["runs"])


@pytest.mark.slow
def test_stopping_ends_the_process_and_the_line_goes_on_to_the_same_result(
    page: Running, client: Client, runs_dir: Path, tmp_path: Path
) -> None:
    before = set(evaluating(page))
    job = submitted(client, "demo", ["baseline"], 12, 1, "basic")
    until(lambda: "2 of 12" in str(job.outputs()[-1:]) or job.done(), "no progress")
    (run,) = last_details(job)["runs"]
    assert len(set(evaluating(page)) - before) == 1
    job.cancel()
    until(lambda: set(evaluating(page)) <= before, "the process goes on")
    folder = runs_dir / run["name"]
    assert 0 < ledger_lines(folder) < 12
    assert not (folder / "scores.json").exists()
    assert f"run_dir={run['name']}" in run["resume"]
    command(run["resume"], folder)
    command(run["resume"], tmp_path / "whole")
    assert content(folder) == content(tmp_path / "whole")
    attempts = json.loads((folder / "run.json").read_text("utf-8"))["attempts"]
    assert [attempt["end_reason"] for attempt in attempts] == ["stopped", "finished"]


@pytest.mark.slow
def test_a_second_user_waits_and_gets_their_own(page: Running) -> None:
    first, second = (Client(page.base_url, verbose=False) for _ in range(2))
    one = submitted(first, "demo_digits", ["default"], 4, 0, "basic")
    until(one.outputs, "the first did not begin")
    two = submitted(second, "demo", ["baseline"], 3, 0, "raw")
    until(lambda: two.status().rank is not None, "the second was not told to wait")
    assert not two.outputs()
    of_one, of_two = one.result(PATIENCE_SECONDS)[2], two.result(PATIENCE_SECONDS)[2]
    assert [(run["dataset"], run["utterances"]) for run in of_one["runs"]] == [("demo digits", 4)]
    assert [(run["dataset"], run["utterances"]) for run in of_two["runs"]] == [("demo all", 3)]
    seen = [run["name"] for output in two.outputs() for run in output[2]["runs"]]
    assert set(seen) == {of_two["runs"][0]["name"]}
    assert of_one["runs"][0]["date"] <= of_two["runs"][0]["date"]


@pytest.mark.slow
def test_the_next_evaluation_waits_for_the_batch_of_one_that_was_stopped(page: Running) -> None:
    first, second = (Client(page.base_url, verbose=False) for _ in range(2))
    before = set(evaluating(page))
    stopped = submitted(first, "demo", ["baseline"], 12, 1, "basic")
    until(lambda: "2 of 12" in str(stopped.outputs()[-1:]) or stopped.done(), "no progress")
    stopped.cancel()
    following = submitted(second, "demo", ["baseline"], 2, 1, "basic")
    most = 0
    while not following.done():
        most = max(most, len(set(evaluating(page)) - before))
        sleep(0.05)
    assert following.result()[2]["runs"][0]["state"] == "finished"
    assert most == 1


HOSTILE = ["../x", "/etc/passwd", "a\0b", "x" * 10_240, "", "demo\n"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("place", ["dataset", "configuration", "profile"])
def test_hostile_names_are_refused_in_a_sentence(
    page: Running, client: Client, runs_dir: Path, place: str, name: str
) -> None:
    before = sorted(runs_dir.glob("*"))
    asked = {"dataset": "demo", "configuration": "baseline", "profile": "basic", place: name}
    with pytest.raises(AppError, match="Expected"):
        evaluated(client, asked["dataset"], [asked["configuration"]], 2, 0, asked["profile"])
    assert sorted(runs_dir.glob("*")) == before
    assert "Traceback" not in page.log.read_text("utf-8")


@pytest.mark.parametrize(
    ("utterances", "seed", "said"),
    [(0, 0, "utterances"), (-3, 0, "utterances"), (2, -1, "seed"), (2, 2**40, "seed")],
)
def test_numbers_out_of_range_are_refused_in_a_sentence(
    client: Client, utterances: int, seed: int, said: str
) -> None:
    with pytest.raises(AppError, match=f"Expected {said} to be a whole number"):
        evaluated(client, "demo", ["baseline"], utterances, seed, "basic")


def test_no_configuration_is_a_sentence(client: Client) -> None:
    with pytest.raises(AppError, match="Choose at least one configuration"):
        evaluated(client, "demo", [], 2, 0, "basic")


@pytest.mark.slow
def test_a_bad_manifest_is_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    manifest = tmp_path / "mine.jsonl"
    manifest.write_text('{"id": "a", "text": "one"}\n', "utf-8")
    overrides = [f"app.runs_dir={tmp_path / 'runs'}", f"app.manifests=[{manifest}]"]
    with running_server(tmp_path, *overrides, "preset=baseline", module="whisperlab.app") as page:
        client = Client(page.base_url, verbose=False)
        with pytest.raises(AppError, match=r"^mine\.jsonl:1: expected"):
            evaluated(client, "mine.jsonl", ["baseline"], None, 0, "basic")
        assert list((tmp_path / "runs").iterdir()) == []
        assert "Traceback" not in page.log.read_text("utf-8")


@pytest.mark.slow
def test_a_server_that_is_told_to_stop_leaves_the_run_resumable(tmp_path: Path) -> None:
    overrides = [f"app.runs_dir={tmp_path / 'runs'}", "preset=baseline"]
    with running_server(tmp_path, *overrides, module="whisperlab.app") as page:
        before = set(evaluating(page))
        job = submitted(Client(page.base_url, verbose=False), "demo", ["baseline"], 12, 1, "basic")
        until(lambda: "2 of 12" in str(job.outputs()[-1:]) or job.done(), "no progress")
        (run,) = last_details(job)["runs"]
        (child,) = set(evaluating(page)) - before
        page.process.terminate()
        assert page.process.wait(60) == 0
        until(lambda: not psutil.pid_exists(child), "the evaluation outlived its server")
    folder = tmp_path / "runs" / run["name"]
    assert 0 < ledger_lines(folder) < 12
    command(run["resume"], folder)
    command(run["resume"], tmp_path / "whole")
    assert content(folder) == content(tmp_path / "whole")
