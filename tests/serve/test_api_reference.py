"""docs/api_reference.md as written: its servers are started, its requests sent, its answers compared."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from described import violations
from doc_blocks import Block, blocks, difference
from openai import OpenAI
from serve_process import Running, listening_server

from whisperlab.serve.openapi.document import openapi_document
from whisperlab.serve.openapi.samples import BASE_URL, SOUND
from whisperlab.serve.problems import STATUS_OF_CODE, ApiError

REFERENCE = Path(__file__).parents[2] / "docs" / "api_reference.md"
TEXT = REFERENCE.read_text(encoding="utf-8")
BLOCKS = blocks(REFERENCE)
SERVE = re.compile(r"python -m whisperlab\.serve\s")
FIRST = "first"
"""What the server is called that a block asks unless it names another."""

CURL = """\
#!/bin/sh
# curl that also leaves head, body and address of each answer in $TRACES.
trace="$TRACES/$$"
{curl} -D "$trace.head" -w '%{{stderr}}%{{method}} %{{url_effective}}\\n' "$@" \
  > "$trace.body" 2> "$trace.address"
status=$?
cat "$trace.body"
exit $status
"""


@dataclass
class Place:
    """A folder with the sounds of the examples, and one server that blocks can ask."""

    folder: Path
    names: dict[str, Any] = field(default_factory=dict)
    server: Running | None = None
    clients: list[OpenAI] = field(default_factory=list)

    @property
    def base_url(self) -> str:
        return BASE_URL if self.server is None else self.server.base_url

    def run(self, block: Block) -> str:
        """Returns what a block prints."""
        content = block.content.replace(BASE_URL, self.base_url)
        if block.language == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed), contextlib.chdir(self.folder):
                exec(compile(content, f"{REFERENCE.name}:{block.line}", "exec"), self.names)
            self.clients += [one for one in self.names.values() if isinstance(one, OpenAI)]
            return printed.getvalue()
        pid = "" if self.server is None else str(self.server.process.pid)
        return self.shell(content, SERVER=pid)

    def shell(self, command: str, **variables: str) -> str:
        path = f"{self.folder}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"
        found = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env={**os.environ, "PATH": path, "TRACES": f"{self.folder}/traces", **variables},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return found.stdout


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("the examples need curl: apt-get install curl")
    (tmp_path / "bin").mkdir()
    (tmp_path / "traces").mkdir()
    traced = tmp_path / "bin" / "curl"
    traced.write_text(CURL.format(curl=curl), encoding="utf-8")
    traced.chmod(0o755)
    made = Place(tmp_path)
    for block in BLOCKS:
        if block.name == "files":
            made.run(block)
    shutil.copy(tmp_path / "speech.flac", tmp_path / SOUND)
    yield made
    for client in made.clients:
        client.close()


def samples() -> Iterator[Block]:
    """Yields the examples of the OpenAPI document, which must print something."""
    for item in openapi_document()["paths"].values():
        for operation in item.values():
            for language, sample in zip(("sh", "python"), operation["x-codeSamples"], strict=True):
                printed = Block("text", None, "<anything>", 0)
                yield Block(language, None, sample["source"], 0, printed)


def differences(place: Place, name: str) -> list[str]:
    """Runs all blocks of one server in their order; returns what they print otherwise than shown."""
    wrong = []
    chosen = [block for block in BLOCKS if (block.name or FIRST) == name]
    with contextlib.ExitStack() as stack:
        for block in [*chosen, *(samples() if name == FIRST else ())]:
            if block.language not in ("sh", "python"):
                continue
            if SERVE.match(block.content):
                words = shlex.split(block.content.replace("\\\n", " "))
                # No weights of this machine: a configuration without any is a part of the examples.
                nothing = {"HF_HOME": str(place.folder), "HF_HUB_OFFLINE": "1"}
                place.server = stack.enter_context(
                    listening_server(place.folder, *words[3:], environment=nothing)
                )
                continue
            printed = place.run(block)
            unlike = difference(block.expected, printed) if block.expected else None
            if unlike is not None:
                wrong.append(f"line {block.line}: {unlike}")
    return wrong


def undescribed(folder: Path) -> Iterator[str]:
    """Yields what of the answers that came is not in the OpenAPI document."""
    for address in sorted(folder.glob("*.address")):
        asked = address.read_text(encoding="utf-8").split()
        if len(asked) != 2:  # several addresses at once
            continue
        path = re.sub(r"^https?://[^/]+", "", asked[1])
        head = address.with_suffix(".head").read_text(encoding="utf-8")
        lines = head.strip().rpartition("HTTP/1.1 ")[2].splitlines()
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])
        }
        body = address.with_suffix(".body").read_bytes().decode("utf-8").replace("\r\n", "\n")
        if body.startswith("HTTP/1.1"):
            body = body.rpartition("HTTP/1.1")[2].partition("\n\n")[2]
        if body:
            yield from violations(asked[0], path, int(lines[0].split()[0]), headers, body)


# The client calls its translations.create deprecated; the route is the one that OpenAI has.
@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    "name",
    [
        FIRST,
        pytest.param("keys", marks=pytest.mark.slow),
        pytest.param("slow", marks=pytest.mark.slow),
    ],
)
def test_answers_are_as_written_and_as_described(place: Place, name: str) -> None:
    assert differences(place, name) == []
    assert list(undescribed(place.folder / "traces")) == []
    if name == FIRST:
        assert len(list((place.folder / "traces").glob("*.body"))) > 40


def entries() -> dict[str, str]:
    """Returns the text of each error's entry by its heading."""
    parts = re.split(r"^#{2,3} (.*)$", TEXT[TEXT.index("\n## Errors") :], flags=re.MULTILINE)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    return {heading: text for heading, text in found.items() if heading.startswith("`")}


def test_every_code_has_its_entry_and_every_entry_a_code() -> None:
    assert sorted(entries()) == sorted(
        f"`{code}` · {status}" for code, status in STATUS_OF_CODE.items()
    )


@pytest.mark.parametrize("heading", entries())
def test_an_entry_says_why_and_shows_the_answer(heading: str) -> None:
    code = heading.split("`")[1]
    text = entries()[heading]
    assert len(text.partition("```")[0].split()) > 4
    shown = re.findall(r'\{"error": .*?\}\}', text.replace("\n  ", " "), re.DOTALL)
    assert shown
    for answer in shown:
        error = json.loads(answer.replace("<number>", "0"))["error"]
        assert error["message"]
        assert error == ApiError(code, error["message"], error["param"]).body()["error"]
