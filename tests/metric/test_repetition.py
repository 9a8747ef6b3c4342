"""Loops by hand and against a search through every stretch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlab.metric.repetition import Loop, longest_loop, repeats_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("thanks for watching", None),
        ("a b a c a", None),
        ("no no", Loop(("no",), 2)),
        ("no no no no", Loop(("no",), 4)),
        ("so a b a b a b a then", Loop(("a", "b"), 3)),
        ("a a b c d b c d e", Loop(("b", "c", "d"), 2)),
    ],
)
def test_the_loop_that_covers_most_words_is_found(text: str, expected: Loop | None) -> None:
    assert longest_loop(text.split(), 8) == expected


def test_a_phrase_longer_than_asked_for_is_no_loop() -> None:
    assert longest_loop(["a", "b", "c", "a", "b", "c"], 2) is None
    assert longest_loop(["a", "b", "c", "a", "b", "c"], 3) == Loop(("a", "b", "c"), 2)


def test_repeats_are_counted_in_a_row_only() -> None:
    assert repeats_of(("a", "b"), ["a", "b", "x", "a", "b", "a", "b"]) == 2
    assert repeats_of(("a", "b", "c"), ["a", "b"]) == 0


@given(st.lists(st.sampled_from("abc"), max_size=24), st.integers(1, 6))
def test_no_stretch_repeats_over_more_words_than_the_loop(words: list[str], size: int) -> None:
    found = longest_loop(words, size)
    covered = 0 if found is None else found.repeats * len(found.phrase)
    best = 0
    for length in range(1, size + 1):
        for start in range(len(words)):
            phrase, repeats = words[start : start + length], 1
            while words[start + repeats * length : start + (repeats + 1) * length] == phrase:
                repeats += 1
            if repeats > 1 and len(phrase) == length:
                best = max(best, repeats * length)
    assert covered == best
    if found is not None:
        assert repeats_of(found.phrase, words) == found.repeats
