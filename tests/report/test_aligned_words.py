"""Several hypotheses under one reference: columns by hand, no word lost, times where they are known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlab.metric.alignment import align
from whisperlab.report.aligned_words import (
    Column,
    columns,
    hypothesis_words,
    same_reference,
    word_starts,
)
from whisperlab.transcript import Segment, Word
from whisperlab.utterance import Outcome, State


def shown(reference: str, *hypotheses: str) -> list[tuple[str, tuple[str, ...]]]:
    alignments = [align(reference.split(), text.split()) for text in hypotheses]
    untimed: list[list[float | None]] = [[None] * len(text.split()) for text in hypotheses]
    return [(column.reference, column.hypotheses) for column in columns(alignments, untimed)]


def test_insertions_of_both_runs_share_a_column_in_front_of_their_word() -> None:
    assert shown("a b", "a x b", "a y z b w") == [
        ("a", ("a", "a")),
        ("", ("x", "y")),
        ("", ("", "z")),
        ("b", ("b", "b")),
        ("", ("", "w")),
    ]


def test_a_missed_word_keeps_its_column() -> None:
    assert shown("a b c", "a c", "a x c") == [
        ("a", ("a", "a")),
        ("b", ("", "x")),
        ("c", ("c", "c")),
    ]


def test_without_words_there_are_no_columns() -> None:
    assert shown("", "", "") == []


words = st.lists(st.sampled_from("abcd"), max_size=10)


@given(reference=words, first=words, second=words)
def test_every_line_reads_as_its_text(
    reference: list[str], first: list[str], second: list[str]
) -> None:
    found = shown(" ".join(reference), " ".join(first), " ".join(second))
    assert [said for said, _ in found if said] == reference
    assert [heard[0] for _, heard in found if heard[0]] == first
    assert [heard[1] for _, heard in found if heard[1]] == second


def test_a_column_has_the_time_of_the_first_run_that_heard_a_word_there() -> None:
    alignments = [align(["a", "b", "c"], text.split()) for text in ("a c", "a b c")]
    found = columns(alignments, [[0.1, None], [0.2, 0.6, 0.9]])
    assert [column.start for column in found] == [0.1, 0.6, 0.9]


def test_a_word_that_nobody_heard_has_the_time_of_the_one_before() -> None:
    alignments = [align(["a", "b"], ["a"])] * 2
    assert columns(alignments, [[0.4], [0.5]])[1] == Column("b", ("", ""), 0.4)


def test_a_hypothesis_scored_against_an_alternative_is_aligned_with_the_first_reference() -> None:
    first, second = align(["do", "not", "go"], ["do", "go"]), align(["don't", "go"], ["go"])
    realigned = same_reference([first, second])
    assert realigned[0] is first
    assert [edit.reference for edit in realigned[1]] == ["do", "not", "go"]
    assert hypothesis_words(realigned[1]) == ["go"]


def heard(text: str, *segments: Segment) -> Outcome:
    return Outcome("a", State.OK, "", text, audio_seconds=10.0, segments=segments)


def test_word_times_are_the_engines() -> None:
    spoken = Segment(
        0.0, 4.0, " Good, morning", words=(Word(0.5, 1.0, " Good,"), Word(1.5, 2.0, " morning"))
    )
    found = word_starts(
        heard("Good, morning", spoken), ["good", "morning"], lambda text: text.strip(" ,").lower()
    )
    assert found == [0.5, 1.5]


def test_inside_a_segment_a_word_starts_at_its_share_of_the_characters() -> None:
    # "ab cd ef" from 2 to 10 s: words at characters 0, 3 and 6 of 8
    assert word_starts(heard("", Segment(2.0, 10.0, "ab cd ef")), ["ab", "cd", "ef"], str) == [
        2.0,
        5.0,
        8.0,
    ]


def test_without_segments_the_whole_recording_is_one() -> None:
    assert word_starts(heard("ab cd"), ["ab", "cd"], str) == pytest.approx([0.0, 6.0])


def test_words_that_the_normaliser_joins_or_drops_keep_the_others_times() -> None:
    numbers = {"twenty": "20", "one": "1", "uh": ""}
    spoken = Segment(
        0.0,
        4.0,
        "uh twenty one cats",
        words=tuple(
            Word(float(n), n + 0.5, text) for n, text in enumerate(["uh", "twenty", "one", "cats"])
        ),
    )
    found = word_starts(
        heard("uh twenty one cats", spoken), ["21", "cats"], lambda text: numbers.get(text, text)
    )
    assert found[1] == 3.0
    assert found[0] in (1.0, 2.0)


def test_a_run_without_times_has_none() -> None:
    silent = Outcome("a", State.OK, "", "ab cd")
    assert word_starts(silent, ["ab", "cd"], str) == [None, None]
