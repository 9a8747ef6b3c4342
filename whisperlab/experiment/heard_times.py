"""When each word of an alignment was heard: what seam errors and time errors are counted on.

Owns the way from segments, whose words are raw, to the words of a score, which are normalised. It does
not know seams, collars or reports.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rapidfuzz.distance import Levenshtein

from whisperlab.metric.alignment import Edit
from whisperlab.normalize.profile import Profile
from whisperlab.transcript import Segment, Word


class Span(NamedTuple):
    """Seconds of the source."""

    start: float
    end: float


class TimedWord(NamedTuple):
    """A normalised word and when it was said."""

    word: str
    span: Span


def segment_words(segments: Sequence[Segment], profile: Profile) -> list[TimedWord]:
    """Returns the normalised words with their times; where words have none, spread over the segment."""
    parts = [
        part
        for segment in segments
        for part in segment.words or (Word(segment.start, segment.end, segment.text),)
    ]
    return timed_words(parts, profile)


def timed_words(parts: Sequence[Word], profile: Profile) -> list[TimedWord]:
    """Returns the normalised words of texts with times, spread by their letters over each text's time.

    >>> from whisperlab.normalize.whisper_basic import WhisperBasic
    >>> basic = Profile(name="basic", version="1", steps=(WhisperBasic(),))
    >>> timed_words([Word(1.0, 2.0, " Hi,"), Word(2.0, 4.0, " e-mail")], basic)[1]
    TimedWord(word='e', span=Span(start=2.0, end=2.4))
    """
    return list(_spread(parts, profile))


def _spread(parts: Sequence[Word], profile: Profile) -> Iterator[TimedWord]:
    for part in parts:
        words = profile.words(part.text)
        letters = sum(map(len, words))
        done = 0
        for word in words:
            start = part.start + (part.end - part.start) * done / letters
            done += len(word)
            yield TimedWord(
                word, Span(start, part.start + (part.end - part.start) * done / letters)
            )


def spans(words: Sequence[str], timed: Sequence[TimedWord]) -> list[Span | None]:
    """Returns when each of ``words`` was said, ``None`` for one that ``timed`` does not hold.

    A whole text is not always normalised as its parts are ("twenty one" is 21, its words are 20 and 1):
    the two are aligned, and words that agree have a time.

    >>> spans(["a", "21"], [TimedWord("a", Span(0, 1)), TimedWord("20", Span(1, 2))])
    [Span(start=0, end=1), None]
    """
    found: list[Span | None] = [None] * len(words)
    for operation in Levenshtein.opcodes(words, [one.word for one in timed]):
        if operation.tag == "equal":
            for offset in range(operation.src_end - operation.src_start):
                found[operation.src_start + offset] = timed[operation.dest_start + offset].span
    return found


def column_times(edits: Sequence[Edit], timed: Sequence[TimedWord]) -> list[float | None]:
    """Returns the middle of every column's hypothesis word in seconds.

    A column without one (a deletion) stands half-way between its neighbours in time; ``None`` only
    where no word of the alignment has a time.
    """
    heard = iter(spans([edit.hypothesis for edit in edits if edit.hypothesis], timed))
    known = [next(heard) if edit.hypothesis else None for edit in edits]
    before: list[float | None] = []
    last: float | None = None
    for span in known:
        last = last if span is None else span.end
        before.append(last)
    after: list[float | None] = []
    following: float | None = None
    for span in reversed(known):
        following = following if span is None else span.start
        after.append(following)
    after.reverse()
    return [
        (span.start + span.end) / 2 if span is not None else _between(earlier, later)
        for span, earlier, later in zip(known, before, after, strict=True)
    ]


def _between(earlier: float | None, later: float | None) -> float | None:
    if earlier is None or later is None:
        return later if earlier is None else earlier
    return (earlier + later) / 2
