"""The endpoints of the tab Runs on a real page: what lies there, two compared, one served."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import httpx
import pytest
from compared_runs import folder, outcome, wrong
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from raw_http import exchange
from serve_process import Running

from whisperlab.config.build import configuration_hash
from whisperlab.serve.service import SELF_TEST_CLIP as CLIP


@pytest.fixture
def client(page: Running) -> Client:
    return Client(page.base_url, verbose=False)


@pytest.fixture
def runs(runs_dir: Path) -> Path:
    """Two finished runs of the replay engine over ten words four times, and folders that are none."""
    for old in runs_dir.glob("*"):
        shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
    good, bad = [("a", 0), ("b", 1), ("c", 0), ("d", 0)], [("a", 2), ("b", 1), ("c", 1), ("d", 0)]
    for name, wrongs in (("good", good), ("sweep/bad", bad)):
        heard = [outcome(id_, wrong(words)) for id_, words in wrongs]
        made = folder(runs_dir / name, heard, "engine=replay", "engine.default_text=served")
        (made / "report.html").write_text(f"<p>{name}", "utf-8")
    for name, content in {
        "text": "no JSON",
        "list": "[]",
        "other": '{"schema": 1}',
        "deep": "[" * 100_000,
        "bytes": "\x00\ud800",
    }.items():
        (runs_dir / name).mkdir()
        broken = content.encode("utf-8", "surrogatepass")
        (runs_dir / name / "run.json").write_bytes(broken)
    half = runs_dir / "half"
    half.mkdir()
    shutil.copy(runs_dir / "good" / "run.json", half)
    wild = shutil.copytree(runs_dir / "good", runs_dir / "wild")
    scores = json.loads((wild / "scores.json").read_text("utf-8"))
    scores["utterances"]["total"] = "<img src=x onerror=alert(1)>"
    (wild / "scores.json").write_text(json.dumps(scores), "utf-8")
    return runs_dir


def listed(client: Client, text: str = "", order: str = "date", ascending: bool = False) -> Any:
    return client.predict(text, order, ascending, api_name="/runs")


def names(table: dict[str, Any]) -> list[str]:
    column = table["headers"].index("name")
    return [row[column] for row in table["data"]]


def test_finished_runs_are_listed_and_broken_folders_told_by_name(
    client: Client, runs: Path
) -> None:
    table, state = listed(client, order="name", ascending=True)
    assert names(table) == ["good", "sweep/bad"]
    assert "2 of 2 finished runs" in state
    assert "Cannot be read: bytes, deep, list, other, text, wild." in state
    row = dict(zip(table["headers"], table["data"][0], strict=True))
    assert (row["engine"], row["decode"], row["utterances"]) == ("replay", "greedy", 4)


def test_lines_are_sorted_and_filtered(client: Client, runs: Path) -> None:
    assert names(listed(client, order="name")[0]) == ["sweep/bad", "good"]
    assert names(listed(client, "SWEEP replay")[0]) == ["sweep/bad"]
    assert names(listed(client, "nowhere")[0]) == []
    with pytest.raises(AppError, match="Expected one of name, wer"):
        listed(client, order="__class__")


def test_two_runs_are_compared_with_the_second_as_the_baseline(
    page: Running, client: Client, runs: Path
) -> None:
    view, content = client.predict("good", "sweep/bad", api_name="/compare_runs")
    (found,) = content["differences"]
    # good has 1 wrong word of 40, bad 4
    assert found["scores"]["wer"]["value"] == pytest.approx(-3 / 40)
    assert (found["worse"], found["same"], found["better"]) == (0, 2, 2)
    assert "−7.50 points" in view
    assert "0.0 % worse, 50.0 % same, 50.0 % better" in view
    assert [run["folder"] for run in content["runs"]] == ["sweep/bad", "good"]
    with urlopen(f"{page.base_url}{content['report']}", timeout=10) as answer:
        assert b"<!doctype html>" in answer.read()[:20]
        assert "sandbox" in answer.headers["content-security-policy"]


def test_a_comparison_goes_when_another_is_made_long_after(
    page: Running, client: Client, runs: Path
) -> None:
    def compared() -> str:
        address: str = client.predict("good", "sweep/bad", api_name="/compare_runs")[1]["report"]
        return address

    old, new = compared(), compared()
    made = runs / ".comparisons" / old.rpartition("/")[2]
    then = made.stat().st_mtime - 2 * 3600.0  # app.keep_seconds is an hour
    os.utime(made, (then, then))
    compared()
    assert not made.exists()
    assert httpx.get(page.base_url + old).status_code == 404
    assert httpx.get(page.base_url + new).status_code == 200


def test_a_sweep_is_read_by_its_folder(client: Client, runs: Path) -> None:
    wrongs = {("[]", "one"): 0, ("[]", "two"): 2, ("[trim]", "one"): 1, ("[trim]", "two"): 5}
    for number, ((chain, text), words) in enumerate(wrongs.items()):
        folder(
            runs / "grid" / str(number), [outcome("a", wrong(words)), outcome("b", wrong(0))],
            "engine=replay", f"engine.default_text={text}", f"preprocess={chain}",
        )  # fmt: skip
    view, found = client.predict(["grid/"], api_name="/effects")
    assert found["runs"] == ["grid/0", "grid/1", "grid/2", "grid/3"]
    by_factors = {tuple(one["factors"]): one["value"] for one in found["effects"]["found"]}
    # of 20 words: trim's errors are 1 and 3 more, two's are 2 and 4
    assert by_factors == {
        ("engine.default_text",): pytest.approx(3 / 20),
        ("preprocess",): pytest.approx(2 / 20),
        ("engine.default_text", "preprocess"): pytest.approx(2 / 20),
    }
    assert "+15.00" in view
    assert "Pareto front" in view
    one_by_one = client.predict([f"grid/{number}" for number in range(4)], api_name="/effects")
    assert one_by_one[1] == found
    _, hole = client.predict(["grid/0", "grid/1", "grid/2"], api_name="/effects")
    assert hole["effects"] is None
    assert "no run with" in hole["why_none"]


@pytest.mark.parametrize("chosen", [[], ["good"], ["../x", "good"], ["grid/.."], ["good", "half"]])
def test_what_is_no_sweep_is_refused_in_a_sentence(
    client: Client, runs: Path, chosen: list[str]
) -> None:
    with pytest.raises(AppError, match=r"Choose runs of the list|Expected 2 to 256 runs"):
        client.predict(chosen, api_name="/effects")


REFUSED = r"Choose runs of the list|no finished run"
HOSTILE = ["../x", "/etc/passwd", "a\0b", "x" * 10_240, "", "half", "good/", "..", "wild/../good"]


@pytest.mark.parametrize("name", HOSTILE)
def test_other_names_are_refused_in_a_sentence(
    page: Running, client: Client, runs: Path, name: str
) -> None:
    for place in ([name, "good"], ["good", name]):
        with pytest.raises(AppError, match=REFUSED):
            client.predict(*place, api_name="/compare_runs")
    with pytest.raises(AppError, match=REFUSED):
        client.predict(name, api_name="/serve_run")
    assert "Traceback" not in page.log.read_text("utf-8")


@pytest.mark.parametrize("name", ["..", "0" * 32, "..%2f..%2fgood", "x" * 10_240, "%00"])
def test_only_comparisons_that_were_made_are_served(page: Running, runs: Path, name: str) -> None:
    request = f"GET /comparisons/{name} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    answer = exchange(("127.0.0.1", page.port), request.encode(), method="GET")
    assert answer.status in (400, 404)


def models(page: Running) -> dict[str, Any]:
    with urlopen(f"{page.base_url}/v1/models", timeout=10) as answer:
        return {model["id"]: model for model in json.loads(answer.read())["data"]}


def test_a_run_is_served_to_every_tab_and_the_api_at_once(
    page: Running, client: Client, runs: Path
) -> None:
    card = json.loads((runs / "sweep" / "bad" / "run.json").read_text("utf-8"))
    assert card["configuration_hash"] == "c" * 16  # made by hand: not what the device here gives
    with pytest.raises(AppError, match="was measured as cccccccccccccccc"):
        client.predict("sweep/bad", api_name="/serve_run")
    assert "sweep/bad" not in models(page)


def test_a_served_run_answers_by_its_name(page: Running, client: Client, runs: Path) -> None:
    path = runs / "sweep" / "bad" / "run.json"
    card = json.loads(path.read_text("utf-8"))
    card["configuration_hash"] = configuration_hash(card["config"])
    path.write_text(json.dumps(card), "utf-8")
    for _ in range(2):  # saying it twice changes nothing
        client.predict("sweep/bad", api_name="/serve_run")
    assert models(page)["sweep/bad"]["configuration_hash"] == card["configuration_hash"]
    said = httpx.post(
        f"{page.base_url}/v1/audio/transcriptions",
        data={"model": "sweep/bad"},
        files={"file": CLIP.read_bytes()},
        timeout=60,
    )
    assert said.json()["text"] == "served"
    heard = client.predict(
        handle_file(CLIP), "sweep/bad", "", "transcribe", False, api_name="/transcribe"
    )
    assert heard[0] == "served"
