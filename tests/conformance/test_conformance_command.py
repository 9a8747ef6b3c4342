"""The command against our own server, as a process, and against what is no server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from answering_server import Reply, answering
from conformance_server import TEXT, Keyed, conforming_server

from whisperlab.conformance.check import all_checks

NO_EXTRA_OF_REPLAY = {
    "diarized json is answered or refused",
    "known speakers are used or refused",
    "logprobs spell the text",
    "logprobs come with the stream",
}
"""The replay engine has no token log probabilities, and nothing here tells speakers apart."""


def conformance(*arguments: str, key: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "whisperlab.conformance", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SERVER_KEY": key, "COLUMNS": "200"},
    )


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    with conforming_server(tmp_path_factory.mktemp("server")) as keyed:
        yield keyed


def test_our_server_passes_every_check_that_its_engine_can(ours: Keyed, tmp_path: Path) -> None:
    output = tmp_path / "checks.json"
    done = conformance(
        "--base-url", ours.base_url, "--api-key-env", "SERVER_KEY", "--output", str(output),
        key=ours.key,
    )  # fmt: skip
    content = output.read_text(encoding="utf-8")
    document = json.loads(content)
    odd = {one["check"]: (one["verdict"], one["detail"]) for one in document["checks"] if one["verdict"] != "pass"}  # fmt: skip
    assert {name: what for name, what in odd.items() if what[0] == "fail"} == {}
    assert set(odd) == NO_EXTRA_OF_REPLAY
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(document["checks"]) == len(all_checks()) == sum(document["tally"].values())
    assert all(one["rule"] for one in document["checks"])
    assert "0 fail" in done.stdout
    assert ours.key not in content + done.stdout + done.stderr


def parity(ours: Keyed, *arguments: str) -> subprocess.CompletedProcess[str]:
    return conformance(
        "parity", "--base-url", ours.base_url, "--api-key-env", "SERVER_KEY", "engine=replay",
        f"engine.path={ours.recording}", "engine.seconds_per_audio_second=0.01",
        "dataset.subset=5", *arguments, key=ours.key,
    )  # fmt: skip


def test_texts_through_the_server_are_those_of_this_process(ours: Keyed, tmp_path: Path) -> None:
    output = tmp_path / "parity.json"
    done = parity(ours, f"engine.default_text='{TEXT}'", "--output", str(output))
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(output.read_text(encoding="utf-8"))
    assert (document["equal"], document["total"], document["differing"]) == (5, 5, [])
    hashes = document["configuration_hash"]
    assert hashes["in_process"] == hashes["server"]
    seconds = document["seconds"]
    assert 0 < seconds["added"]["p50"] <= seconds["through_server"]["p95"]
    assert "5 of 5 texts equal" in done.stdout


def test_texts_that_differ_are_named_and_end_with_10(ours: Keyed) -> None:
    done = parity(ours, "engine.default_text=other")
    assert done.returncode == 10, done.stdout + done.stderr
    # digits-09 is in the recording, if the subset has it; the others are the default's
    assert "of 5 texts equal" in done.stdout
    assert "configuration" in done.stdout
    assert done.stdout.count("'other'") >= 4


def test_a_failed_check_ends_with_10() -> None:
    with answering(lambda _: Reply(b"no", 500)) as base_url:
        done = conformance("--base-url", base_url)
    assert done.returncode == 10, done.stdout + done.stderr
    assert "0 pass," in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--base-url", "localhost:8000"], 2, "expected http://HOST:PORT/v1"),
        (["--base-url", "http://127.0.0.1:9", "--api-key-env", "NO_SUCH_KEY"], 2, "is not set"),
        (["--base-url", "http://127.0.0.1:9", "decode.beam_size=2"], 2, "invalid choice"),
        (["parity", "--base-url", "http://127.0.0.1:9", "engine.beam=2"], 2, "engine.beam"),
        (["parity", "--base-url", "http://127.0.0.1:9", "engine.base_url=x"], 2, "--base-url"),
        ([], 2, "--base-url"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_a_code(
    arguments: list[str], code: int, said: str
) -> None:
    done = conformance(*arguments)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert said in done.stderr


def test_the_readme_counts_the_rules() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert f"{len(all_checks())} rules" in readme
    for topic, count in Counter(check.topic for check in all_checks()).items():
        assert f"| {topic} | {count} |" in readme


def test_every_rule_has_a_claim_of_its_own_and_says_what_it_checks() -> None:
    checks = all_checks()
    assert len({(check.topic, check.name) for check in checks}) == len(checks)
    assert all(check.rule.endswith(".") for check in checks)
