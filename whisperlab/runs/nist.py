r"""Transcripts in NIST's formats: trn, stm and ctm.

Owns the three formats and how a ctm's words fall into an stm's segments. It does not know scores,
nor the notation inside a text (`whisperlab.normalize.network`). One line of each::

    she had your { dark / @ } suit (cmh_sa01)               trn: text, utterance id
    2345 A 2345-a 0.10 2.03 <o,f> uh huh yes i thought      stm: file, channel, speaker, times, labels
    7654 A 11.34 0.2 YES -6.763                             ctm: file, channel, start, duration, word

Lines that start with ``;;`` are comments. Files, channels, ids and speakers are compared without
case, as sclite does. Text that is not UTF-8 is read as ISO 8859-1, the formats' own default, where no
encoding is named.

Source: NIST SCTK 2.4, ``doc/infmts.htm``; ``src/sclite/{align,stm,stm2ctm,fillmrks}.c``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from ctypes import c_float
from dataclasses import dataclass, field
from pathlib import Path

from whisperlab.errors import DatasetError
from whisperlab.runs.text_file import NIST, read_text

COMMENTS = (";;", "**")
CTM_COMMENTS = (";", "**")
IGNORED = ("ignore_time_segment_in_scoring", "ignoretimesegmentinscoring")
"""An stm text that takes its span out of the score, hypothesis words and all."""

WSJ_SPEAKER_LETTERS = 3
"""Ids without hyphen or underscore are Wall Street Journal's: the speaker is the first three."""

STM_FIELDS, CTM_FIELDS = 5, 5
ALTERNATIVES = {"<alt_begin>": "{", "<alt>": "/", "<alt_end>": "}"}


@dataclass(frozen=True, slots=True)
class Utterance:
    """One text with its id, its speaker and what else its format says of it."""

    id: str
    text: str
    speaker: str | None = None
    slices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StmSegment:
    """A stretch of one channel with its text; times in seconds."""

    channel: tuple[str, str]
    speaker: str
    start: float
    end: float
    labels: Sequence[str]
    text: str


@dataclass(frozen=True, slots=True)
class CtmWords:
    """One word, or all alternatives of some, written as the text that they are.

    ``middle`` is the time in seconds that decides the segment.
    """

    text: str
    middle: float


def read_trn(path: Path, encodings: tuple[str, ...] = NIST) -> list[Utterance]:
    """Returns the utterances of a trn file in order.

    Raises:
        DatasetError: no id at the end of a line, or two texts with one id.
    """
    found: dict[str, Utterance] = {}
    for place, line in _lines(path, encodings):
        match = re.fullmatch(r"(.*)\(([^()]*)\)[^()]*", line)
        if match is None:
            raise DatasetError(f"{place}: expected words and (utterance-id), got {line:.60}")
        name = match[2].strip().lower()
        if name in found:
            raise DatasetError(f"{place}: the id {name} occurs twice; ids are unique")
        found[name] = Utterance(name, match[1].strip(), speaker_of(name))
    return list(found.values())


def speaker_of(name: str) -> str:
    """Returns the speaker that an utterance id names: up to the hyphen, else the underscore.

    >>> speaker_of("cmh_sa01"), speaker_of("1089-134686-0000"), speaker_of("4t0c0201")
    ('cmh', '1089', '4t0')
    """
    for separator in "-_":
        if separator in name:
            return name.partition(separator)[0]
    return name[:WSJ_SPEAKER_LETTERS]


def read_stm(path: Path, encodings: tuple[str, ...] = NIST) -> list[StmSegment]:
    """Returns the segments of an stm file in order.

    Raises:
        DatasetError: a line lacks a field, or a time is no number.
    """
    segments = []
    for place, line in _lines(path, encodings):
        fields = line.split(maxsplit=STM_FIELDS)
        if len(fields) < STM_FIELDS:
            raise DatasetError(
                f"{place}: expected file, channel, speaker, start, end and text, got {line:.60}"
            )
        text = fields[STM_FIELDS] if len(fields) > STM_FIELDS else ""
        labels: Sequence[str] = ()
        if text.startswith("<") and ">" in text.split(maxsplit=1)[0]:
            written, _, text = text.partition(">")
            labels = written[1:].lower().split(",")
        file, channel, speaker = (name.lower() for name in fields[:3])
        # sclite keeps these times, not a ctm's, in 32 bits: words whose middle is a segment's end fall as there
        start, end = (c_float(_seconds(written, place)).value for written in fields[3:5])
        segments.append(StmSegment((file, channel), speaker, start, end, labels, text.strip()))
    return segments


