"""Every odd and hostile file gets one verdict, whichever door it comes to."""

from __future__ import annotations

import base64
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hostile_files import Case, cases
from serve_process import Running, running_server
from serve_replay import replay

from whisperlab.serve.problems import STATUS_OF_CODE

ROUTE = "/v1/audio/transcriptions"
LAB = replay("x", "engine.default_text=heard").transcriber


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of temporary files of all doors: in the machine's own others come and go."""
    folder = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        yield folder


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, temporary: Path) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("doors")
    with running_server(
        folder, "engine=replay", "engine.default_text=heard",
        environment={"TMPDIR": str(temporary)},
    ) as started:  # fmt: skip
        yield started


def verdict(answered: httpx.Response) -> str:
    """Returns ``accepted`` or the code, after checking that the answer is one of ours."""
    assert answered.status_code < 500, answered.text
    if answered.status_code == 200:
        assert answered.json()["text"] == "heard"
        return "accepted"
    error = answered.json()["error"]
    assert STATUS_OF_CODE[error["code"]] == answered.status_code
    assert error["message"]
    return str(error["code"])


def by_multipart(running: Running, case: Case) -> str:
    return verdict(
        httpx.post(
            running.base_url + ROUTE,
            data={"model": "whisper-1"},
            files={"file": (case.upload_name, case.path.read_bytes(), "application/octet-stream")},
            timeout=60.0,
        )
    )


def by_json(running: Running, case: Case) -> str:
    encoded = base64.b64encode(case.path.read_bytes()).decode()
    body = {"model": "whisper-1", "audio": encoded}
    return verdict(httpx.post(running.base_url + ROUTE, json=body, timeout=60.0))


def in_process(case: Case) -> str:
    recognition = LAB.recognise([case.path])[0]
    return "accepted" if recognition.error is None else recognition.error.code


def check(running: Running, temporary: Path, chosen: list[Case]) -> None:
    before = set(temporary.iterdir())
    wrong = []
    for case in chosen:
        # An empty base64 string has no sound in it at all: the JSON door says so before decoding.
        doors = {by_multipart(running, case), in_process(case)}
        if case.path.stat().st_size:
            doors.add(by_json(running, case))
        came = sorted(doors)
        if len(doors) > 1 or not case.allows(None if came[0] == "accepted" else came[0]):
            wrong.append((case.name, came))
    assert wrong == []
    assert httpx.get(f"{running.base_url}/health/ready").status_code == 200
    assert set(temporary.iterdir()) == before


def test_a_file_of_each_kind_gets_one_verdict_at_every_door(
    running: Running, temporary: Path, test_data: Path
) -> None:
    check(running, temporary, cases(test_data)[::9])


@pytest.mark.slow
def test_every_file_gets_one_verdict_at_every_door(
    running: Running, temporary: Path, test_data: Path
) -> None:
    check(running, temporary, cases(test_data))


def test_the_command_says_of_each_file_what_the_doors_say(test_data: Path) -> None:
    chosen = [case for case in cases(test_data)[::15] if case.path.is_file()]
    done = subprocess.run(
        [
            sys.executable, "-m", "whisperlab.transcribe", "--set", "engine=replay",
            "--set", "engine.default_text=heard", *[str(case.path) for case in chosen],
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    accepted = sum(in_process(case) == "accepted" for case in chosen)
    assert done.stdout == "heard\n" * accepted
    complaints = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(complaints) == len(chosen) - accepted
