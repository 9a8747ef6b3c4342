"""Transcript files: hand-written expectations, and everything written can be read back."""

from __future__ import annotations

import csv
import html
import io
import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlab.errors import UnsupportedOptionError
from whisperlab.subtitles import FORMATS, to_json, to_srt, to_tsv, to_txt, to_vtt
from whisperlab.transcript import Segment, Transcript, Word

SAID = Transcript(
    "Good morning. R&D --> <sales>.",
    language="en",
    segments=(
        Segment(0.0, 3.32, " Good morning."),
        Segment(59.9996, 3725.0004, " R&D --> <sales>."),
    ),
)


def test_txt_is_the_text_and_a_line_break() -> None:
    assert to_txt(SAID) == "Good morning. R&D --> <sales>.\n"
    assert to_txt(Transcript("")) == "\n"


def test_srt_by_hand() -> None:
    assert to_srt(SAID) == (
        "1\n00:00:00,000 --> 00:00:03,320\nGood morning.\n\n"
        "2\n00:01:00,000 --> 01:02:05,000\nR&D -> <sales>.\n\n"
    )


def test_vtt_by_hand() -> None:
    assert to_vtt(SAID) == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:03.320\nGood morning.\n\n"
        "00:01:00.000 --> 01:02:05.000\nR&amp;D -> &lt;sales>.\n\n"
    )


@pytest.mark.parametrize("name", ["srt", "vtt", "tsv"])
@pytest.mark.parametrize("arrow", ["-->", "--->", "-----> -->"])
def test_no_arrow_of_any_length_survives_in_a_cue(name: str, arrow: str) -> None:
    written = FORMATS[name](Transcript("x", segments=(Segment(0.0, 1.0, f"a {arrow} b"),)))
    line = next(line for line in written.splitlines() if "a " in line)
    assert line.endswith("a " + " ".join("->" for _ in arrow.split()) + " b")


def test_tsv_by_hand() -> None:
    assert to_tsv(SAID) == (
        "start\tend\ttext\n0\t3320\tGood morning.\n60000\t3725000\tR&D -> <sales>.\n"
    )


def test_json_keeps_everything_that_the_engine_knows() -> None:
    segment = Segment(
        0.12,
        0.987654,
        " Grüße",
        tokens=(50364, 9, 50400),
        avg_logprob=-0.25,
        no_speech_prob=0.01,
        compression_ratio=1.5,
        temperature=0.0,
        words=(Word(0.12, 0.9, " Grüße", probability=0.75), Word(0.9, 0.95, "!")),
    )
    written = to_json(Transcript("Grüße", "de", (segment,)))
    assert "Grüße" in written  # readable, not escaped
    assert json.loads(written) == {
        "text": "Grüße",
        "language": "de",
        "segments": [
            {
                "id": 0,
                "start": 0.12,
                "end": 0.987654,
                "text": " Grüße",
                "tokens": [50364, 9, 50400],
                "temperature": 0.0,
                "avg_logprob": -0.25,
                "compression_ratio": 1.5,
                "no_speech_prob": 0.01,
                "words": [
                    {"word": " Grüße", "start": 0.12, "end": 0.9, "probability": 0.75},
                    {"word": "!", "start": 0.9, "end": 0.95, "probability": None},
                ],
            }
        ],
    }


def test_silence_is_a_valid_file_in_every_format() -> None:
    written = {name: write(Transcript("")) for name, write in FORMATS.items()}
    assert written["srt"] == ""
    assert written["vtt"] == "WEBVTT\n\n"
    assert written["tsv"] == "start\tend\ttext\n"
    assert json.loads(written["json"]) == {"text": "", "language": None, "segments": []}


@pytest.mark.parametrize("name", ["srt", "vtt", "tsv"])
def test_text_without_times_is_refused_rather_than_lost(name: str) -> None:
    with pytest.raises(UnsupportedOptionError, match=f"{name} needs the times"):
        FORMATS[name](Transcript("said but not timed"))


