"""Which unit of the hypothesis answers which unit of the reference: Edit, AlignedPair, align.

Owns what an alignment is and the one at unit costs. It does not know how texts become words or
characters, nor other costs (`weighted_alignment`) or texts with alternatives (`network_alignment`).

Cost model ``unit``: substitution, insertion and deletion cost 1 each (Levenshtein). The number of
edits is the smallest possible; among alignments of equal cost the one that rapidfuzz finds decides
how many of them are substitutions, as in jiwer. sclite's costs (4/3/3) can split the same number
differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from typing import Literal

from rapidfuzz.distance import Levenshtein

from whisperlab.metric.counts import ErrorCounts

Kind = Literal["equal", "substitution", "insertion", "deletion"]


@dataclass(frozen=True, slots=True)
class Edit:
    """One column of an alignment; a side that has no unit there is ``""``.

    An equal column may lack a side too: an optional word that was not said, or the second half of
    "white paper" against "whitepaper". A unit counts in the length of the side that it stands on.
    """

    kind: Kind
    reference: str
    hypothesis: str


@lru_cache(maxsize=1 << 17)
def shared_edit(kind: Kind, reference: str, hypothesis: str) -> Edit:
    """Returns one object for all equal edits: 100,000 utterances have millions and few different ones."""
    return Edit(kind, reference, hypothesis)


@dataclass(frozen=True, slots=True)
class AlignedPair:
    """Two normalised texts and the alignment of their words: what every metric counts on."""

    reference: str
    hypothesis: str
    edits: tuple[Edit, ...]


def align_texts(reference: str, hypothesis: str) -> AlignedPair:
    """Returns two texts with their words (what stands between white space) aligned at unit costs."""
    return AlignedPair(reference, hypothesis, align(reference.split(), hypothesis.split()))


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[Edit, ...]:
    """Returns the cheapest alignment, one edit for each column, in order.

    The edits' reference sides are the reference, their hypothesis sides the hypothesis.

    Source: Levenshtein 1966; rapidfuzz' opcodes, which jiwer uses as well.

    >>> for edit in align("the cat sat".split(), "a cat sat down".split()):
    ...     print(edit.kind, edit.reference, edit.hypothesis, sep="|")
    substitution|the|a
    equal|cat|cat
    equal|sat|sat
    insertion||down
    """
    edits: list[Edit] = []
    for operation in Levenshtein.opcodes(reference, hypothesis):
        said = reference[operation.src_start : operation.src_end]
        heard = hypothesis[operation.dest_start : operation.dest_end]
        if operation.tag == "delete":
            edits += [shared_edit("deletion", unit, "") for unit in said]
        elif operation.tag == "insert":
            edits += [shared_edit("insertion", "", unit) for unit in heard]
        else:
            kind: Kind = "equal" if operation.tag == "equal" else "substitution"
            edits += map(shared_edit, repeat(kind, len(said)), said, heard)
    return tuple(edits)


def count_units(reference: Sequence[str], hypothesis: Sequence[str]) -> ErrorCounts:
    """Returns what ``count(align(reference, hypothesis))`` does, without the columns: for characters.

    >>> count_units("abcd", "abxd").substitutions
    1
    """
    tally = {"equal": 0, "replace": 0, "insert": 0, "delete": 0}
    for operation in Levenshtein.opcodes(reference, hypothesis):
        said = operation.src_end - operation.src_start
        heard = operation.dest_end - operation.dest_start
        tally[operation.tag] += max(said, heard)
    return ErrorCounts(
        substitutions=tally["replace"],
        insertions=tally["insert"],
        deletions=tally["delete"],
        reference_length=len(reference),
        hypothesis_length=len(hypothesis),
    )


def count(edits: Sequence[Edit]) -> ErrorCounts:
    """Returns the alignment's substitutions, insertions, deletions and lengths.

    >>> count(align("the cat sat".split(), "a cat sat down".split())).rate
    0.6666666666666666
    """
    kinds = [edit.kind for edit in edits]
    return ErrorCounts(
        substitutions=kinds.count("substitution"),
        insertions=kinds.count("insertion"),
        deletions=kinds.count("deletion"),
        reference_length=len(kinds) - [edit.reference for edit in edits].count(""),
        hypothesis_length=len(kinds) - [edit.hypothesis for edit in edits].count(""),
    )
