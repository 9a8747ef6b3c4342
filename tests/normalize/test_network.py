"""Reading sclite's notation of alternatives."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlab.errors import DatasetError
from whisperlab.normalize.network import (
    MAX_DEPTH,
    Network,
    Token,
    network_of_words,
    read_network,
    written_word,
)


def tokens(run: Sequence[str]) -> list[Token]:
    return [Token(word) for word in run]


def readings(network: Network) -> set[tuple[str, ...]]:
    """Every path from the start to an end, without the arcs that are no word."""

    def before(arc: int) -> set[tuple[str, ...]]:
        if arc == 0:
            return {()}
        word = network.arcs[arc].word
        own = (word,) if word else ()
        return {(*path, *own) for source in network.arcs[arc].before for path in before(source)}

    return {path for last in network.last for path in before(last)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b", {"a b"}),
        ("", {""}),
        ("a { b / c d } e", {"a b e", "a c d e"}),
        ("{a/b}", {"a", "b"}),  # spaces are not needed
        ("a {b/@}c", {"a b c", "a c"}),
        ("{ a { b / c } / d }", {"a b", "a c", "d"}),
        ("{ a / { b / { c / d } } }", {"a", "b", "c", "d"}),
        ("a @ b", {"a b"}),
        ("{ a / / b / }", {"a", "b"}),  # nothing between two slashes is no alternative
        ("x;t { y;u/z* } and/or", {"x y and/or", "x z and/or"}),
    ],
)
def test_every_reading_is_found(text: str, expected: set[str]) -> None:
    assert readings(read_network(text, tokens)) == {tuple(path.split()) for path in expected}


@given(words=st.lists(st.sampled_from(["a", "b", "c"]), max_size=6))
def test_a_plain_text_is_its_words(words: list[str]) -> None:
    assert read_network(" ".join(words), tokens) == network_of_words(words)


def test_arcs_come_after_those_before_them_and_alternatives_in_their_order() -> None:
    network = read_network("a { b c / d } e { f / g }", tokens)
    assert [arc.word for arc in network.arcs] == ["", "a", "b", "d", "c", "e", "f", "g"]
    for number, arc in enumerate(network.arcs):
        assert all(before < number for before in arc.before)
    assert [network.arcs[number].word for number in network.arcs[5].before] == ["c", "d"]


def test_rules_get_each_run_of_words_on_its_own() -> None:
    seen: list[tuple[str, ...]] = []

    def watch(run: Sequence[str]) -> list[Token]:
        seen.append(tuple(run))
        return tokens(run)

    read_network("a b { c d / e } f @ g", watch)
    assert sorted(seen) == [("a", "b"), ("c", "d"), ("e",), ("f",), ("g",)]


def test_an_alternative_that_a_profile_leaves_nothing_of_is_no_word() -> None:
    network = read_network("a { uh / b }", lambda run: tokens([w for w in run if w != "uh"]))
    assert readings(network) == {("a",), ("a", "b")}


@pytest.mark.parametrize(
    "text", ["{ a / b", "a }", "a } b", "{ }", "{ / }", "a{b / c}", "{ a { b }"]
)
def test_braces_that_do_not_match_are_refused(text: str) -> None:
    with pytest.raises(DatasetError):
        read_network(text, tokens)


def test_nesting_is_bounded() -> None:
    deep = MAX_DEPTH + 1
    with pytest.raises(DatasetError, match="nested deeper"):
        read_network("{" * deep + "a" + "}" * deep, tokens)


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("b", "b"),
        ("b;one;two", "b"),
        ("c;;two", "c"),
        (r"aa\;a", "aa;a"),
        (r"b\;b;x\;y", "b;b"),
        ("oops*", "oops"),
        ("*", "*"),
        (";", ""),
    ],
)
def test_tags_escapes_and_stars_go(token: str, expected: str) -> None:
    assert written_word(token) == expected
