"""Alignment at unit costs: reconstruction, minimality, jiwer as oracle."""

from __future__ import annotations

import jiwer
from hypothesis import given
from hypothesis import strategies as st

from whisperlab.metric.alignment import Edit, align, count, count_units
from whisperlab.metric.counts import NO_ERRORS, ErrorCounts

WORDS = st.lists(st.sampled_from(["a", "b", "c", "dd", "é"]), max_size=12)


def smallest_number_of_edits(reference: list[str], hypothesis: list[str]) -> int:
    """Wagner and Fischer's table, written out."""
    row = list(range(len(hypothesis) + 1))
    for i, said in enumerate(reference, start=1):
        diagonal, row[0] = row[0], i
        for j, heard in enumerate(hypothesis, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (said != heard))
    return row[-1]


@given(reference=WORDS, hypothesis=WORDS)
def test_edits_hold_both_texts_and_are_as_few_as_possible(
    reference: list[str], hypothesis: list[str]
) -> None:
    edits = align(reference, hypothesis)
    assert [edit.reference for edit in edits if edit.kind != "insertion"] == reference
    assert [edit.hypothesis for edit in edits if edit.kind != "deletion"] == hypothesis
    assert all((edit.reference == edit.hypothesis) == (edit.kind == "equal") for edit in edits)
    assert count(edits).errors == smallest_number_of_edits(reference, hypothesis)


@given(reference=WORDS, hypothesis=WORDS)
def test_counting_without_columns_counts_the_same(
    reference: list[str], hypothesis: list[str]
) -> None:
    assert count_units(reference, hypothesis) == count(align(reference, hypothesis))


@given(reference=WORDS.filter(bool), hypothesis=WORDS)
def test_substitutions_insertions_and_deletions_are_jiwers(
    reference: list[str], hypothesis: list[str]
) -> None:
    expected = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
    assert count(align(reference, hypothesis)) == ErrorCounts(
        expected.substitutions,
        expected.insertions,
        expected.deletions,
        len(reference),
        len(hypothesis),
    )


def test_an_empty_side_is_all_insertions_or_all_deletions() -> None:
    assert align([], ["you"]) == (Edit("insertion", "", "you"),)
    assert align(["you"], []) == (Edit("deletion", "you", ""),)
    assert align([], []) == ()
    assert count(()) == NO_ERRORS