def read_ctm(
    path: Path, encodings: tuple[str, ...] = NIST
) -> dict[tuple[str, str], list[CtmWords]]:
    """Returns the words of a ctm file by file and channel, in order.

    Raises:
        DatasetError: a line lacks a field, a time is no number, or alternatives do not end.
    """
    channels: dict[tuple[str, str], list[CtmWords]] = {}
    open_at: dict[tuple[str, str], str] = {}
    alternatives: dict[tuple[str, str], list[CtmWords]] = {}
    for place, line in _lines(path, encodings, CTM_COMMENTS):
        fields = line.split()
        if len(fields) < CTM_FIELDS:
            raise DatasetError(
                f"{place}: expected file, channel, start, duration and word, got {line:.60}"
            )
        channel = (fields[0].lower(), fields[1].lower())
        mark = ALTERNATIVES.get(fields[4].lower())
        words = channels.setdefault(channel, [])
        if mark is None:
            start, duration = (_seconds(written, place) for written in fields[2:4])
            word = CtmWords(fields[4], start + duration / 2)
            (alternatives[channel] if channel in open_at else words).append(word)
        elif mark == "{":
            open_at[channel], alternatives[channel] = place, [CtmWords(mark, 0.0)]
        elif channel not in open_at:
            raise DatasetError(f"{place}: expected <ALT_BEGIN> before {fields[4]}")
        else:
            parts = alternatives[channel]
            if parts[-1].text in ("{", "/"):  # nothing between two marks is no word
                parts.append(CtmWords("@", 0.0))
            parts.append(CtmWords(mark, 0.0))
            if mark == "}":
                del open_at[channel]
                text = " ".join(part.text for part in parts)
                words.append(CtmWords(text, max(part.middle for part in parts)))
    for place in open_at.values():
        raise DatasetError(f"{place}: expected <ALT_END> after <ALT_BEGIN>; the file ends")
    return channels


def join_stm_and_ctm(
    segments: Sequence[StmSegment], channels: Mapping[tuple[str, str], Sequence[CtmWords]]
) -> Iterator[tuple[Utterance, str]]:
    """Yields each segment that counts with the hypothesis words that fall into it.

    A word belongs to the first segment of its channel that ends after the word's middle; the last
    one takes the rest. An ignored segment takes its words with it.

    Raises:
        DatasetError: a channel of the hypothesis has no segments.
    """
    by_channel: dict[tuple[str, str], list[StmSegment]] = {}
    for segment in segments:
        by_channel.setdefault(segment.channel, []).append(segment)
    for channel in channels:
        if channel not in by_channel:
            raise DatasetError(
                f"the hypothesis has words of file {channel[0]}, channel {channel[1]}; the "
                "reference has no segment there: are the names the same?"
            )
    count: dict[str, int] = {}
    for channel, spoken in by_channel.items():
        words = list(channels.get(channel, ()))
        used = 0
        for segment in spoken:
            start = used
            last = segment is spoken[-1]
            while used < len(words) and (last or words[used].middle < segment.end):
                used += 1
            if any(ignored in segment.text.lower() for ignored in IGNORED):
                continue
            number = count.get(segment.speaker, 0)
            count[segment.speaker] = number + 1
            slices = {f"label_{place}": label for place, label in enumerate(segment.labels, 1)}
            name = f"{segment.speaker}-{number:03d}"
            heard = " ".join(word.text for word in words[start:used])
            yield Utterance(name, segment.text, segment.speaker, slices), heard


def _lines(
    path: Path, encodings: tuple[str, ...], comments: tuple[str, ...] = COMMENTS
) -> Iterator[tuple[str, str]]:
    """Yields ``(file:line, line)`` of what is neither blank nor a comment, indented or not."""
    for number, line in enumerate(read_text(path, encodings).split("\n"), start=1):
        content = line.strip()
        if content and not content.startswith(comments):
            yield f"{path}:{number}", content


def _seconds(written: str, place: str) -> float:
    try:
        seconds = float(written)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise DatasetError(f"{place}: expected a time in seconds, got {written:.40}")
    return seconds
