"""Alignment of alternatives, optional words, fragments and compounds: sclite and kaldialign by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlab.config.build import build_profile
from whisperlab.config.compose import compose
from whisperlab.metric.alignment import count
from whisperlab.metric.costs import COSTS
from whisperlab.metric.counts import ErrorCounts
from whisperlab.metric.network_alignment import align_networks, same_but_for_fragments
from whisperlab.metric.score import align_pair
from whisperlab.metric.weighted_alignment import align_weighted
from whisperlab.normalize.network import Token, network_of_words, read_network
from whisperlab.normalize.profile import Profile

SCLITE = build_profile(compose("eval", ["profile=sclite"]))
FORGIVING = build_profile(compose("eval", ["profile=sclite-forgiving"]))
MERGING = Profile(name="x", version="1", compound_rule="merge")

Four = tuple[int, int, int, int]


def scored(profile: Profile, reference: str, hypothesis: str) -> Four:
    """Correct words, substitutions, deletions, insertions: what sclite prints."""
    counts = count(align_pair(profile, reference, hypothesis).edits)
    correct = counts.reference_length - counts.substitutions - counts.deletions
    return correct, counts.substitutions, counts.deletions, counts.insertions


# What NIST's sclite 2.9 (SCTK 2.4) prints without options, and with -D -F.
@pytest.mark.parametrize(
    ("reference", "hypothesis", "plain", "forgiving"),
    [
        ("a { b c / d } e", "a d e", (3, 0, 0, 0), (3, 0, 0, 0)),
        ("a { b / @ } e", "A E", (2, 0, 0, 0), (2, 0, 0, 0)),
        ("a { b / @ } e", "a x e", (2, 0, 0, 1), (2, 0, 0, 1)),
        ("a", "a {b / @ }", (1, 0, 0, 0), (1, 0, 0, 0)),
        ("{ a / b }", "{ b / c }", (1, 0, 0, 0), (1, 0, 0, 0)),
        ("{ a b c d e / x }", "a b c", (3, 0, 2, 0), (3, 0, 2, 0)),
        ("b;tag", "b", (1, 0, 0, 0), (1, 0, 0, 0)),
        ("oops*", "oops", (1, 0, 0, 0), (1, 0, 0, 0)),
        ("@ a", "a", (1, 0, 0, 0), (1, 0, 0, 0)),
        ("a (b) c", "a c", (2, 0, 1, 0), (3, 0, 0, 0)),
        ("a (b) c", "a b c", (2, 1, 0, 0), (3, 0, 0, 0)),
        ("a (b) c", "a d c", (2, 1, 0, 0), (2, 1, 0, 0)),
        ("a c", "a (b) c", (2, 0, 0, 1), (3, 0, 0, 0)),
        ("fi- x", "fish x", (1, 1, 0, 0), (2, 0, 0, 0)),
        ("-sh", "fish", (0, 1, 0, 0), (1, 0, 0, 0)),
        ("(fi-) x", "fish x", (1, 1, 0, 0), (2, 0, 0, 0)),
        ("(fi-) x", "x", (1, 0, 1, 0), (2, 0, 0, 0)),
    ],
)
def test_counts_are_sclites_without_and_with_its_options(
    reference: str, hypothesis: str, plain: Four, forgiving: Four
) -> None:
    assert scored(SCLITE, reference, hypothesis) == plain
    assert scored(FORGIVING, reference, hypothesis) == forgiving


PLAIN = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3)
ALTERNATIVES = st.lists(PLAIN, min_size=1, max_size=3)
TEXT = st.lists(PLAIN.map(lambda words: [words]) | ALTERNATIVES, max_size=4)


def written(parts: list[list[list[str]]]) -> str:
    return " ".join(
        "{ " + " / ".join(" ".join(words) for words in alternatives) + " }"
        for alternatives in parts
    )


@given(reference=TEXT, hypothesis=TEXT)
def test_no_pair_of_readings_is_cheaper(
    reference: list[list[list[str]]], hypothesis: list[list[list[str]]]
) -> None:
    costs = COSTS["sclite"]

    def paid(counts: ErrorCounts) -> int:
        return (
            counts.substitutions * costs.substitution
            + counts.insertions * costs.insertion
            + counts.deletions * costs.deletion
        )

    def read(parts: list[list[list[str]]]) -> list[list[str]]:
        chosen = itertools.product(*parts)
        return [list(itertools.chain.from_iterable(words)) for words in chosen]

    cheapest = min(
        paid(count(align_weighted(said, heard, costs)))
        for said in read(reference)
        for heard in read(hypothesis)
    )
    pair = align_pair(SCLITE, written(reference), written(hypothesis))
    assert paid(count(pair.edits)) == cheapest
    assert pair.reference.split() in read(reference)
    assert pair.hypothesis.split() in read(hypothesis)
    assert [edit.reference for edit in pair.edits if edit.reference] == pair.reference.split()


def test_character_errors_are_those_of_the_readings_that_were_chosen() -> None:
    pair = align_pair(SCLITE, "a { bcd / x } e", "a bcx e")
    assert (pair.reference, pair.hypothesis) == ("a bcd e", "a bcx e")


# kaldialign 0.12: edit_distance(..., merge_compounds=True)["total"].
@pytest.mark.parametrize(
    ("reference", "hypothesis", "errors"),
    [
        ("the white paper", "the whitepaper", 0),
        ("the whitepaper", "the white paper", 0),
        ("a b c", "abc", 0),
        ("a b c d", "abc x", 1),
        ("white paper", "whitepaperx", 2),
        ("ab c", "a bc", 2),  # both sides split: no word of one is several of the other
        ("whitepaper white paper", "whitepaper whitepaper", 0),
        ("", "a b", 2),
        ("any one here", "anyone", 1),
    ],
)
def test_words_in_a_row_make_one_word_at_no_cost(
    reference: str, hypothesis: str, errors: int
) -> None:
    counts = count(align_pair(MERGING, reference, hypothesis).edits)
    assert counts.errors == errors
    assert counts.reference_length == len(reference.split())
    assert counts.hypothesis_length == len(hypothesis.split())


@given(
    reference=st.lists(st.sampled_from(["a", "b", "ab", "ba", "aab"]), max_size=6),
    hypothesis=st.lists(st.sampled_from(["a", "b", "ab", "ba", "aab"]), max_size=6),
)
def test_compounds_never_cost_more_than_words_and_the_quick_way_loses_none(
    reference: list[str], hypothesis: list[str]
) -> None:
    full = align_networks(
        network_of_words(reference), network_of_words(hypothesis), COSTS["unit"], compounds="merge"
    )
    merged = count(align_pair(MERGING, " ".join(reference), " ".join(hypothesis)).edits)
    plain = replace(MERGING, compound_rule="none")
    apart = count(align_pair(plain, " ".join(reference), " ".join(hypothesis)).edits)
    assert merged.errors == count(full.edits).errors <= apart.errors
    assert (merged.reference_length, merged.hypothesis_length) == (len(reference), len(hypothesis))


def test_a_compound_may_stand_inside_an_alternative() -> None:
    network = read_network("x { white paper / y } z", lambda run: [Token(word) for word in run])
    pair = align_networks(
        network,
        network_of_words(["x", "whitepaper", "z"]),
        COSTS["unit"],
        compounds="merge",
    )
    assert count(pair.edits).errors == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("fi-", "fi", True),
        ("fi-", "f", False),
        ("-", "-", True),
        ("--", "x", False),
        ("fi-", "fig-", True),
        ("-ish", "fish", True),
        ("a", "b", False),
    ],
)
def test_a_fragment_stands_for_what_it_begins_or_ends(one: str, other: str, same: bool) -> None:
    assert same_but_for_fragments(one, other) is same
