"""Seam errors and word times on alignments whose times are set by hand."""

from __future__ import annotations

import pytest

from whisperlab.experiment.heard_times import Span, TimedWord, column_times, segment_words
from whisperlab.experiment.scoring import ScoredUtterance, score_outcomes
from whisperlab.experiment.timed_failures import seam_errors, seam_places, word_times
from whisperlab.metric.alignment import align
from whisperlab.metric.wer import WordErrorRate
from whisperlab.normalize.profile import Profile
from whisperlab.normalize.whisper_basic import WhisperBasic
from whisperlab.transcript import Segment, Word
from whisperlab.utterance import Outcome, State

BASIC = Profile(name="basic", version="1", steps=(WhisperBasic(),))


def scored(
    reference: str, segments: tuple[Segment, ...], said: tuple[Word, ...] = ()
) -> list[ScoredUtterance]:
    text = " ".join(segment.text for segment in segments)
    outcome = Outcome("u", State.OK, reference, text, segments=segments, reference_words=said)
    return score_outcomes([outcome], BASIC, [WordErrorRate()])


def spoken(start: float, text: str) -> Segment:
    """A segment of words of one second each, with their times."""
    words = tuple(
        Word(start + number, start + number + 1, word) for number, word in enumerate(text.split())
    )
    return Segment(start, start + len(words), text, words=words)


def test_a_deletion_stands_between_its_neighbours_in_time() -> None:
    edits = align(["a", "b", "c", "d"], ["a", "c", "x"])
    timed = [TimedWord("a", Span(0, 1)), TimedWord("c", Span(3, 4)), TimedWord("x", Span(8, 9))]
    # a 0.5, b between 1 and 3, c 3.5, d heard as x 8.5
    assert column_times(edits, timed) == [0.5, 2.0, 3.5, 8.5]


def test_columns_without_any_time_have_none() -> None:
    assert column_times(align(["a"], ["b"]), []) == [None]


def test_words_without_times_are_spread_over_their_segment_by_letters() -> None:
    found = segment_words([Segment(10.0, 14.0, " One, three!")], BASIC)
    assert found == [TimedWord("one", Span(10.0, 11.5)), TimedWord("three", Span(11.5, 14.0))]


def test_errors_near_a_seam_are_told_from_the_others() -> None:
    # Seam at 5 s. The words' middles: 0.5, 1.5, 2.5, 3.5, 4.5 | 5.5, 6.5, 7.5, 8.5, 9.5
    segments = (spoken(0.0, "a b c d e"), spoken(5.0, "e f g h x"))
    # "e" is heard twice (an insertion at 4.5 or 5.5), the last word wrongly (9.5)
    found = seam_errors(scored("a b c d e f g h i", segments), BASIC, seam_seconds=1.0)
    assert found is not None
    assert (found.utterances, found.seams) == (1, 1)
    assert (found.errors_near, found.words_near, found.rate_near) == (1, 1, 1.0)
    assert (found.errors_away, found.words_away, found.rate_away) == (1, 8, 1 / 8)


def test_segments_of_one_window_have_no_seam_and_a_text_of_one_has_no_figure() -> None:
    one, two = (
        Segment(0, 1, "a", avg_logprob=-0.2, no_speech_prob=0.1),
        Segment(1, 2, "b", avg_logprob=-0.2, no_speech_prob=0.1),
    )
    assert seam_places([one, two]) == []
    assert seam_places([spoken(0, "a"), spoken(2, "b")]) == [1.5]
    assert seam_errors(scored("a b", (one, two)), BASIC, 1.0) is None


def test_word_times_are_heard_minus_true_over_right_words() -> None:
    said = (Word(0.0, 1.0, "One"), Word(1.0, 2.0, "two"), Word(2.0, 3.0, "three"))
    heard = Segment(
        0, 9, "one to three",
        words=(Word(0.1, 1.0, " one"), Word(5, 6, " to"), Word(2.5, 3.2, " three.")),
    )  # fmt: skip
    found = word_times(scored("One, two, three.", (heard,), said), BASIC, collar_seconds=0.2)
    assert found is not None
    assert (found.utterances, found.words) == (1, 2)
    assert found.start_bias == pytest.approx(0.3)  # of 0.1 and 0.5
    assert found.start_p50 == pytest.approx(0.3)
    assert found.start_p95 == pytest.approx(0.1 + 0.95 * 0.4)
    assert found.end_p50 == pytest.approx(0.1)  # of 0.0 and 0.2
    assert found.in_place == 0.5


def test_word_times_need_times_on_both_sides() -> None:
    untimed = Segment(0, 1, "one")
    said = (Word(0.0, 1.0, "one"),)
    assert word_times(scored("one", (untimed,), said), BASIC, 0.2) is None
    assert word_times(scored("one", (spoken(0, "one"),)), BASIC, 0.2) is None
