r"""A text that can be read in several ways: alternatives and optional words, as NIST writes them.

Owns the notation of sclite's transcripts and the word network that it describes. It does not know
normalisation rules, costs or alignments. The notation, in a reference or a hypothesis::

    i've { um / uh / @ } as far as i'm (really) concerned fri- { a / { b c / d } }

Braces hold alternatives, which may hold further ones; ``@`` is no word at all; a word in parentheses
is optional; one that begins or ends with a hyphen is a fragment. Behind a word may stand tags
(``word;tag``, a semicolon of the word itself is ``\;``) or a star (mispronounced): both are dropped.

Source: NIST SCTK 2.4, ``doc/infmts.htm`` and ``src/sclite/{text,word,net_adt}.c`` (public domain).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from whisperlab.errors import DatasetError

NO_WORD = ""
"""The word of an arc that stands for no word (``@``)."""

OPEN, CLOSE, OR, NULL, TAG, ESCAPE, STAR = "{", "}", "/", "@", ";", "\\", "*"
MARKS = frozenset({OPEN, CLOSE, NULL, TAG, ESCAPE, STAR})
"""A text without any of these (and without optional words) is one plain sequence of words."""

MAX_DEPTH = 40
"""Levels of nested alternatives; real transcripts have two, and reading recurses on each."""


@dataclass(frozen=True, slots=True)
class Arc:
    """A word and the arcs that may stand right before it, in the order in which ties prefer them."""

    word: str
    before: tuple[int, ...]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Network:
    """Arcs in an order in which each comes after those before it; arc 0 is the start, no word.

    ``last`` are the arcs that may end the text.
    """

    arcs: tuple[Arc, ...]
    last: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PlainText:
    """A normalised text that can be read in one way only, and its words."""

    text: str
    words: tuple[str, ...]


Reading = PlainText | Network
"""What a text says under a profile."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word as the alignment sees it."""

    word: str
    optional: bool = False


Tokens = Callable[[Sequence[str]], Sequence[Token]]
"""Turns a run of words as written into the words of a profile."""

Part = str | list[list["Part"]]
"""A word as written, or alternatives of parts."""


def network_of_words(words: Sequence[str]) -> Network:
    """Returns the network of one plain sequence of words."""
    arcs = [Arc(NO_WORD, ())]
    arcs += [Arc(word, (position,)) for position, word in enumerate(words)]
    return Network(tuple(arcs), (len(words),))


def read_network(text: str, tokens: Tokens) -> Network:
    """Returns the network that a text in sclite's notation describes.

    ``tokens`` gets every run of plain words (tags and stars dropped) on its own: a rule that looks
    at several words never reaches over an alternative's edge.

    Raises:
        DatasetError: braces do not match, or an alternative is empty.

    >>> network = read_network("a { b / @ } c", lambda run: [Token(word) for word in run])
    >>> [(arc.word, arc.before) for arc in network.arcs]
    [('', ()), ('a', (0,)), ('b', (1,)), ('', (1,)), ('c', (2, 3))]
    """
    parts, end = _sequence(text, 0, 0)
    if end < len(text):
        raise _unmatched(text)
    return _Builder(tokens).network(parts)


def _sequence(text: str, start: int, depth: int) -> tuple[list[Part], int]:
    """Returns the parts from ``start`` to the end of this alternative, and where that is."""
    if depth > MAX_DEPTH:
        raise DatasetError(f"alternatives nested deeper than {MAX_DEPTH}: {text:.60}")
    parts: list[Part] = []
    position = start
    while position < len(text):
        sign = text[position]
        if sign.isspace():
            position += 1
        elif sign == OPEN:
            alternatives, position = _alternatives(text, position + 1, depth + 1)
            parts.append(alternatives)
        elif depth and sign in (OR, CLOSE):
            return parts, position
        elif sign == CLOSE:
            raise _unmatched(text)
        else:
            end = _end_of_word(text, position, depth)
            parts.append(text[position:end])
            position = end
    return parts, position


def _end_of_word(text: str, start: int, depth: int) -> int:
    end = start + 1
    while end < len(text) and not text[end].isspace():
        if depth and text[end] in (OR, CLOSE):
            break
        if text[end] == OPEN:
            raise _unmatched(text)
        end += 1
    return end


