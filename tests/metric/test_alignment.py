"""Alignment: reconstruction, minimality, jiwer and NIST's sclite as oracles."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlab.metric.alignment import Edit, align, count
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


TRN_LINE = re.compile(r"(.*?)\s*\(([^()]+)\)\s*")


def read_trn(path: Path) -> dict[str, str]:
    """Texts by utterance id; sclite compares without case."""
    texts = {}
    for line in path.read_text().lower().splitlines():
        match = TRN_LINE.fullmatch(line)
        assert match, line
        texts[match[2]] = match[1]
    return texts


def spellings(text: str) -> list[list[str]]:
    """Every reading of a reference with alternations ``{ a / b }``; ``@`` is no word."""
    parts = [
        part[1:-1].split(" / ") if part.startswith("{") else [part]
        for part in re.split(r"(\{[^}]*\})", text)
    ]
    return [
        [word for word in " ".join(chosen).split() if word != "@"]
        for chosen in itertools.product(*parts)
    ]


def test_nists_csrnab_gives_169_errors_in_1406_words_and_its_figures_by_speaker(
    test_data: Path,
) -> None:
    references = read_trn(test_data / "sclite" / "csrnab.ref")
    hypotheses = read_trn(test_data / "sclite" / "csrnab.hyp")
    assert set(references) == set(hypotheses)
    assert len(references) == 51
    by_speaker = {"4t0": NO_ERRORS, "4t1": NO_ERRORS, "4t2": NO_ERRORS}
    for utterance, text in references.items():
        heard = hypotheses[utterance].split()
        best = min(
            (count(align(said, heard)) for said in spellings(text)),
            key=lambda counts: counts.errors,
        )
        by_speaker[utterance[:3]] += best
    # errors, reference words: expected_test1.raw of NIST's SCTK. Its S/D/I under costs 4/3/3 are
    # 131/12/26; unit costs reach the same number of errors.
    assert {
        speaker: (counts.errors, counts.reference_length) for speaker, counts in by_speaker.items()
    } == {"4t0": (85, 458), "4t1": (39, 544), "4t2": (45, 404)}
    total = sum(by_speaker.values(), NO_ERRORS)
    assert (total.errors, total.reference_length) == (169, 1406)
    assert total.rate == pytest.approx(169 / 1406, abs=1e-12)