def test_a_negative_time_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a time >= 0 seconds, got -0\.5"):
        to_srt(Transcript("a", segments=(Segment(-0.5, 1.0, "a"),)))


def test_a_segment_without_text_is_no_cue_and_takes_no_number() -> None:
    segments = (Segment(0.0, 1.0, "a"), Segment(1.0, 2.0, " "), Segment(2.0, 3.0, "b"))
    numbers = re.findall(r"^\d+$", to_srt(Transcript("a b", segments=segments)), re.MULTILINE)
    assert numbers == ["1", "2"]


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    times = sorted(draw(st.lists(st.floats(0, 400_000, allow_nan=False), min_size=2, max_size=8)))
    texts = st.text(alphabet="ab1<>&-\t\n\r\u2028 é,\"'", max_size=12)
    segments = [Segment(start, end, draw(texts)) for start, end in itertools.pairwise(times)]
    return Transcript(" ".join(segment.text for segment in segments).strip(), None, tuple(segments))


def expected_cues(transcript: Transcript) -> list[tuple[int, int, str]]:
    """What every format must give back: milliseconds and the words on one line."""
    cues = []
    for segment in transcript.segments:
        words = " ".join(segment.text.split())
        while "-->" in words:
            words = words.replace("-->", "->")
        if words:
            cues.append((round(segment.start * 1000), round(segment.end * 1000), words))
    return cues


def milliseconds(clock: str) -> int:
    match = re.fullmatch(r"(\d{2,}):([0-5]\d):([0-5]\d)[.,](\d{3})", clock)
    assert match, clock
    hours, minutes, seconds, rest = map(int, match.groups())
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + rest


def read_cue(lines: list[str]) -> tuple[int, int, str]:
    times, text = lines
    start, end = times.split(" --> ")
    return milliseconds(start), milliseconds(end), text


def blocks(text: str) -> list[list[str]]:
    """Cues as a player finds them: separated by empty lines, lines by any line break."""
    return [block.splitlines() for block in text.split("\n\n") if block]


@given(transcript=transcripts())
def test_srt_reads_back_numbered_in_order(transcript: Transcript) -> None:
    cues = blocks(to_srt(transcript))
    assert [cue[0] for cue in cues] == [str(number + 1) for number in range(len(cues))]
    assert [read_cue(cue[1:]) for cue in cues] == expected_cues(transcript)


@given(transcript=transcripts())
def test_vtt_reads_back(transcript: Transcript) -> None:
    header, *cues = blocks(to_vtt(transcript))
    assert header == ["WEBVTT"]
    read = [read_cue(cue) for cue in cues]
    assert all("<" not in text and "-->" not in text for _, _, text in read)
    assert [(start, end, html.unescape(text)) for start, end, text in read] == expected_cues(
        transcript
    )


@given(transcript=transcripts())
def test_tsv_reads_back(transcript: Transcript) -> None:
    header, *rows = csv.reader(
        io.StringIO(to_tsv(transcript)), delimiter="\t", quoting=csv.QUOTE_NONE
    )
    assert header == ["start", "end", "text"]
    assert [(int(start), int(end), text) for start, end, text in rows] == expected_cues(transcript)


@given(transcript=transcripts())
def test_times_of_cues_never_run_backwards(transcript: Transcript) -> None:
    read = [read_cue(cue[1:]) for cue in blocks(to_srt(transcript))]
    times = [time for start, end, _ in read for time in (start, end)]
    assert times == sorted(times)


@given(transcript=transcripts())
def test_json_reads_back_unrounded(transcript: Transcript) -> None:
    read = json.loads(to_json(transcript))
    assert read["text"] == transcript.text
    assert [(part["start"], part["end"], part["text"]) for part in read["segments"]] == [
        (segment.start, segment.end, segment.text) for segment in transcript.segments
    ]
