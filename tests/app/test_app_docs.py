"""docs/app.md as written: each endpoint is called in Python and with curl, each answer compared."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile
from app_calls import CLIP
from doc_blocks import Block, blocks, difference
from gradio_client import Client
from serve_process import Running

DOCUMENT = Path(__file__).parents[2] / "docs" / "app.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
BLOCKS = blocks(DOCUMENT)
ADDRESS = "http://127.0.0.1:7860"
MOST_PICTURE_BYTES = 150_000


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the sounds of the examples."""
    if shutil.which("curl") is None:
        pytest.skip("the examples need curl: apt-get install curl")
    shutil.copy(CLIP, tmp_path / "digits.flac")
    samples, rate = soundfile.read(CLIP)
    soundfile.write(tmp_path / "digits.wav", samples, rate, "PCM_16")
    return tmp_path


def shell(command: str, folder: Path) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    found = subprocess.run(
        ["bash", "-c", command], cwd=folder, env={**os.environ, "PATH": path},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return found.stdout


def printed(content: str, block: Block, folder: Path, names: dict[str, Any]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.chdir(folder):
        exec(compile(content, f"{DOCUMENT.name}:{block.line}", "exec"), names)
    return out.getvalue()


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # an example is short
def test_every_answer_is_as_written(page: Running, place: Path) -> None:
    names: dict[str, Any] = {}
    functions, wrong, ran = "", [], 0
    for block in BLOCKS:
        content = block.content.replace(ADDRESS, page.base_url)
        if block.name == "page":
            functions = content
        elif block.language == "python":
            shown = printed(content, block, place, names)
        elif block.language == "sh":
            shown = shell(functions + content, place)
        if block.expected is not None:
            unlike = difference(block.expected, shown)
            wrong += [f"line {block.line}: {unlike}"] if unlike else []
            ran += 1
    assert wrong == []
    assert ran == 20


def test_every_endpoint_has_a_call_of_each_kind(page: Running) -> None:
    described: Any = Client(page.base_url, verbose=False).view_api(
        return_format="dict", print_info=False
    )
    endpoints = {name.removeprefix("/") for name in described["named_endpoints"]}
    in_python = {name for one in BLOCKS if one.language == "python" for name in re.findall(r'api_name="/(\w+)"', one.content)}  # fmt: skip
    in_shell = {name for one in BLOCKS if one.language == "sh" for name in re.findall(r"\bcall (\w+)", one.content)}  # fmt: skip
    assert (in_python, in_shell) == (endpoints, endpoints)


def test_every_tab_has_a_small_picture() -> None:
    named = re.findall(r"!\[[^\]]*\]\((\S+?)\)", TEXT)
    sizes = {name: (DOCUMENT.parent / name).stat().st_size for name in named}
    assert len(sizes) == 7
    assert max(sizes.values()) < MOST_PICTURE_BYTES
