"""Fixed windows: no sample is left out, no word is doubled or lost at a seam."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from word_timeline import RATE_HZ, Oracle, assert_orderly, silence, timelines

from whisperlab.audio import decode
from whisperlab.errors import ConfigError
from whisperlab.segmentation.fixed import FixedWindows
from whisperlab.transcript import Transcript, Word

WINDOWS = st.builds(
    FixedWindows, window_seconds=st.integers(4, 30), overlap_seconds=st.just(2.0)
) | st.just(FixedWindows(window_seconds=12.5, overlap_seconds=6.25))


def through(windows: FixedWindows, oracle: Oracle, seconds: float) -> Transcript:
    pieces = windows.cut(silence(seconds))
    return windows.join(pieces, [oracle.hear(piece).shifted(piece.start) for piece in pieces])


@given(samples=st.integers(1, 20_000), window=st.integers(1, 40), share=st.floats(0, 0.5))
def test_windows_cover_every_sample_and_overlap_by_what_was_asked(
    samples: int, window: int, share: float
) -> None:
    windows = FixedWindows(window_seconds=window, overlap_seconds=share * window)
    pieces = windows.cut(silence(samples / RATE_HZ))
    overlap = round(share * window * RATE_HZ)
    starts = [round(piece.start * RATE_HZ) for piece in pieces]
    ends = [start + len(piece.samples) for start, piece in zip(starts, pieces, strict=True)]
    assert (starts[0], ends[-1]) == (0, samples)
    for end, start in zip(ends, starts[1:], strict=False):
        assert end - start == overlap
    assert all(len(piece.samples) == window * RATE_HZ for piece in pieces[:-1])
    assert overlap < len(pieces[-1].samples) <= window * RATE_HZ or len(pieces) == 1


@given(timeline=timelines(), windows=WINDOWS, halves=st.booleans(), per_segment=st.integers(1, 9))
def test_no_word_is_doubled_or_lost_where_the_engine_gives_word_times(
    timeline: tuple[list[Word], float], windows: FixedWindows, halves: bool, per_segment: int
) -> None:
    words, seconds = timeline
    oracle = Oracle(words, segment_words=per_segment, hears_halves=halves)
    said = through(windows, oracle, seconds)
    joined = [word for segment in said.segments for word in segment.words]
    assert said.text.split() == [word.text for word in words]
    assert [word.text for word in joined] == [word.text for word in words]
    for one, true in zip(joined, words, strict=True):
        assert (one.start, one.end) == pytest.approx((true.start, true.end), abs=1e-6)
    assert_orderly(said, seconds)


@given(
    timeline=timelines(unique=True, longest_gap=50),
    overlap=st.sampled_from([6.0, 8.0, 10.0]),
    per_segment=st.integers(1, 5),
    halves=st.booleans(),
)
def test_no_word_is_doubled_or_lost_where_it_gives_segment_times_alone(
    timeline: tuple[list[Word], float], overlap: float, per_segment: int, halves: bool
) -> None:
    words, seconds = timeline
    windows = FixedWindows(window_seconds=20.0, overlap_seconds=overlap)
    oracle = Oracle(words, timed=False, segment_words=per_segment, hears_halves=halves)
    said = through(windows, oracle, seconds)
    assert said.text.split() == [word.text for word in words]
    assert_orderly(said, seconds)


@given(timeline=timelines(), windows=WINDOWS, jitter=st.lists(st.floats(-0.04, 0.04), min_size=1))
def test_times_that_differ_between_windows_double_and_lose_nothing(
    timeline: tuple[list[Word], float], windows: FixedWindows, jitter: list[float]
) -> None:
    words, seconds = timeline
    pieces = windows.cut(silence(seconds))
    heard = [
        Oracle(words).hear(piece).shifted(piece.start + jitter[index % len(jitter)])
        for index, piece in enumerate(pieces)
    ]
    said = windows.join(pieces, heard)
    assert said.text.split() == [word.text for word in words]
    assert_orderly(said, seconds)


def test_an_overlap_of_more_than_half_a_window_is_refused_with_its_key() -> None:
    with pytest.raises(ConfigError, match=r"^segmentation\.overlap_seconds: .* half"):
        FixedWindows(window_seconds=10.0, overlap_seconds=5.1)


@pytest.mark.parametrize(("window", "overlap"), [(30.0, 5.0), (10.0, 2.0), (7.0, 3.5)])
@pytest.mark.parametrize("timed", [True, False], ids=["word times", "segment times"])
def test_real_long_recordings_come_back_word_for_word(
    test_data: Path, window: float, overlap: float, timed: bool
) -> None:
    folder = test_data / "english_dev"
    rows = [
        json.loads(line)
        for line in (folder / "longform.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    timed_rows = [row for row in rows if row["segments"]]
    assert timed_rows
    windows = FixedWindows(window_seconds=window, overlap_seconds=overlap)
    for row in timed_rows:
        sound = decode(folder / row["audio_filepath"])
        words = [
            Word(word["start"], word["end"], word["word"])
            for segment in row["segments"]
            for word in segment["words"]
        ]
        oracle = Oracle(words, timed=timed, segment_words=12, hears_halves=True)
        pieces = windows.cut(sound)
        said = windows.join(pieces, [oracle.hear(piece).shifted(piece.start) for piece in pieces])
        assert said.text.split() == row["text"].lower().split()
        assert_orderly(said, sound.duration_seconds)


@pytest.mark.parametrize("hears_halves", [False, True])
def test_real_digit_strings_with_repeats_come_back_word_for_word(
    test_data: Path, hears_halves: bool
) -> None:
    rows = [
        json.loads(line)
        for line in (test_data / "fsdd" / "test_strings.jsonl").read_text().splitlines()
    ]
    windows = FixedWindows(window_seconds=3.0, overlap_seconds=1.5)
    spoken = [row for row in rows if row["words"]]
    assert len(spoken) == 120
    for row in spoken:
        words = [Word(word["start"], word["end"], word["word"]) for word in row["words"]]
        said = through(windows, Oracle(words, hears_halves=hears_halves), row["duration"])
        assert said.text == row["text"]


@given(timeline=timelines(), windows=WINDOWS, halves=st.booleans(), timed=st.booleans())
def test_settled_text_only_grows_and_ends_as_the_joined_text(
    timeline: tuple[list[Word], float], windows: FixedWindows, halves: bool, timed: bool
) -> None:
    words, seconds = timeline
    oracle = Oracle(words, timed=timed, hears_halves=halves)
    pieces = windows.cut(silence(seconds))
    said = [oracle.hear(piece).shifted(piece.start) for piece in pieces]
    settled = ""
    for count, upcoming in enumerate([*pieces[1:], None], start=1):
        more = windows.settled(pieces[:count], said[:count], upcoming)
        assert more.startswith(settled)
        settled = more
    assert settled == windows.join(pieces, said).text
