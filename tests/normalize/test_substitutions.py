"""Replacing words and phrases of the user's own list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlab.normalize.substitutions import substitute

TABLE = {"new york": "ny", "new york city": "nyc", "city": "town", "um": "", "ny": "wrong"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("in new york city", "in nyc"),  # the longest phrase wins
        ("in new york", "in ny"),  # and what was written is not read again
        ("new city", "new town"),
        ("um  new um york", "new york"),
        ("newyork cityscape", "newyork cityscape"),  # whole words only
        ("", ""),
    ],
)
def test_phrases_by_hand(text: str, expected: str) -> None:
    assert substitute(TABLE).apply(text) == expected


@given(words=st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=8))
def test_an_empty_list_and_a_list_of_other_words_change_nothing(words: list[str]) -> None:
    text = " ".join(words)
    assert substitute({}).apply(text) == text
    assert substitute({"e": "f", "": "g"}).apply(text) == text
