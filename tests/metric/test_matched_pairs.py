"""MAPSSWE: NIST's own example, segments cut by hand, edges."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from whisperlab.metric.alignment import Edit, Kind, align
from whisperlab.metric.matched_pairs import Segment, matched_pairs, p_by_utterance, segments

KINDS: dict[str, Kind] = {
    "C": "equal",
    "S": "substitution",
    "D": "deletion",
    "I": "insertion",
}


def sgml_alignments(path: Path) -> list[tuple[Edit, ...]]:
    """The alignments of sclite's sgml output: ``C,"yeah","yeah",...:D,"how",,,:S,"do","but",...``."""
    bodies = re.findall(r"<PATH [^\n]*\n(.*?)</PATH>", path.read_text(), flags=re.DOTALL)
    found = []
    for body in bodies:
        columns = [next(csv.reader([column])) for column in body.strip().split(":") if column]
        found.append(tuple(Edit(KINDS[c[0]], c[1], c[2]) for c in columns))
    return found


def test_nists_significance_data_give_nists_statistic(test_data: Path) -> None:
    first = sgml_alignments(test_data / "sclite" / "file1.sgml")
    second = sgml_alignments(test_data / "sclite" / "file2.sgml")
    assert [len(edits) for edits in first] == [1, 13]
    # SCTK subtracts the second system's errors from the first's
    result = matched_pairs(
        segment for pair in zip(second, first, strict=True) for segment in segments(*pair)
    )
    assert result.segments == 3
    shown = (f"{result.mean:.3f}", f"{result.deviation:.3f}", f"{result.z:.3f}")
    assert shown == ("0.667", "0.577", "2.000")
    assert result.p == pytest.approx(0.0455, abs=0.0001)  # two-sided normal: "Stat Diff: Yes"
    cut = [segments(*pair) for pair in zip(first, second, strict=True)]
    assert cut == [[Segment(1, 0)], [Segment(5, 5), Segment(3, 2)]]


def of(reference: str, hypothesis: str) -> tuple[Edit, ...]:
    return align(reference.split(), hypothesis.split())


SAID = "a b c d e f g h"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (SAID, SAID, []),
        ("X b c d e f g h", SAID, [Segment(1, 0)]),
        ("X b c Y e f g h", SAID, [Segment(1, 0), Segment(1, 0)]),  # two correct between: b c
        ("X b Y d e f g h", SAID, [Segment(2, 0)]),  # one correct between: b
        ("X b c d e f g h", "a b Y d e f g h", [Segment(1, 1)]),  # b alone is correct in both
        ("X b c d e f g h", "a b c Y e f g h", [Segment(1, 0), Segment(0, 1)]),
        ("X b c d e f g Y", SAID, [Segment(1, 0), Segment(1, 0)]),  # the end ends a segment
        ("X b N c d e f g h", SAID, [Segment(2, 0)]),  # an insertion is no correct word
        ("X b c N d e f g h", SAID, [Segment(1, 0), Segment(1, 0)]),
        ("a b c d e f g h N N", SAID, [Segment(2, 0)]),
        ("", SAID, [Segment(8, 0)]),
    ],
)
def test_segments_are_parted_by_two_words_that_both_have_right(
    first: str, second: str, expected: list[Segment]
) -> None:
    assert segments(of(SAID, first), of(SAID, second)) == expected


def test_insertions_against_an_empty_reference_are_a_segment_of_either_system() -> None:
    assert segments(of("", "uh"), of("", "")) == [Segment(1, 0)]
    assert segments(of("", ""), of("", "uh")) == [Segment(0, 1)]


def test_different_references_make_the_utterance_one_segment() -> None:
    assert segments(of("a b c d X", "a b c d e"), of("a b c d", "a b c d")) == [Segment(1, 0)]
    assert segments(of("a b", "a b"), of("a b c", "a b c")) == []


def test_what_does_not_vary_has_no_statistic() -> None:
    assert matched_pairs([]).p is None
    assert matched_pairs([Segment(0, 1)]).p is None
    twice = matched_pairs([Segment(0, 1)] * 2)
    assert (twice.segments, twice.mean, twice.z, twice.p) == (2, 1.0, None, None)
    equal = matched_pairs([Segment(1, 1)] * 2)
    assert (equal.mean, equal.z, equal.p) == (0.0, 0.0, 1.0)


words = st.lists(st.sampled_from("abc"), max_size=12)


@given(reference=words, first=words, second=words)
def test_segments_lose_no_error_and_do_not_depend_on_the_order_of_systems(
    reference: list[str], first: list[str], second: list[str]
) -> None:
    one, other = align(reference, first), align(reference, second)
    cut = segments(one, other)
    assert sum(segment.first for segment in cut) == sum(edit.kind != "equal" for edit in one)
    assert sum(segment.second for segment in cut) == sum(edit.kind != "equal" for edit in other)
    assert all(segment.first or segment.second for segment in cut)
    assert segments(other, one) == [Segment(s.second, s.first) for s in cut]


def test_with_one_segment_an_utterance_p_by_utterance_is_student_s_paired_test() -> None:
    found = [Segment(0, 2), Segment(1, 1), Segment(3, 2), Segment(0, 3), Segment(2, 2)]
    differences = [segment.second - segment.first for segment in found]
    assert p_by_utterance([segment] for segment in found) == pytest.approx(
        float(ttest_1samp(differences, 0.0).pvalue)
    )


def test_segments_that_repeat_their_utterance_make_nothing_surer_by_utterance() -> None:
    found = [[Segment(0, 2)], [Segment(1, 0)], [Segment(0, 3)], [Segment(2, 2)], []]
    thrice = [utterance * 3 for utterance in found]
    assert p_by_utterance(thrice) == pytest.approx(p_by_utterance(found))
    nist = [
        matched_pairs([segment for each in part for segment in each]).p for part in (found, thrice)
    ]
    assert (nist[0] or 0) > 2 * (nist[1] or 0)


def test_p_by_utterance_is_undefined_where_nothing_varies() -> None:
    assert p_by_utterance([]) is None
    assert p_by_utterance([[Segment(0, 1)], []]) is None
    assert p_by_utterance([[Segment(0, 1)], [Segment(1, 2)]]) is None
    assert p_by_utterance([[Segment(1, 1)], [Segment(2, 2)]]) == 1.0
