"""Subtitle files against openai/whisper's writers, over every centisecond of the first two hours.

The oracle below is openai/whisper ``whisper/utils.py`` (v20250625) written down again: the function
``format_timestamp`` and what ``WriteSRT`` and ``WriteVTT`` print for segments without words, with
``always_include_hours`` for both, as OpenAI's API does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlab.subtitles import to_srt, to_vtt
from whisperlab.transcript import Segment, Transcript

MINUTE = 60 * 100
CENTISECONDS = 2 * 60 * MINUTE
"""The first two hours."""


def whisper_time(seconds: float, decimal_marker: str) -> str:
    milliseconds = round(seconds * 1000.0)
    hours = milliseconds // 3_600_000
    milliseconds -= hours * 3_600_000
    minutes = milliseconds // 60_000
    milliseconds -= minutes * 60_000
    whole_seconds = milliseconds // 1_000
    milliseconds -= whole_seconds * 1_000
    return f"{hours:02d}:{minutes:02d}:{whole_seconds:02d}{decimal_marker}{milliseconds:03d}"


def whisper_cues(segments: tuple[Segment, ...], decimal_marker: str) -> Iterator[str]:
    for segment in segments:
        start = whisper_time(segment.start, decimal_marker)
        end = whisper_time(segment.end, decimal_marker)
        yield f"{start} --> {end}\n" + segment.text.strip().replace("-->", "->") + "\n\n"


def whisper_srt(segments: tuple[Segment, ...]) -> str:
    return "".join(f"{n}\n{cue}" for n, cue in enumerate(whisper_cues(segments, ","), start=1))


def whisper_vtt(segments: tuple[Segment, ...]) -> str:
    return "WEBVTT\n\n" + "".join(whisper_cues(segments, "."))


def check(segments: tuple[Segment, ...]) -> None:
    transcript = Transcript("x", segments=segments)
    assert to_srt(transcript) == whisper_srt(segments)
    assert to_vtt(transcript) == whisper_vtt(segments)


def cues(centiseconds: Iterable[int]) -> tuple[Segment, ...]:
    return tuple(Segment(n / 100, (n + 1) / 100, f" cue {n}. a --> b") for n in centiseconds)


@pytest.mark.slow
def test_every_centisecond_of_two_hours_is_written_as_whisper_writes_it() -> None:
    for minute in range(CENTISECONDS // MINUTE):
        check(cues(range(minute * MINUTE, (minute + 1) * MINUTE)))


def test_the_turn_of_every_minute_is_written_as_whisper_writes_it() -> None:
    turns = range(MINUTE, CENTISECONDS + MINUTE, MINUTE)
    check(cues(n for turn in turns for n in range(turn - 100, turn + 100)))


def test_sums_of_token_steps_are_written_as_whisper_writes_them() -> None:
    """Token times are multiples of 0.02 s added to an offset, which decimals do not hit exactly."""
    segments = tuple(
        Segment(offset + step * 0.02, offset + (step + 1) * 0.02, " a")
        for offset in (0.0, 29.98, 59.9996, 3599.995, 7170.02)
        for step in range(1500)
    )
    check(segments)


@given(st.floats(0, 360_000), st.floats(0, 360_000))
def test_any_two_times_are_written_as_whisper_writes_them(start: float, end: float) -> None:
    check((Segment(start, end, " a"),))
