"""The doctor says what works here, tells no secrets, and its self-test can fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from whisperlab.doctor.examination import (
    Attempt,
    SelfTest,
    attempt,
    examine,
    extras,
    without_folders,
)
from whisperlab.doctor.words import lines


def doctor(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "whisperlab.doctor", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_it_passes_here_and_tells_neither_folder_nor_key(tmp_path: Path) -> None:
    cache = tmp_path / "secret-folder"
    blobs = cache / "models--openai--whisper-tiny" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "x").write_bytes(bytes(2_500_000))
    (cache / "models--mycompany--secret-model").mkdir()
    finished = doctor(
        "--quick", "--json", HF_HUB_CACHE=str(cache), HF_TOKEN="hf_secret", OMP_NUM_THREADS="1"
    )
    assert finished.returncode == 0, finished.stderr
    found = json.loads(finished.stdout)
    assert found["self_test"]["attempt"]["text"] == found["self_test"]["expected"]
    assert found["versions"]["torch"]
    assert found["variables"] == {
        **found["variables"], "OMP_NUM_THREADS": "1", "HF_TOKEN": "(set)", "HF_HUB_CACHE": "(set)",
    }  # fmt: skip
    assert found["cache"] == {"models": [["tiny", 2.5]], "others": 1}
    for secret in ("hf_secret", "secret-folder", "mycompany", str(Path.home()) + "/", os.getcwd()):
        assert secret not in finished.stdout


def test_a_precision_that_this_engine_lacks_says_why() -> None:
    refused = attempt("int8")
    assert refused.problem is not None
    assert "bnb_int8" in refused.problem
    assert refused.text is None


def test_a_library_that_is_missing_is_named_and_fails_the_self_test(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    found = examine(("none",))
    assert not found.self_test.passed
    last = list(lines(found))[-1]
    assert last.startswith("self-test   FAILED: expected ")
    assert "transformers" in last


def test_a_wrong_text_fails_the_self_test() -> None:
    assert SelfTest("one two", Attempt("none", None, "one two")).passed
    assert not SelfTest("one two", Attempt("none", None, "one")).passed
    assert not SelfTest("one two", Attempt("none", "out of memory")).passed


def test_the_optional_parts_are_those_of_the_project() -> None:
    found = {extra.name: extra for extra in extras()}
    assert "dev" not in found
    assert found["vad"].packages == ("onnxruntime", "silero-vad")


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("no such file: /home/anna/x.wav", "no such file: (path)"),
        ("see ~/models/tiny, please", "see (path), please"),
        ("pip install 'whisperlab[bnb]'", "pip install 'whisperlab[bnb]'"),
        ("see https://hf.co/openai/x", "see https://hf.co/openai/x"),
    ],
)
def test_a_message_loses_its_folders(message: str, shown: str) -> None:
    assert without_folders(message) == shown
