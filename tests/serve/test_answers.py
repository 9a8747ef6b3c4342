"""Formats to the byte: keys, order, types, what is unknown."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from serve_replay import replay

from whisperlab.engine.options import DecodeOptions
from whisperlab.errors import UnsupportedOptionError
from whisperlab.serve.answers import answer, seeks, token_usage, verbose
from whisperlab.serve.messages import Recipe, Reply, Token
from whisperlab.serve.parameters import ResponseFormat, Wanted
from whisperlab.serve.problems import ApiError
from whisperlab.transcript import Segment, Transcript, Word

SEGMENTS = (
    Segment(
        0.0, 1.5, " Héllo,", (50364, 7, 50414), -0.2, 0.01, 0.9, 0.0, (Word(0.0, 1.5, "Héllo,"),)
    ),
    Segment(1.5, 3.32, " world.", (50414, 9, 50530), -0.2, 0.01, 0.9, 0.0, (Word(1.6, 3.0, "world."),)),
    Segment(31.0, 32.0, " End", (50364, 3, 50414), -0.4, 0.02, 0.8, 0.2),
)  # fmt: skip
TRANSCRIPT = Transcript("Héllo, world. End", "de", SEGMENTS)
REPLY = Reply(TRANSCRIPT, None, "", audio_seconds=32.01)


def wanted(
    response_format: ResponseFormat = "json", *granularities: str, spell: bool = False
) -> Wanted:
    return Wanted(
        configuration=replay("x"),
        recipe=Recipe(DecodeOptions(), spell=spell),
        task="transcribe",
        response_format=response_format,
        granularities=granularities or ("segment",),
        stream=False,
        ignored=(),
    )


def test_json_is_text_and_whole_seconds_rounded_up() -> None:
    content, media_type = answer(REPLY, TRANSCRIPT, wanted())
    assert content == (
        '{"text": "Héllo, world. End", "usage": {"type": "duration", "seconds": 33}}'.encode()
    )
    assert media_type == "application/json"


def test_verbose_json_has_openais_keys_in_openais_order() -> None:
    content = json.loads(answer(REPLY, TRANSCRIPT, wanted("verbose_json"))[0])
    assert list(content) == ["task", "language", "duration", "text", "segments", "usage"]
    assert content["language"] == "german"
    assert content["duration"] == 32.01
    assert list(content["segments"][0]) == [
        "id", "seek", "start", "end", "text", "tokens", "temperature", "avg_logprob",
        "compression_ratio", "no_speech_prob",
    ]  # fmt: skip
    assert content["segments"][0]["text"] == " Héllo,"
    assert content["segments"][0]["tokens"] == [50364, 7, 50414]


def test_words_stand_at_the_top_without_spaces_and_alone_when_asked_alone() -> None:
    words = verbose(REPLY, TRANSCRIPT, wanted("verbose_json", "word"))
    assert list(words) == ["task", "language", "duration", "text", "words", "usage"]
    assert words["words"][0] == {"word": "Héllo,", "start": 0.0, "end": 1.5}
    both = verbose(REPLY, TRANSCRIPT, wanted("verbose_json", "word", "segment"))
    assert list(both) == ["task", "language", "duration", "text", "segments", "words", "usage"]


def test_a_translation_is_english() -> None:
    translation = replace(wanted("verbose_json"), task="translate")
    assert verbose(REPLY, TRANSCRIPT, translation)["language"] == "english"


def test_what_an_engine_does_not_know_is_null() -> None:
    bare = Transcript("hi", None, (Segment(0.0, 1.0, " hi"),))
    content = verbose(REPLY, bare, wanted("verbose_json"))
    assert content["segments"][0]["avg_logprob"] is None
    assert content["language"] == "unknown"


def test_seek_is_the_frame_at_which_a_segments_window_begins() -> None:
    assert seeks(SEGMENTS) == [0, 0, 3100]


def test_subtitles_come_as_text_of_their_own_type() -> None:
    content, media_type = answer(REPLY, TRANSCRIPT, wanted("srt"))
    assert content.decode().startswith("1\n00:00:00,000 --> 00:00:01,500\nHéllo,\n\n2\n")
    assert media_type == "application/x-subrip; charset=utf-8"
    assert answer(REPLY, TRANSCRIPT, wanted("vtt"))[0].startswith(b"WEBVTT\n\n")
    assert answer(REPLY, TRANSCRIPT, wanted("text"))[0] == "Héllo, world. End\n".encode()
    with pytest.raises(UnsupportedOptionError, match="times"):
        answer(REPLY, Transcript("no times"), wanted("srt"))


def test_log_probabilities_show_bytes_also_of_half_a_character() -> None:
    spelled = replace(REPLY, tokens=(Token(b" H\xc3", -0.5), Token(b"\xa9", -0.25)))
    content = json.loads(answer(spelled, TRANSCRIPT, wanted(spell=True))[0])
    assert content["logprobs"] == [
        {"token": " H�", "logprob": -0.5, "bytes": [32, 72, 195]},
        {"token": "�", "logprob": -0.25, "bytes": [169]},
    ]


def test_tokens_are_encoder_positions_and_decoded_ids() -> None:
    assert token_usage(REPLY, TRANSCRIPT) == {
        "type": "tokens",
        "input_tokens": 1601,
        "output_tokens": 9,
        "total_tokens": 1610,
        "input_token_details": {"audio_tokens": 1601, "text_tokens": 0},
        "seconds": 33,
    }


def test_an_error_can_be_kept_in_a_set() -> None:
    error = ApiError("overloaded", "busy")
    assert error in {error}
    assert error != ApiError("overloaded", "busy")
