"""The cheapest alignment of texts that can be read in several ways, and of compounds.

Owns the alignment of two word networks: alternatives, optional words, fragments, and words in a row
that make one word of the other text. It does not know how a network is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from whisperlab.metric.alignment import AlignedPair, Edit, shared_edit
from whisperlab.metric.costs import Costs
from whisperlab.normalize.network import NO_WORD, Arc, Network

Same = Callable[[str, str], bool]
"""Whether a word of the reference and one of the hypothesis are the same."""

HYPHEN = "-"


def align_networks(
    reference: Network,
    hypothesis: Network,
    costs: Costs,
    *,
    same: Same = str.__eq__,
    compounds: Literal["none", "merge"] = "none",
) -> AlignedPair:
    """Returns the cheapest path through both networks, aligned word by word.

    With ``compounds="merge"`` words in a row make one word of the other text at no cost where that is
    cheaper than any other move. The pair's texts are the readings that were chosen. An optional word
    that was not said is an equal column without hypothesis; one that was said without being in the
    reference is an equal column of both, as sclite counts it.
    Ties are broken as sclite does: a pair before an insertion before a deletion, earlier alternatives
    before later ones, seen from the end of the texts.

    Source: NIST SCTK 2.4, ``src/sclite/net_dp.c``; for compounds kaldialign 0.11
    ``extensions/kaldi_align.cpp``.

    >>> from whisperlab.metric.costs import COSTS
    >>> from whisperlab.normalize.network import network_of_words
    >>> pair = align_networks(
    ...     network_of_words(["white", "paper"]),
    ...     network_of_words(["whitepaper"]),
    ...     COSTS["unit"],
    ...     compounds="merge",
    ... )
    >>> [(edit.kind, edit.reference, edit.hypothesis) for edit in pair.edits]
    [('equal', 'white', 'whitepaper'), ('equal', 'paper', '')]
    """
    table = _Table(reference.arcs, hypothesis.arcs, costs, same, compounds)
    return table.read_back(reference.last, hypothesis.last)


def same_but_for_fragments(reference: str, hypothesis: str) -> bool:
    """Returns whether two words are equal, a fragment standing for every word that it begins or ends.

    Source: NIST SCTK 2.4, ``src/sclite/word.c``, ``equal_WORD2``.

    >>> same_but_for_fragments("fi-", "fish"), same_but_for_fragments("ticks", "-icks")
    (True, True)
    >>> same_but_for_fragments("-", "fish"), same_but_for_fragments("fish", "fi")
    (False, False)
    """
    for fragment, word in ((reference, hypothesis), (hypothesis, reference)):
        if len(fragment) > 1 and fragment.startswith(HYPHEN):
            return word.endswith(fragment[1:])
        if len(fragment) > 1 and fragment.endswith(HYPHEN):
            return word.startswith(fragment[:-1])
    return reference == hypothesis


class _Table:
    """Cost and origin of the cheapest way to every pair of arcs."""

    def __init__(
        self,
        said: Sequence[Arc],
        heard: Sequence[Arc],
        costs: Costs,
        same: Same,
        compounds: Literal["none", "merge"],
    ) -> None:
        self._said, self._heard, self._costs, self._same = said, heard, costs, same
        self._cost = [[0] * len(heard) for _ in said]
        self._origin = [[(0, 0)] * len(heard) for _ in said]
        self._merged: dict[tuple[int, int], tuple[Sequence[int], Sequence[int]]] = {}
        deletions = [_alone(arc, costs.deletion, costs) for arc in said]
        insertions = [_alone(arc, costs.insertion, costs) for arc in heard]
        for i in range(len(said)):
            for j in range(len(heard)):
                if i or j:
                    self._cost[i][j], self._origin[i][j] = self._best(
                        i, j, deletions[i], insertions[j]
                    )
                if i and j and compounds == "merge":
                    self._merge(i, j)

    def _best(self, i: int, j: int, deletion: int, insertion: int) -> tuple[int, tuple[int, int]]:
        """Returns cost and origin of the cheapest single move into a cell."""
        if not i:
            return self._cheapest([0], self._heard[j].before, insertion)
        if not j:
            return self._cheapest(self._said[i].before, [0], deletion)
        paired = self._cheapest(
            self._said[i].before, self._heard[j].before, self._pair(self._said[i], self._heard[j])
        )
        deleted = self._cheapest(self._said[i].before, [j], deletion)
        inserted = self._cheapest([i], self._heard[j].before, insertion)
        if paired[0] <= min(deleted[0], inserted[0]):
            return paired
        return deleted if deleted[0] < inserted[0] else inserted

    def _cheapest(
        self, said: Sequence[int], heard: Sequence[int], cost: int
    ) -> tuple[int, tuple[int, int]]:
        """Returns the cheapest of the cells, the first of equal ones, and what it costs from there."""
        if len(said) == len(heard) == 1:
            best = (said[0], heard[0])
        else:
            cells = ((a, b) for a in said for b in heard)
            best = min(cells, key=lambda cell: self._cost[cell[0]][cell[1]])
        return self._cost[best[0]][best[1]] + cost, best

    def _pair(self, said: Arc, heard: Arc) -> int:
        if said.word == NO_WORD or heard.word == NO_WORD:
            both = said.word == heard.word
            return self._costs.two_no_words if both else self._costs.substitution
        return 0 if self._same(said.word, heard.word) else self._costs.substitution

    def _merge(self, i: int, j: int) -> None:
        """Takes a compound into the cell where one is cheaper than the move that is there."""
        found: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        found += [(chain, (j,)) for chain in _chains(self._said, i, self._heard[j].word)]
        found += [((i,), chain) for chain in _chains(self._heard, j, self._said[i].word)]
        for said, heard in found:
            cost, origin = self._cheapest(
                self._said[said[0]].before, self._heard[heard[0]].before, 0
            )
            if cost < self._cost[i][j]:
                self._cost[i][j], self._origin[i][j] = cost, origin
                self._merged[i, j] = (said, heard)

    def read_back(self, said_last: Sequence[int], heard_last: Sequence[int]) -> AlignedPair:
        """Returns the alignment that ends in the cheapest pair of the networks' last arcs."""
        _, (i, j) = self._cheapest(said_last, heard_last, 0)
        edits: list[Edit] = []
        while i or j:
            origin = self._origin[i][j]
            if (i, j) in self._merged:
                edits += self._compound(*self._merged[i, j])
            elif origin[0] == i:
                edits += _inserted(self._heard[j])
            elif origin[1] == j:
                edits += _deleted(self._said[i])
            else:
                edits += self._paired(self._said[i], self._heard[j])
            i, j = origin
        edits.reverse()
        return AlignedPair(
            " ".join(edit.reference for edit in edits if edit.reference),
            " ".join(edit.hypothesis for edit in edits if edit.hypothesis),
            tuple(edits),
        )

    def _paired(self, said: Arc, heard: Arc) -> Iterator[Edit]:
        cost = self._pair(said, heard)
        if said.word != NO_WORD or heard.word != NO_WORD:
            yield shared_edit("substitution" if cost else "equal", said.word, heard.word)

    def _compound(self, said: Sequence[int], heard: Sequence[int]) -> Iterator[Edit]:
        """Yields a compound's columns, last one first: all but the first lack the joined word."""
        for arc in reversed(said[1:]):
            yield shared_edit("equal", self._said[arc].word, "")
        for arc in reversed(heard[1:]):
            yield shared_edit("equal", "", self._heard[arc].word)
        yield shared_edit("equal", self._said[said[0]].word, self._heard[heard[0]].word)


def _alone(arc: Arc, cost: int, costs: Costs) -> int:
    """Returns what it costs to pass an arc without one of the other text."""
    if arc.word == NO_WORD:
        return costs.no_word
    return costs.optional if arc.optional else cost


def _deleted(said: Arc) -> Iterator[Edit]:
    if said.word != NO_WORD:
        yield shared_edit("equal" if said.optional else "deletion", said.word, "")


def _inserted(heard: Arc) -> Iterator[Edit]:
    if heard.word != NO_WORD:
        optional = heard.optional
        yield shared_edit(
            "equal" if optional else "insertion", heard.word if optional else "", heard.word
        )


def _chains(arcs: Sequence[Arc], end: int, word: str) -> Iterator[tuple[int, ...]]:
    """Yields every two or more arcs in a row up to ``end`` whose words make ``word``, shortest first."""
    ending = arcs[end].word
    if ending in (NO_WORD, word) or not word.endswith(ending):
        return
    rest = word[: -len(ending)]
    for before in arcs[end].before:
        if arcs[before].word == rest:
            yield (before, end)
        for chain in _chains(arcs, before, rest):
            yield (*chain, end)
