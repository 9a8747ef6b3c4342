"""README.md is true: every line that needs nothing from elsewhere is typed, and no block escapes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from document_run import CHECKOUT, NEEDS, blocks, lines, run

from whisperlab.dataset.demo import FOLDER

README = CHECKOUT / "README.md"
EXCUSES = {"a checkout", "a checkpoint", "the network", "the Hub", "a key"}
"""All that a line may need in order not to be executed here."""


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A reader's folder: the recordings that README.md speaks of."""
    (tmp_path / "audio").mkdir()
    for name in ("audio/0001.flac", "talk.flac"):
        shutil.copy(FOLDER / "digits-04.flac", tmp_path / name)
    return tmp_path


@pytest.mark.slow
def test_every_line_works(recordings: Path) -> None:
    typed = run(README, recordings)
    assert len(typed) > 20


def test_every_block_is_executed_or_written_or_shown() -> None:
    kinds = {(block.language, block.title is not None) for block in blocks(README)}
    assert kinds <= {("sh", False), ("python", False), ("python", True), ("yaml", True), ("json", True), ("text", False)}  # fmt: skip
    shown = [block.content for block in blocks(README) if block.language == "text"]
    assert all("python -m" not in content for content in shown)


def test_a_line_is_left_out_for_a_known_reason_only() -> None:
    left_out = [
        line
        for block in blocks(README)
        if block.language == "sh"
        for line in lines(block.content)
        if NEEDS.search(line)
    ]
    assert left_out
    for line in left_out:
        assert any(f"needs {excuse}" in line for excuse in EXCUSES), line


def test_the_tree_shows_what_is_there() -> None:
    (tree,) = (block.content for block in blocks(README) if block.language == "text")
    for name in re.findall(r"^([\w]+)/", tree, re.MULTILINE):
        assert (CHECKOUT / name).is_dir()
    inside = re.findall(r"^  (\S.*?)  ", tree, re.MULTILINE)
    named = {part.rstrip("/") for line in inside for part in line.split()}
    for name in named:
        assert (CHECKOUT / "whisperlab" / name).exists(), name
    there = {path.name for path in (CHECKOUT / "whisperlab").iterdir()}
    assert there - named <= {"__pycache__", "conf", "__init__.py", "__main__.py", "py.typed"}


def test_the_table_of_groups_names_every_choice() -> None:
    rows = re.findall(
        r"^\| `(\w+)`(?: \([^|]*\))? \| (.*) \|$", README.read_text("utf-8"), re.MULTILINE
    )
    assert len(rows) > 8
    for group, choices in rows:
        stems = {
            path.stem.removesuffix(".en") for path in (CHECKOUT / "conf" / group).glob("*.yaml")
        }
        named = set(re.findall(r"`([\w.-]+)`", choices))
        assert stems - {"none"} <= named, group


def test_it_is_short_enough_to_be_read() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) < 400


def test_the_picture_of_the_terminal_fetches_nothing_and_is_whole() -> None:
    picture = (CHECKOUT / "docs" / "make-eval.svg").read_text(encoding="utf-8")
    assert "WER" in picture
    assert not re.findall(r"(?:url\(|href=)[\"']?https?:", picture)
