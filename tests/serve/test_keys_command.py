from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from key_files import ADDRESS, COMMAND, refusal, stored, write

from whisperlab.serve.keys import Caller, KeyRing
from whisperlab.serve.keys.__main__ import main
from whisperlab.serve.keys.key_file import read_keys


def keys_command(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, **options
    )


def test_a_key_is_made_used_listed_without_its_digest_and_revoked(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    made = keys_command(
        "create", "alice", "--file", str(file), "--expires", "2999-01-01",
        "--requests-per-minute", "60", "--audio-seconds-per-minute", "90.5", "--in-flight", "2",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    key = made.stdout.removesuffix("\n")
    assert file.stat().st_mode & 0o777 == 0o600
    assert key not in file.read_text()
    assert sha256(key.encode()).hexdigest() in file.read_text()
    caller = KeyRing(file).identify([f"Bearer {key}"], ADDRESS)
    assert caller == Caller("alice", False, 60, 90.5, 2)

    listed = keys_command("list", "--file", str(file))
    assert listed.returncode == 0
    heading, row = listed.stdout.splitlines()
    assert heading.split()[0] == "name"
    assert row.split()[0] == "alice"
    assert row.split()[3:] == ["2999-01-01T00:00:00+00:00", "60", "90.5", "2"]
    digest = sha256(key.encode()).hexdigest()
    assert digest[:8] in row
    assert digest[:9] not in row
    assert key not in listed.stdout + listed.stderr

    revoked = keys_command("revoke", "alice", "--file", str(file))
    assert revoked.returncode == 0
    assert refusal(KeyRing(file), f"Bearer {key}").code == "invalid_api_key"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "create|list|revoke"),
        (["create", "bob"], "--file"),
        (["create", "--file", "F"], "NAME"),
        (["create", "bob", "--file", "F", "--expires", "soon"], "--expires: expected a date"),
        (["create", "bob", "--file", "F", "--expires", "2020-01-01"], "has passed"),
        (["create", "bob", "--file", "F", "--in-flight", "0"], "--in-flight"),
        (["create", "bob", "--file", "F", "--in-flight", "x"], "--in-flight"),
        (["create", "bob", "--file", "F", "--audio-seconds-per-minute", "nan"], "--audio-seconds"),
        (["create", "b/b", "--file", "F"], "NAME"),
        (["create", "alice", "--file", "F"], "a key called alice exists"),
        (["create", "wl_canary", "--file", "F"], "that is a key"),
        (["revoke", "wl_canary", "--file", "F"], "no key has that name"),
        (["revoke", "bob", "--file", "no.json"], "no such file"),
        (["list", "--file", "no.json"], "no such file"),
        (["list", "--file", "."], "cannot read"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(
    tmp_path: Path,
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = write(tmp_path / "F", stored("alice", "wl_alice"))
    before = file.read_bytes()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["keys", *arguments])
    try:
        code: object = main()
    except SystemExit as stop:  # argparse's way out
        code = stop.code
    printed = capsys.readouterr()
    assert code == 2
    assert said in printed.err
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert "canary" not in printed.err
    assert printed.out == ""
    assert file.read_bytes() == before


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_key_that_nobody_could_read_is_taken_back(tmp_path: Path, unbuffered: str) -> None:
    file = write(tmp_path / "F", stored("alice", "wl_alice"))
    with Path("/dev/full").open("w") as full:
        finished = subprocess.run(
            [*COMMAND, "create", "bob", "--file", str(file)],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
    assert finished.returncode == 74
    assert finished.stderr == (
        "error: cannot print the key (No space left on device); none was made\n"
    )
    assert [key.name for key in read_keys(file).keys] == ["alice"]
