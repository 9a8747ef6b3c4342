"""Joining the transcripts of neighbouring pieces: texts, fields and times, computed by hand."""

from __future__ import annotations

import pytest
from word_timeline import silence

from whisperlab.audio import Waveform
from whisperlab.segmentation.seam import join_pieces, written
from whisperlab.transcript import Finish, Segment, Transcript, Word


def pieces(*spans: tuple[float, float]) -> list[Waveform]:
    sound = silence(max(end for _, end in spans))
    return [sound.cut(round(start * 100), round(end * 100)) for start, end in spans]


def said(*segments: Segment) -> Transcript:
    return Transcript("".join(segment.text for segment in segments).strip(), segments=segments)


def test_no_pieces_give_an_empty_transcript() -> None:
    assert join_pieces([], []) == Transcript("")


def test_pieces_that_share_nothing_follow_one_another_unchanged() -> None:
    first = Segment(0.0, 4.0, " One two.", tokens=(1, 2), avg_logprob=-0.1)
    second = Segment(6.0, 9.0, " Two three.", tokens=(3,), avg_logprob=-0.2)
    joined = join_pieces(pieces((0, 5), (5, 10)), [said(first), said(second)])
    assert joined == Transcript("One two. Two three.", segments=(first, second))


def test_capitals_and_punctuation_do_not_hide_the_same_word() -> None:
    first = said(Segment(0.0, 5.0, " we went home. And the"))
    second = said(Segment(3.0, 8.0, " Home and the rain stopped."))
    joined = join_pieces(pieces((0, 5), (3, 8)), [first, second])
    assert joined.text == "we went home. And the rain stopped."


def test_a_word_half_heard_at_the_end_of_a_piece_is_taken_from_the_other() -> None:
    first = said(Segment(0.0, 5.0, " the liberty that was pre"))
    second = said(Segment(3.0, 8.0, " berty that was precious to us"))
    joined = join_pieces(pieces((0, 5), (3, 8)), [first, second])
    assert joined.text == "the liberty that was precious to us"


def test_equal_neighbours_are_told_apart_by_their_times() -> None:
    zeros = [Word(time, time + 0.5, " zero") for time in (3.0, 3.6, 4.2, 4.8)]
    first = said(Segment(3.0, 4.7, " zero zero zero", words=tuple(zeros[:3])))
    second = said(Segment(3.6, 5.3, " zero zero zero", words=tuple(zeros[1:])))
    joined = join_pieces(pieces((0, 5), (3.5, 8)), [first, second])
    assert joined.text == "zero zero zero zero"
    assert [word for segment in joined.segments for word in segment.words] == zeros


def test_a_segment_that_a_seam_cuts_loses_what_held_for_the_whole_alone() -> None:
    first = Segment(
        *(0.0, 5.0, " one two three"),
        tokens=(7, 8, 9),
        avg_logprob=-0.3,
        no_speech_prob=0.01,
        compression_ratio=1.2,
        temperature=0.0,
        words=(Word(0.0, 1.0, " one"), Word(3.2, 3.8, " two"), Word(4.0, 4.8, " three")),
    )
    second = Segment(
        *(3.2, 7.0, " two three four"),
        tokens=(8, 9, 10),
        token_logprobs=(-0.1, -0.2, -0.9),
        avg_logprob=-0.4,
        temperature=0.2,
        words=(Word(3.2, 3.8, " two"), Word(4.0, 4.8, " three"), Word(6.0, 7.0, " four")),
    )
    joined = join_pieces(pieces((0, 5), (3, 8)), [said(first), said(second)])
    assert joined.text == "one two three four"
    left, right = joined.segments
    assert left == first  # the seam lies behind its last word: nothing was cut off
    assert (right.start, right.end, right.text) == (6.0, 7.0, " four")
    assert right.words == (Word(6.0, 7.0, " four"),)
    assert (right.tokens, right.avg_logprob, right.compression_ratio) == ((), None, None)
    assert right.token_logprobs == ()
    assert right.temperature == 0.2


def test_where_nothing_agrees_the_middle_of_the_shared_sound_parts_the_words() -> None:
    first = said(Segment(0, 6, " a b", words=(Word(4.2, 4.6, " a"), Word(5.3, 5.7, " b"))))
    second = said(Segment(4, 9, " c d", words=(Word(4.2, 4.6, " c"), Word(5.3, 5.7, " d"))))
    assert join_pieces(pieces((0, 6), (4, 9)), [first, second]).text == "a d"


def test_times_outside_the_piece_and_segments_that_overlap_are_put_in_order() -> None:
    first = said(
        Segment(0.0, 3.0, " one"), Segment(2.5, 7.0, " two", words=(Word(2.5, 7, " two"),))
    )
    joined = join_pieces(pieces((0, 5), (5, 10)), [first, said(Segment(4.0, 11.0, " three"))])
    assert [(segment.start, segment.end) for segment in joined.segments] == [
        (0.0, 3.0),
        (3.0, 5.0),
        (5.0, 10.0),
    ]
    assert joined.segments[1].words == (Word(3.0, 5.0, " two"),)


def test_text_without_segments_is_joined_and_none_are_made_up() -> None:
    first, second = Transcript("one two three"), Transcript("two three four")
    joined = join_pieces(pieces((0, 3), (1, 4)), [first, second])
    assert joined == Transcript("one two three four")


def test_scripts_without_spaces_are_joined_character_by_character() -> None:
    first = said(Segment(0.0, 5.0, "今天天气很好我们"))
    second = said(Segment(3.0, 8.0, "很好我们去公园"))
    joined = join_pieces(pieces((0, 5), (3, 8)), [first, second])
    assert joined.text == "今天天气很好我们去公园"


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (["one", "two"], "one two"),
        ([" one", " two"], " one two"),
        (["今天", "天气"], "今天天气"),
        (["今天", "two"], "今天 two"),
        (["", "two", ""], "two"),
    ],
)
def test_a_space_stands_where_the_script_writes_one(parts: list[str], text: str) -> None:
    assert written(parts) == text


def test_the_finish_is_the_worst_the_stages_are_summed() -> None:
    heard = [
        Transcript("a", finish=Finish.CANCELLED, stages={"encode": 1.0}),
        Transcript("b", finish=Finish.TRUNCATED, stages={"encode": 2.0, "features": 0.5}),
        Transcript("c"),
    ]
    spans = pieces((0, 1), (1, 2), (2, 3))
    joined = join_pieces(spans, heard)
    assert joined.finish is Finish.CANCELLED
    assert joined.stages == {"encode": 3.0, "features": 0.5}
    assert join_pieces(spans[:2], heard[1:]).finish is Finish.TRUNCATED


@pytest.mark.parametrize(
    ("heard", "language"),
    [
        ([("a", "de"), ("b", "en"), ("c", "en")], "en"),
        ([("", "nn"), ("", "nn"), ("c", "de")], "de"),
        ([("a", "de"), ("b", "en")], "de"),
        ([("", "nn"), ("", None)], "nn"),
        ([("a", None)], None),
    ],
)
def test_the_language_is_that_of_most_pieces_with_text(
    heard: list[tuple[str, str | None]], language: str | None
) -> None:
    spans = pieces(*((index, index + 1) for index in range(len(heard))))
    joined = join_pieces(spans, [Transcript(text, language=spoken) for text, spoken in heard])
    assert joined.language == language
