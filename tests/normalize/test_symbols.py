"""Character rules shared by Whisper's normalisers."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlab.normalize.symbols import (
    remove_bracketed,
    symbols_to_spaces,
    symbols_to_spaces_keeping_marks,
    symbols_to_spaces_without_diacritics,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a [b] c", "a  c"),
        ("a <b> c", "a  c"),
        ("a (b) c", "a  c"),
        ("a () c", "a () c"),  # an empty parenthesis is no comment
        ("a [b c", "a [b c"),  # never closed
        ("[mixed>", ""),
    ],
)
def test_brackets_go_with_what_they_hold(text: str, expected: str) -> None:
    assert remove_bracketed(text) == expected


def test_diacritics_stay_or_go_by_rule() -> None:
    assert symbols_to_spaces("Zoë") == "Zoë"
    assert symbols_to_spaces_without_diacritics("Zoë Ærøskøbing ẞ þing", keep="") == (
        "Zoe AEroskobing SS thing"
    )


def test_kept_symbols_survive_and_the_others_become_spaces() -> None:
    assert symbols_to_spaces_without_diacritics("5% of $1.50!", keep=".%$") == "5% of $1.50 "


@pytest.mark.parametrize("sign", "<[(")
def test_a_looping_models_brackets_stay_and_do_not_hang(sign: str) -> None:
    # Searched from each of them to the end, these would be 2e10 steps.
    text = "a (b) [c] " + sign * 200_000
    assert remove_bracketed(text) == "a   " + sign * 200_000


@given(st.text(st.characters(codec="ascii")))
def test_ascii_texts_lose_exactly_their_symbols(text: str) -> None:
    expected = "".join(
        " " if unicodedata.category(character)[0] in "MSP" else character for character in text
    )
    assert symbols_to_spaces(text) == symbols_to_spaces_keeping_marks(text) == expected
