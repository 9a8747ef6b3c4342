from __future__ import annotations

import io
import json
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from openai_peer import Answer
from remote_examples import NONE, VERBOSE, WORDS, failed_row, loaded, one, tone

from whisperlab.audio import Waveform, decode
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import RowsFailedError
from whisperlab.engine.remote_wire import packed, read_answer
from whisperlab.errors import (
    InferenceError,
)
from whisperlab.transcript import Segment, Transcript, Word


def test_an_answer_becomes_a_transcript_with_everything_it_says() -> None:
    with loaded(Answer(VERBOSE)) as (engine, _):
        heard = one(engine)
    assert replace(heard, stages={}) == Transcript(
        "One two. Three.",
        "en",
        (
            Segment(0.0, 0.62, " One two.", (50364, 1485, 732, 13, 50395), -0.25, 0.01, 0.75, 0.0),
            Segment(0.62, 1.0, " Three.", (50395, 6244, 13, 50414), -0.25, 0.01, 0.75, 0.0),
        ),
    )


def test_words_go_to_the_segment_in_which_their_middle_lies() -> None:
    with loaded(Answer({**VERBOSE, "words": WORDS})) as (engine, _):
        heard = one(engine, DecodeOptions(timestamps="word"))
    assert [segment.words for segment in heard.segments] == [
        (Word(0.0, 0.3, "One"), Word(0.3, 0.64, "two.")),
        (Word(0.64, 1.0, "Three."),),
    ]


def test_without_times_one_segment_is_as_long_as_the_sound() -> None:
    with loaded(Answer(VERBOSE)) as (engine, _):
        assert one(engine, NONE).segments == (Segment(0.0, 0.5, " One two. Three."),)


def test_json_answers_carry_log_probabilities_when_asked_for() -> None:
    logprobs = [{"token": "One", "logprob": -0.5, "bytes": [79]}, {"token": "!", "logprob": -1.5}]
    with loaded(
        Answer({"text": "One!", "logprobs": logprobs}), response_format="json", include=["logprobs"]
    ) as (engine, peer):
        (segment,) = one(engine, NONE).segments
    assert segment.avg_logprob == -1.0
    assert peer.form()["include[]"] == ["logprobs"]


SAMPLES = arrays(
    np.float32,
    st.integers(1, 500),
    elements=st.floats(-2.0, 2.0, width=32, allow_subnormal=True),
)


@given(SAMPLES)
def test_a_float_file_gives_back_every_sample_bit_for_bit(samples: Any) -> None:
    _, content, _ = packed(Waveform(samples), "wav_float32")
    with soundfile.SoundFile(io.BytesIO(content)) as read:
        assert (read.subtype, read.samplerate, read.channels) == ("FLOAT", 16_000, 1)
        assert read.read(dtype="float32").tobytes() == samples.tobytes()


def test_our_own_door_reads_both_formats() -> None:
    rng = np.random.default_rng(0)
    sound = Waveform(rng.uniform(-1, 1, 4_000).astype(np.float32))
    assert (decode(packed(sound, "wav_float32")[1]).samples == sound.samples).all()
    rounded = decode(packed(sound, "flac_pcm16")[1]).samples
    assert np.abs(rounded - sound.samples).max() <= 1 / 32_768  # one step of 16 bits


def test_a_float_file_s_header_is_the_standard_s() -> None:
    name, content, media_type = packed(tone(seconds=0.1), "wav_float32")
    assert (name, media_type) == ("sound.wav", "audio/wav")
    assert struct.unpack("<I", content[4:8])[0] == len(content) - 8
    assert struct.unpack("<HHIIHHH", content[20:38]) == (3, 1, 16_000, 64_000, 4, 32, 0)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer("<html>bad gateway</html>", 400), "http_400"),
        (Answer({"error": {"code": "Not A Code", "message": "m"}}, 418), "http_418"),
        (Answer("no json"), "invalid_answer"),
        (Answer({"text": 7}), "invalid_answer"),
        (Answer({"text": "words without segments"}), "invalid_answer"),
        (Answer({**VERBOSE, "segments": [{"start": -1, "end": 0, "text": ""}]}), "invalid_answer"),
        (Answer('{"text": "a", "segments": [{"start": NaN, "end": 1, "text": ""}]}'), "invalid_answer"),
    ],
)  # fmt: skip
def test_what_no_server_should_say_is_a_typed_failure(answer: Answer, code: str) -> None:
    with loaded(answer) as (engine, _):
        error = failed_row(engine)
    assert (type(error), error.code) == (InferenceError, code)
    assert "\n" not in str(error)


def test_words_that_were_asked_for_and_did_not_come_are_a_failure() -> None:
    with loaded(Answer(VERBOSE)) as (engine, _), pytest.raises(RowsFailedError) as raised:
        one(engine, DecodeOptions(timestamps="word"))
    assert "without words" in str(raised.value.results[0])


def test_an_empty_text_is_an_answer() -> None:
    silent = {**VERBOSE, "text": "", "segments": []}
    with loaded(Answer(silent)) as (engine, _):
        assert replace(one(engine), stages={}) == Transcript("", "en")


@given(st.text(), st.floats(0.1, 100.0))
def test_any_text_is_stripped_and_kept(text: str, seconds: float) -> None:
    heard = read_answer(json.dumps({"text": text}), seconds, NONE)
    assert heard.text == text.strip()
    assert len(heard.segments) == bool(heard.text)
