"""Schemathesis asks a real server with what its description allows and forbids: every answer is described."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from decoder_processes import until
from serve_process import Running, running_server

TESTS = Path(__file__).parents[1]
DESCRIBED = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("described")
    with running_server(folder, "engine=replay", "engine.default_text=hello") as running:
        yield running


def schemathesis(server: Running, folder: Path, *options: str, hooks: str | None = None) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{TESTS.parent}:{TESTS}"}
    if hooks is not None:
        environment["SCHEMATHESIS_HOOKS"] = hooks
    found = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.base_url}/openapi.json"),
            *("--seed", "1", "--no-color", "--generation-database", "none", *options),
        ],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]


def answered(server: Running, status: int) -> int:
    return server.log.read_text(encoding="utf-8").count(f'"status": {status}')


def test_answers_to_real_sounds_are_described(server: Running, tmp_path: Path) -> None:
    before = answered(server, 200)
    schemathesis(
        server,
        tmp_path,
        "--phases",
        "fuzzing",
        "-n",
        "10",
        "--checks",
        DESCRIBED,
        hooks="real_sounds",
    )
    until(lambda: answered(server, 200) - before > 20)  # a log's line follows its answer


@pytest.mark.slow
def test_a_long_campaign_finds_nothing_undescribed(server: Running, tmp_path: Path) -> None:
    schemathesis(server, tmp_path, "--max-time", "30", "--checks", DESCRIBED, hooks="real_sounds")


@pytest.mark.slow
def test_what_the_description_forbids_is_refused(server: Running, tmp_path: Path) -> None:
    # Random bytes are no sound, so that what it allows need not be accepted.
    without = ("--exclude-checks", "positive_data_acceptance")
    schemathesis(server, tmp_path, "--max-time", "30", *without)
    until(lambda: answered(server, 400) > 100)
