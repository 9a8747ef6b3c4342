"""The cheapest alignment of two plain sequences of words under any costs.

Owns the table and its ties. It does not know alternatives, optional words or compounds
(`network_alignment` does, and agrees with this module where there are none).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whisperlab.metric.alignment import Edit
from whisperlab.metric.costs import Costs

PAIR, DELETION, INSERTION = 0, 1, 2


def align_weighted(
    reference: Sequence[str], hypothesis: Sequence[str], costs: Costs
) -> tuple[Edit, ...]:
    """Returns the cheapest alignment, one edit for each column, in order.

    Among moves of equal cost a pair (match or substitution) is taken before an insertion, an
    insertion before a deletion, seen from the end of the texts: sclite's order.

    Source: NIST SCTK 2.4, ``src/sclite/net_dp.c``.

    >>> from whisperlab.metric.costs import COSTS
    >>> edits = align_weighted("a b".split(), "b c".split(), COSTS["sclite"])
    >>> [edit.kind for edit in edits]  # 3 + 3; two substitutions would cost 8
    ['deletion', 'equal', 'insertion']
    """
    shared = _common_ending(reference, hypothesis)
    said, heard = reference[: len(reference) - shared], hypothesis[: len(hypothesis) - shared]
    edits = [Edit("equal", word, word) for word in reversed(reference[len(said) :])]
    moves = _moves(said, heard, costs)
    i, j = len(said), len(heard)
    while i or j:
        move = moves[i, j] if i and j else (DELETION if i else INSERTION)
        if move == PAIR:
            i, j = i - 1, j - 1
            kind = "equal" if said[i] == heard[j] else "substitution"
            edits.append(Edit(kind, said[i], heard[j]))  # type: ignore[arg-type] # a literal
        elif move == DELETION:
            i -= 1
            edits.append(Edit("deletion", said[i], ""))
        else:
            j -= 1
            edits.append(Edit("insertion", "", heard[j]))
    return tuple(reversed(edits))


def _common_ending(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Returns how many words at the end are equal: there a pair is never dearer than another move."""
    shared = 0
    for said, heard in zip(reversed(reference), reversed(hypothesis), strict=False):
        if said != heard:
            break
        shared += 1
    return shared


def _moves(reference: Sequence[str], hypothesis: Sequence[str], costs: Costs) -> NDArray[np.int8]:
    """Returns the best last move of each cell, shape (n_reference + 1, n_hypothesis + 1)."""
    moves = np.zeros((len(reference) + 1, len(hypothesis) + 1), dtype=np.int8)
    if not reference or not hypothesis:
        return moves
    number: dict[str, int] = {}
    said = [number.setdefault(word, len(number)) for word in reference]
    heard = np.array([number.setdefault(word, len(number)) for word in hypothesis])
    inserted = np.arange(len(hypothesis) + 1) * costs.insertion
    row = inserted
    for i, word in enumerate(said, start=1):
        pair = row[:-1] + np.where(heard == word, 0, costs.substitution)
        deletion = row[1:] + costs.deletion
        # An insertion comes from the same row: the cheapest start to the left, carried along.
        starts = np.concatenate(([row[0] + costs.deletion], np.minimum(pair, deletion)))
        row = np.minimum.accumulate(starts - inserted) + inserted
        insertion = row[:-1] + costs.insertion
        moves[i, 1:] = np.where(
            pair <= np.minimum(deletion, insertion),
            PAIR,
            np.where(deletion < insertion, DELETION, INSERTION),
        )
    return moves