def _alternatives(text: str, start: int, depth: int) -> tuple[list[list[Part]], int]:
    found: list[list[Part]] = []
    position = start
    while True:
        parts, position = _sequence(text, position, depth)
        if position >= len(text):
            raise _unmatched(text)
        if parts:  # "a / / b" and "a / }" have no empty alternative: that would be @
            found.append(parts)
        position += 1
        if text[position - 1] == CLOSE:
            break
    if not found:
        raise DatasetError(f"expected words or @ between braces, got none: {text:.60}")
    return found, position


def _unmatched(text: str) -> DatasetError:
    return DatasetError(
        f"expected every {{ to stand before a word and to have its }}, got {text:.80}"
    )


def has_alternatives(text: str) -> bool:
    """Returns whether a text holds braces or a null word; tags and stars alone make no network."""
    return any(sign in text for sign in (OPEN, CLOSE, NULL))


def written_word(token: str) -> str:
    r"""Returns the word of a token as written: without tags, escapes and star.

    >>> written_word("b;reftag1;reftag2"), written_word(r"aa\;a"), written_word("oops*")
    ('b', 'aa;a', 'oops')
    """
    if TAG in token:
        end = token.find(TAG)
        while end > 0 and token[end - 1] == ESCAPE:
            end = token.find(TAG, end + 1)
        token = token[:end] if end >= 0 else token
    token = token.replace(ESCAPE, "")
    return token[:-1] if len(token) > 1 and token.endswith(STAR) else token


@dataclass
class _Node:
    ins: list[int] = field(default_factory=list)
    outs: list[int] = field(default_factory=list)


class _Builder:
    """Lays parts out as arcs between nodes, then numbers the arcs as sclite does."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._nodes: list[_Node] = []
        self._arcs: list[tuple[Token, int, int]] = []  # token, from node, to node

    def network(self, parts: Sequence[Part]) -> Network:
        start, first = self._node(), self._node()
        self._arc(Token(NO_WORD), start, first)
        end = self._lay(list(self._items(parts)), first)
        order = self._in_order(start)
        number = {arc: position for position, arc in enumerate(order)}
        arcs = [
            Arc(token.word, tuple(number[arc] for arc in self._nodes[source].ins), token.optional)
            for token, source, _ in (self._arcs[arc] for arc in order)
        ]
        return Network(tuple(arcs), tuple(number[arc] for arc in self._nodes[end].ins))

    def _items(self, parts: Sequence[Part]) -> Iterator[Token | list[list[Part]]]:
        """Yields words of the profile and alternatives; runs of written words go through together."""
        run: list[str] = []
        for part in [*parts, NULL]:
            word = part if isinstance(part, list) or part == NULL else written_word(part)
            if isinstance(word, str) and word != NULL:
                run.append(word)
                continue
            if run:
                yield from self._tokens(run)
                run = []
            yield Token(NO_WORD) if isinstance(word, str) else word

    def _lay(self, items: Sequence[Token | list[list[Part]]], source: int) -> int:
        """Returns the node behind the items laid out from ``source``; the closing null is left out."""
        for item in items[:-1]:
            target = self._node()
            self._join(item, source, target)
            source = target
        return source

    def _join(self, item: Token | list[list[Part]], source: int, target: int) -> None:
        if isinstance(item, Token):
            self._arc(item, source, target)
            return
        for alternative in item:
            items = list(self._items(alternative))[:-1] or [Token(NO_WORD)]
            behind = self._lay(items, source)  # all but the last item, which ends at the target
            self._join(items[-1], behind, target)

    def _node(self) -> int:
        self._nodes.append(_Node())
        return len(self._nodes) - 1

    def _arc(self, token: Token, source: int, target: int) -> None:
        self._nodes[source].outs.append(len(self._arcs))
        self._nodes[target].ins.append(len(self._arcs))
        self._arcs.append((token, source, target))

    def _in_order(self, start: int) -> list[int]:
        """Returns the arcs by node, a node once all arcs into it are there, first come first."""
        waiting = [len(node.ins) for node in self._nodes]
        order: list[int] = []
        ready = [start]
        for node in ready:  # grows while it is walked
            for arc in self._nodes[node].outs:
                target = self._arcs[arc][2]
                waiting[target] -= 1
                if not waiting[target]:
                    ready.append(target)
            order += self._nodes[node].outs
        return order
