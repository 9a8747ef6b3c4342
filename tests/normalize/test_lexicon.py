"""Lexicons and their hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from whisperlab.normalize.lexicon import Lexicon, WhisperSpelling, lexicon_hash


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
