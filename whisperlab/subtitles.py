"""A transcript as a file: txt, srt, vtt, tsv, json.

Owns the five text formats. It does not know where they are written or served. Times are rounded to
whole milliseconds, once, from seconds of the source.

An srt (SubRip) cue, a vtt (WebVTT) cue and a tsv row::

    1                                 00:00:00.000 --> 00:00:03.320     0<tab>3320<tab>Good morning.
    00:00:00,000 --> 00:00:03,320     Good morning.
    Good morning.

Segments without text are no cues. Within a cue line breaks become spaces (an empty line would end
it) and ``-->`` becomes ``->`` (it would start another).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from whisperlab.errors import UnsupportedOptionError
from whisperlab.transcript import Segment, Transcript, Word


@dataclass(frozen=True, slots=True)
class _Cue:
    start_ms: int
    end_ms: int
    text: str


def to_txt(transcript: Transcript) -> str:
    r"""Returns the text and a final line break.

    >>> to_txt(Transcript("Good morning."))
    'Good morning.\n'
    """
    return transcript.text + "\n"


def to_srt(transcript: Transcript) -> str:
    r"""Returns SubRip: numbered cues, a comma before the milliseconds.

    Raises:
        UnsupportedOptionError: there is text without times.

    >>> to_srt(Transcript("Hi.", segments=(Segment(59.9996, 3601.5, " Hi."),)))
    '1\n00:01:00,000 --> 01:00:01,500\nHi.\n\n'
    """
    return "".join(
        f"{number}\n{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}\n{cue.text}\n\n"
        for number, cue in enumerate(_cues(transcript, "srt"), start=1)
    )


def to_vtt(transcript: Transcript) -> str:
    r"""Returns WebVTT: a header, a dot before the milliseconds; ``&`` and ``<`` are escaped.

    Raises:
        UnsupportedOptionError: there is text without times.

    Source: W3C, "WebVTT: The Web Video Text Tracks Format", 4.1 and 4.2.2.

    >>> to_vtt(Transcript("R&D", segments=(Segment(0.0, 3.32, " R&D"),)))
    'WEBVTT\n\n00:00:00.000 --> 00:00:03.320\nR&amp;D\n\n'
    """
    return "WEBVTT\n\n" + "".join(
        f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}\n{_escaped(cue.text)}\n\n"
        for cue in _cues(transcript, "vtt")
    )


def to_tsv(transcript: Transcript) -> str:
    r"""Returns openai/whisper's table: start and end in milliseconds, text without tabs.

    Raises:
        UnsupportedOptionError: there is text without times.

    >>> to_tsv(Transcript("one two", segments=(Segment(0.25, 1.0, " one\ttwo"),)))
    'start\tend\ttext\n250\t1000\tone two\n'
    """
    rows = (f"{cue.start_ms}\t{cue.end_ms}\t{cue.text}\n" for cue in _cues(transcript, "tsv"))
    return "start\tend\ttext\n" + "".join(rows)


def to_json(transcript: Transcript) -> str:
    r"""Returns text, language and segments with their words under openai/whisper's names.

    Nothing is rounded or stripped; what the engine does not know is ``null``.

    >>> json.loads(to_json(Transcript("hi", "en", (Segment(0.0, 0.5, " hi"),))))["segments"][0]["end"]
    0.5
    """
    described = {
        "text": transcript.text,
        "language": transcript.language,
        "segments": [_describe(*numbered) for numbered in enumerate(transcript.segments)],
    }
    return json.dumps(described, ensure_ascii=False, allow_nan=False, indent=2) + "\n"


FORMATS: Mapping[str, Callable[[Transcript], str]] = {
    "txt": to_txt,
    "srt": to_srt,
    "vtt": to_vtt,
    "tsv": to_tsv,
    "json": to_json,
}
"""Writers by the name of the format, which is also the file's ending."""


def _cues(transcript: Transcript, format_name: str) -> Iterator[_Cue]:
    if transcript.text.strip() and not transcript.segments:
        raise UnsupportedOptionError(
            f"{format_name} needs the times of segments, but this transcript has text without any; "
            "choose txt or json, or an engine that gives timestamps"
        )
    for segment in transcript.segments:
        text = _one_line(segment.text)
        if text:
            yield _Cue(_milliseconds(segment.start), _milliseconds(segment.end), text)


def _one_line(text: str) -> str:
    # "--->" would still hold an arrow after one plain replacement.
    return re.sub(r"-{2,}>", "->", " ".join(text.split()))


def _milliseconds(seconds: float) -> int:
    if seconds < 0:
        raise ValueError(f"expected a time >= 0 seconds, got {seconds}")
    return round(seconds * 1000)


def _clock(milliseconds: int, decimal_mark: str) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{decimal_mark}{milliseconds:03d}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _describe(number: int, segment: Segment) -> dict[str, Any]:
    return {
        "id": number,
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "tokens": list(segment.tokens),
        "temperature": segment.temperature,
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": segment.compression_ratio,
        "no_speech_prob": segment.no_speech_prob,
        "words": [_describe_word(word) for word in segment.words],
    }


def _describe_word(word: Word) -> dict[str, Any]:
    return {
        "word": word.text,
        "start": word.start,
        "end": word.end,
        "probability": word.probability,
    }
