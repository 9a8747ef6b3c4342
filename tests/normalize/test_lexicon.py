"""Lexicons and their hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from whisperlab.errors import ConfigError
from whisperlab.normalize.lexicon import Lexicon, LexiconFile, WhisperSpelling, lexicon_hash


@dataclass
class Table:
    table: Mapping[str, str]


def test_whisper_spelling_is_a_lexicon_of_1739_words() -> None:
    assert isinstance(WhisperSpelling(), Lexicon)
    assert len(WhisperSpelling().table) == 1739


def test_no_replacement_of_the_mended_table_holds_markup() -> None:
    assert [word for word in WhisperSpelling().table.values() if "<" in word] == []


def test_hash_depends_on_content_not_on_order() -> None:
    forwards = Table({"a": "b", "c": "d"})
    backwards = Table({"c": "d", "a": "b"})
    assert lexicon_hash(forwards) == lexicon_hash(backwards)
    assert lexicon_hash(forwards) != lexicon_hash(Table({"a": "b", "c": "e"}))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, r"cannot be read \(No such file or directory\); give the path of a JSON file$"),
        ("{", "expected a JSON file"),
        ("[" * 100_000, "expected a JSON file"),
        ("[]", "expected an object of texts to texts"),
        ('{"a": 1}', "expected an object of texts to texts"),
    ],
)
def test_a_file_that_holds_no_table_is_refused_with_its_path(
    content: str | None, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "words.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=f"words.json: {expected}"):
        _ = LexiconFile(path).table


def test_a_file_gives_its_table_and_a_section_one_of_several(tmp_path: Path) -> None:
    path = tmp_path / "words.json"
    path.write_text('{"a": "b"}')
    assert LexiconFile(path).table == {"a": "b"}
    path.write_text('{"names": {"a": "b"}, "rest": {}}')
    assert LexiconFile(path, "names").table == {"a": "b"}
