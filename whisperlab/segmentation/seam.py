"""Putting the transcripts of neighbouring pieces together, so that a seam loses and doubles no word.

Owns the merging of text and times at the seams. It does not know how the pieces were cut: where two
neighbours share sound, both transcripts of the shared part are aligned word by word and joined at
the word on which they agree; where they share none, they follow one another.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from whisperlab.audio import Waveform
from whisperlab.transcript import Finish, Segment, Transcript, Word

WORST_FINISH: Final = (Finish.COMPLETE, Finish.TRUNCATED, Finish.CANCELLED)
"""From best to worst: a joined transcript ended as badly as its worst piece."""

SLACK_SECONDS: Final = 1.0
"""Words this far outside the shared sound are looked at as well: engines misplace a word by less."""

UNMATCHED_PENALTY: Final = 1.0
"""Cost of a word that differs or has no partner, when only text is compared: what one agreement is
worth, so that agreements by chance amid disagreement (ten digits agree often) do not join."""

CLOSENESS_BONUS: Final = 0.01
"""Between alignments that agree on equally many words, the closer in time wins; never more words."""

_SPACELESS: Final = "぀-ヿ㐀-䶿一-鿿豈-﫿฀-໿က-႟ក-៿"
"""Kana, CJK ideographs, Thai, Lao, Myanmar, Khmer: scripts that write no space between words."""

_WRITTEN_WORD: Final = re.compile(rf"\s*(?:[{_SPACELESS}]|[^\s{_SPACELESS}]+)")
_SPACELESS_CHARACTER: Final = re.compile(f"[{_SPACELESS}]")


@dataclass(frozen=True, slots=True)
class _Spoken:
    """One word of a piece's transcript and the segment it stands in.

    Without word times from the engine (``word`` is ``None``) a segment's duration is shared out by
    the length of its words. ``earliest`` and ``latest`` bound what is known: the word's own times,
    or its segment's.
    """

    text: str
    start: float
    end: float
    earliest: float
    latest: float
    segment: int
    word: Word | None

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2

    @property
    def key(self) -> str:
        """The word for comparing: capitals and punctuation depend on what the engine heard before."""
        folded = self.text.casefold().strip()
        letters = "".join(c for c in folded if unicodedata.category(c)[0] in "LNM")
        return letters or folded


def join_pieces(pieces: Sequence[Waveform], transcripts: Sequence[Transcript]) -> Transcript:
    """Returns one transcript in source time from one transcript a piece, in order of time.

    At each seam with shared sound the transcripts are joined inside it, away from its ends, where
    each of them heard a word cut off. Segments come out in order, do not overlap and stay inside
    their piece. A segment that a seam cuts loses what holds for the whole alone (tokens and their
    probabilities, ``avg_logprob``, ``compression_ratio``). The language is the one most pieces with
    text were in, the finish the worst, the stages are summed. No pieces give an empty transcript.

    At most two pieces may share a moment.

    Source: transformers' chunked pipeline (Patry 2022, huggingface.co/blog/asr-chunking; Gandhi et
    al. 2023, Distil-Whisper, section 5) joins at the middle of the longest common sequence; ours
    compares times as well, where there are any.

    >>> import numpy as np
    >>> sound = Waveform(np.zeros(30, dtype=np.float32), sample_rate=10)
    >>> first = Transcript("one two thr", segments=(Segment(0.0, 2.0, " one two thr"),))
    >>> second = Transcript("two three", segments=(Segment(1.0, 3.0, " Two three"),))
    >>> join_pieces([sound.cut(0, 20), sound.cut(10, 30)], [first, second]).text
    'one two three'
    """
    contributions = _contributions(pieces, transcripts)
    segments: list[Segment] = []
    time = 0.0
    for piece, said, contribution in zip(pieces, transcripts, contributions, strict=True):
        if said.segments:
            for part in contribution.segments:
                segments.append(_placed(part, max(time, piece.start), piece.end))
                time = segments[-1].end
    return Transcript(
        written(contribution.text.strip() for contribution in contributions),
        language=_language(transcripts),
        segments=tuple(segments),
        finish=max((said.finish for said in transcripts), key=WORST_FINISH.index)
        if transcripts
        else Finish.COMPLETE,
        stages=_summed(transcripts),
    )


def settled_text(
    pieces: Sequence[Waveform], transcripts: Sequence[Transcript], upcoming: Waveform | None
) -> str:
    """Returns the beginning of ``join_pieces``'s text that the piece ``upcoming`` cannot change.

    That is all of it, unless ``upcoming`` shares sound with the last piece: then all but the last.
    """
    contributions = _contributions(pieces, transcripts)
    if upcoming is not None and _shared(pieces[-1], upcoming) is not None:
        contributions = contributions[:-1]
    return written(contribution.text.strip() for contribution in contributions)


@dataclass(frozen=True, slots=True)
class _Contribution:
    """What one piece gives to the joined transcript: its text and segments between its seams."""

    text: str
    segments: list[Segment]


def _contributions(
    pieces: Sequence[Waveform], transcripts: Sequence[Transcript]
) -> list[_Contribution]:
    rows = [_spoken(piece, said) for piece, said in zip(pieces, transcripts, strict=True)]
    first, last = [0] * len(rows), [len(row) for row in rows]
    for k in range(len(rows) - 1):
        shared = _shared(pieces[k], pieces[k + 1])
        if shared is not None:
            left, right = _seam(rows[k][first[k] :], rows[k + 1], shared)
            last[k], first[k + 1] = first[k] + left, right
    contributions: list[_Contribution] = []
    for k, said in enumerate(transcripts):
        kept = rows[k][first[k] : last[k]]
        parts = _kept_segments(said, rows[k], kept)
        text = said.text if len(kept) == len(rows[k]) else written(p.text for p in parts)
        contributions.append(_Contribution(text, parts))
    return contributions


def _shared(piece: Waveform, following: Waveform) -> tuple[float, float] | None:
    """Returns start and end of the sound that two neighbours share; ``None`` when it is no sample."""
    shared = (following.start, piece.end)
    return shared if shared[1] - shared[0] >= 1 / piece.sample_rate else None


def written(parts: Iterable[str]) -> str:
    """Returns the parts as running text: a space between them where their script writes one.

    >>> written(["one", "two", " three"]), written(["今天", "天气"])
    ('one two three', '今天天气')
    """
    text = ""
    for part in parts:
        if text and part and not (text[-1].isspace() or part[0].isspace()):
            joined = _SPACELESS_CHARACTER.match(text[-1]) and _SPACELESS_CHARACTER.match(part[0])
            text += "" if joined else " "
        text += part
    return text


def _align(
    left: Sequence[_Spoken],
    right: Sequence[_Spoken],
    same: Callable[[_Spoken, _Spoken], bool],
    penalty: float,
) -> list[tuple[int, int]]:
    """Returns the index pairs of the best overlap alignment of ``left``'s end with ``right``'s start.

    What comes before the overlap in ``left`` and after it in ``right`` is free; inside it an
    agreement is worth 1; two words that differ, and a word without partner, cost ``penalty``.
    The last word of ``left`` and the first of ``right`` are free too: a piece's end may have cut them. With ``penalty`` 0 this is
    the longest common subsequence.

    Source: overlap (suffix-prefix) alignment, Gusfield 1997, section 11.6.4.
    """
    score = [[0.0] * (len(right) + 1) for _ in range(len(left) + 1)]
    step = [["left"] * (len(right) + 1) for _ in range(len(left) + 1)]
    for j in range(1, len(right) + 1):
        score[0][j], step[0][j] = -penalty * (j - 1), "right"
    for i, one in enumerate(left, start=1):
        for j, other in enumerate(right, start=1):
            options = [
                (score[i - 1][j] - penalty, "left"),
                (score[i][j - 1] - penalty, "right"),
                (score[i - 1][j - 1] - penalty, "differ"),
            ]
            if same(one, other):
                closeness = CLOSENESS_BONUS / (1 + abs(one.middle - other.middle))
                options.append((score[i - 1][j - 1] + 1 + closeness, "both"))
            score[i][j], step[i][j] = max(options)
    ends = [
        (row, column)
        for row in {len(left), max(0, len(left) - 1)}
        for column in range(len(right) + 1)
    ]
    i, j = max(ends, key=lambda cell: score[cell[0]][cell[1]])
    pairs: list[tuple[int, int]] = []
    while i > 0 and j > 0:
        i, j, moved = i - (step[i][j] != "right"), j - (step[i][j] != "left"), step[i][j]
        if moved == "both":
            pairs.append((i, j))
    return pairs[::-1]


def _seam(
    left: Sequence[_Spoken], right: Sequence[_Spoken], shared: tuple[float, float]
) -> tuple[int, int]:
    """Returns how many words of ``left`` come before the seam and how many of ``right`` fall away."""
    start, end = shared
    timed = all(spoken.word is not None for spoken in (*left, *right))
    before = sum(spoken.latest <= start - SLACK_SECONDS for spoken in left)
    after = sum(spoken.earliest < end + SLACK_SECONDS for spoken in right)
    pairs = _align(
        left[before:],
        right[:after],
        _same_moment if timed else _same_text,
        0.0 if timed else UNMATCHED_PENALTY,
    )
    if pairs:
        i, j = pairs[len(pairs) // 2]
        return before + i + 1, j + 1
    middle = (start + end) / 2
    return (
        sum(spoken.middle < middle for spoken in left),
        sum(spoken.middle < middle for spoken in right),
    )


def _same_text(one: _Spoken, other: _Spoken) -> bool:
    return one.key == other.key


def _same_moment(one: _Spoken, other: _Spoken) -> bool:
    """True for the same word at the same time: the middle of one lies inside the other.

    Neighbours that say the same ("zero zero") never pass.
    """
    return one.key == other.key and (
        one.start <= other.middle <= one.end or other.start <= one.middle <= other.end
    )


def _spoken(piece: Waveform, said: Transcript) -> list[_Spoken]:
    """Returns the words of one piece's transcript in order."""
    spoken: list[_Spoken] = []
    for index, segment in enumerate(_segments(piece, said)):
        if segment.words:
            spoken += [
                _Spoken(w.text, w.start, w.end, w.start, w.end, index, w) for w in segment.words
            ]
            continue
        words = _WRITTEN_WORD.findall(segment.text)
        per_character = (segment.end - segment.start) / max(1, sum(map(len, words)))
        time = segment.start
        for text in words:
            end = time + len(text) * per_character
            spoken.append(_Spoken(text, time, end, segment.start, segment.end, index, None))
            time = end
    return spoken


