"""One reference and several hypotheses, word under word, each column with its time.

Owns the merging of alignments and the finding of times. It does not know how columns are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from whisperlab.metric.alignment import Edit, align
from whisperlab.transcript import Segment
from whisperlab.utterance import Outcome

Normalise = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Column:
    """A reference word, ``""`` where one was inserted, over what each hypothesis has there.

    A hypothesis that lacks the word, or did not insert one, has ``""``. ``start`` is in seconds of
    the recording, ``None`` where nothing has times.
    """

    reference: str
    hypotheses: tuple[str, ...]
    start: float | None


def columns(
    alignments: Sequence[Sequence[Edit]], starts: Sequence[Sequence[float | None]]
) -> list[Column]:
    """Returns the alignments of several hypotheses with one reference as columns, in order.

    ``starts`` has one time for each word of each hypothesis. A column takes its time from the first
    hypothesis that has a word there, else from the column before it.

    >>> first = align("the cat sat".split(), "a cat sat".split())
    >>> second = align("the cat sat".split(), "the cat".split())
    >>> for column in columns([first, second], [[0.1, 0.4, 0.9], [0.2, 0.5]]):
    ...     print(column.reference, column.hypotheses, column.start)
    the ('a', 'the') 0.1
    cat ('cat', 'cat') 0.4
    sat ('sat', '') 0.9
    """
    by_system = [
        _by_position(edits, times) for edits, times in zip(alignments, starts, strict=True)
    ]
    found: list[Column] = []
    before: float | None = None
    for here in zip(*by_system, strict=True):
        for inserted in zip_longest(*[position.inserted for position in here], fillvalue=_NOTHING):
            found.append(_column("", inserted, before))
            before = found[-1].start
        if here[0].reference is not None:
            found.append(_column(here[0].reference, [position.heard for position in here], before))
            before = found[-1].start
    return found


@dataclass(frozen=True, slots=True)
class _Heard:
    text: str
    start: float | None


_NOTHING = _Heard("", None)


@dataclass(frozen=True, slots=True)
class _Position:
    """What one hypothesis has in front of and at one reference word; ``None`` stands for the end."""

    inserted: tuple[_Heard, ...]
    reference: str | None
    heard: _Heard


def _column(reference: str, heard: Sequence[_Heard], before: float | None) -> Column:
    timed = [word.start for word in heard if word.start is not None]
    return Column(reference, tuple(word.text for word in heard), timed[0] if timed else before)


def _by_position(edits: Sequence[Edit], starts: Sequence[float | None]) -> list[_Position]:
    times = iter(starts)
    positions: list[_Position] = []
    inserted: tuple[_Heard, ...] = ()
    for edit in edits:
        heard = _NOTHING if edit.kind == "deletion" else _Heard(edit.hypothesis, next(times))
        if edit.kind == "insertion":
            inserted = (*inserted, heard)
        else:
            positions.append(_Position(inserted, edit.reference, heard))
            inserted = ()
    return [*positions, _Position(inserted, None, _NOTHING)]


def same_reference(alignments: Sequence[Sequence[Edit]]) -> list[Sequence[Edit]]:
    """Returns the alignments, all with the first one's reference words.

    A profile with alternatives may have scored a hypothesis against other words; it is aligned with
    the first's, for showing only.
    """
    words = [edit.reference for edit in alignments[0] if edit.kind != "insertion"]
    return [
        edits
        if [edit.reference for edit in edits if edit.kind != "insertion"] == words
        else align(words, hypothesis_words(edits))
        for edits in alignments
    ]


def hypothesis_words(edits: Sequence[Edit]) -> list[str]:
    """Returns the words that the hypothesis has, in order."""
    return [edit.hypothesis for edit in edits if edit.kind != "deletion"]


def word_starts(outcome: Outcome, words: Sequence[str], normalise: Normalise) -> list[float | None]:
    """Returns when each of the normalised ``words`` of an outcome's text starts, in seconds.

    Times are the engine's word times where it gave any; inside a segment without them a word
    starts where its share of the segment's characters does. Normalised words are matched with the
    raw words' own normalisations; one that matches none has the time of the word before it.
    """
    tokens: list[tuple[str, float]] = [
        (token, start) for text, start in _raw_words(outcome) for token in normalise(text).split()
    ]
    times = iter(tokens)
    found: list[float | None] = []
    before: float | None = tokens[0][1] if tokens else None
    for edit in align([token for token, _ in tokens], list(words)):
        if edit.kind != "insertion":
            before = next(times)[1]
        if edit.kind != "deletion":
            found.append(before)
    return found


def _raw_words(outcome: Outcome) -> Iterator[tuple[str, float]]:
    segments = outcome.segments
    if not segments and outcome.audio_seconds is not None:
        segments = (Segment(0.0, outcome.audio_seconds, outcome.text),)
    for segment in segments:
        if segment.words:
            yield from ((word.text, word.start) for word in segment.words)
            continue
        position = 0
        length = max(len(segment.text), 1)
        for word in segment.text.split():
            position = segment.text.index(word, position)
            yield word, segment.start + (segment.end - segment.start) * position / length
            position += len(word)
