"""The rule of the profile ``basic`` against transformers' copy of openai/whisper's class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whisperlab.normalize.protocol import Normaliser, RuleList
from whisperlab.normalize.whisper_basic import WhisperBasic

BASIC = WhisperBasic()


@pytest.fixture(scope="module")
def oracle() -> Any:
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer

    return BasicTextNormalizer()


def test_whisper_basic_is_a_normaliser() -> None:
    assert isinstance(BASIC, Normaliser)
    assert isinstance(BASIC, RuleList)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World!", "hello world "),
        ("[music] one (two) three", " one three"),
        ("one two three", "one two three"),  # digit words are not glued
        ("ﬁne ①", "fine 1"),  # NFKC
        ("नमस्ते", "नमस त "),  # marks become spaces: Hindi shatters, as in Whisper
        ("İ", "i "),  # lower case makes a combining dot, which is a mark
        ("...", " "),
        ("", ""),
    ],
)
def test_basic_rules_by_hand(text: str, expected: str) -> None:
    assert BASIC(text) == expected


@given(text=st.text(max_size=60) | st.text(alphabet="aZé <>[]()'.,\t\n-ßﬁ", max_size=30))
@settings(deadline=None)  # the machine may be busy
def test_any_text_comes_out_as_openais_rules_leave_it(oracle: Any, text: str) -> None:
    assert BASIC(text) == oracle(text)


def test_real_references_in_nine_languages_come_out_as_openais_rules_leave_them(
    oracle: Any, test_data: Path
) -> None:
    texts = [
        json.loads(line)["text"]
        for name in ("english_dev", "multilingual")
        for line in (test_data / name / "manifest.jsonl").read_text().splitlines()
    ]
    assert len(texts) == 265 + 70
    for text in texts:
        assert BASIC(text) == oracle(text)


MARKS = WhisperBasic(marks="kept")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("नमस्ते, दुनिया!", "नमस्ते दुनिया "),
        ("สวัสดี (เสียงหัวเราะ)", "สวัสดี "),
        ("N\u0303ande", "ñande"),  # composed by NFKC
        ("ẽ\u0301", "ẽ\u0301"),  # what Unicode cannot compose stays one word
        ("İ", "i\u0307"),
    ],
)
def test_marks_that_are_kept_do_not_break_words(text: str, expected: str) -> None:
    assert MARKS(text) == expected
    assert len(MARKS(text).split()) == len(expected.split())


@given(text=st.text(alphabet="aZé <>[]()'.,\t\n-ßﬁ東", max_size=30))
@settings(deadline=None)  # the machine may be busy
def test_texts_without_marks_come_out_the_same_with_and_without_them(text: str) -> None:
    assert MARKS(text) == BASIC(text)


def test_keeping_marks_is_another_identity() -> None:
    assert MARKS.identity() != BASIC.identity()