def _segments(piece: Waveform, said: Transcript) -> tuple[Segment, ...]:
    """Returns the segments; text without any is one that lasts the whole piece."""
    return said.segments or (Segment(piece.start, piece.end, said.text),)


def _kept_segments(
    said: Transcript, row: Sequence[_Spoken], kept: Sequence[_Spoken]
) -> list[Segment]:
    """Returns the segments that ``kept`` words stand in, those that lost words cut to the rest."""
    whole = Counter(spoken.segment for spoken in row)
    segments: list[Segment] = []
    for index, group in groupby(kept, key=lambda spoken: spoken.segment):
        words = list(group)
        if said.segments and len(words) == whole[index]:
            segments.append(said.segments[index])
            continue
        text = written(spoken.text for spoken in words)
        if not said.segments:
            segments.append(Segment(words[0].start, words[-1].end, text))
            continue
        source = said.segments[index]
        indented = source.text[:1].isspace() and not text[:1].isspace()
        segments.append(
            replace(
                source,
                start=words[0].start if words[0] is not _first(row, index) else source.start,
                end=words[-1].end if words[-1] is not _first(row[::-1], index) else source.end,
                text=f" {text}" if indented else text,
                tokens=(),
                token_logprobs=(),
                avg_logprob=None,
                compression_ratio=None,
                words=tuple(spoken.word for spoken in words if spoken.word is not None),
            )
        )
    return segments


def _first(row: Sequence[_Spoken], segment: int) -> _Spoken:
    return next(spoken for spoken in row if spoken.segment == segment)


def _placed(segment: Segment, earliest: float, latest: float) -> Segment:
    """Returns the segment and its words moved into ``[earliest, latest]``, in order."""
    start = min(max(segment.start, earliest), latest)
    end = min(max(segment.end, start), latest)
    words: list[Word] = []
    time = start
    for word in segment.words:
        begin = min(max(word.start, time), end)
        time = min(max(word.end, begin), end)
        words.append(replace(word, start=begin, end=time))
    return replace(segment, start=start, end=end, words=tuple(words))


def _language(transcripts: Sequence[Transcript]) -> str | None:
    known = [said for said in transcripts if said.language is not None]
    languages = [said.language for said in known if said.text] or [said.language for said in known]
    return Counter(languages).most_common(1)[0][0] if languages else None


def _summed(transcripts: Sequence[Transcript]) -> dict[str, float]:
    stages: dict[str, float] = {}
    for said in transcripts:
        for stage, seconds in said.stages.items():
            stages[stage] = stages.get(stage, 0.0) + seconds
    return stages
