"""Alignment of plain word sequences at sclite's and at unit costs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from whisperlab.metric.alignment import count
from whisperlab.metric.costs import COSTS
from whisperlab.metric.network_alignment import align_networks
from whisperlab.metric.weighted_alignment import _long_moves, _short_moves, align_weighted
from whisperlab.normalize.network import network_of_words

WORDS = st.lists(st.sampled_from(["a", "b", "c", "dd"]), max_size=14)
SCLITE, UNIT = COSTS["sclite"], COSTS["unit"]


@given(reference=WORDS, hypothesis=WORDS)
def test_edits_hold_both_texts_and_cost_as_little_as_rapidfuzz_says(
    reference: list[str], hypothesis: list[str]
) -> None:
    for costs in (SCLITE, UNIT):
        edits = align_weighted(reference, hypothesis, costs)
        assert [edit.reference for edit in edits if edit.kind != "insertion"] == reference
        assert [edit.hypothesis for edit in edits if edit.kind != "deletion"] == hypothesis
        assert all((edit.reference == edit.hypothesis) == (edit.kind == "equal") for edit in edits)
        counts = count(edits)
        paid = (
            counts.substitutions * costs.substitution
            + counts.insertions * costs.insertion
            + counts.deletions * costs.deletion
        )
        weights = (costs.insertion, costs.deletion, costs.substitution)
        assert paid == Levenshtein.distance(reference, hypothesis, weights=weights)


@given(reference=WORDS, hypothesis=WORDS)
def test_a_long_row_is_the_same_table_as_a_short_one(
    reference: list[str], hypothesis: list[str]
) -> None:
    for costs in (SCLITE, UNIT):
        if hypothesis:
            short = _short_moves(reference, hypothesis, costs)
            assert _long_moves(reference, hypothesis, costs) == short


@given(reference=WORDS, hypothesis=WORDS)
def test_it_is_the_networks_alignment_down_to_the_ties(
    reference: list[str], hypothesis: list[str]
) -> None:
    for costs in (SCLITE, UNIT):
        network = align_networks(network_of_words(reference), network_of_words(hypothesis), costs)
        assert align_weighted(reference, hypothesis, costs) == network.edits


# What NIST's sclite 2.9 (SCTK 2.4) prints for these pairs: correct, S, D, I.
@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("a b c d", "b c d e", (3, 0, 1, 1)),
        ("a b", "c d", (0, 2, 0, 0)),
        ("a b c", "d a e", (1, 1, 1, 1)),  # 4 + 3 + 3; three substitutions cost 12
        ("a a b", "b a a", (2, 0, 1, 1)),
        ("d b a c", "c a b d", (1, 2, 1, 1)),
        ("", "a b", (0, 0, 0, 2)),
        ("a b", "", (0, 0, 2, 0)),
        ("a b c a", "c a b", (2, 0, 2, 1)),
    ],
)
def test_counts_are_sclites(
    reference: str, hypothesis: str, expected: tuple[int, int, int, int]
) -> None:
    counts = count(align_weighted(reference.split(), hypothesis.split(), SCLITE))
    correct = counts.reference_length - counts.substitutions - counts.deletions
    assert (correct, counts.substitutions, counts.deletions, counts.insertions) == expected


def test_a_meeting_of_thousands_of_words_is_aligned() -> None:
    reference = [f"w{number % 700}" for number in range(3000)]
    hypothesis = [word for number, word in enumerate(reference) if number % 10]
    counts = count(align_weighted(reference, hypothesis, SCLITE))
    assert (counts.substitutions, counts.deletions, counts.insertions) == (0, 300, 0)
