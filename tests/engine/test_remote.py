from __future__ import annotations

import gc
import io
import json
import logging
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from openai_peer import Answer, Peer, running_peer

from whisperlab.audio import Waveform, decode
from whisperlab.config.build import build_transcriber
from whisperlab.config.compose import compose
from whisperlab.device import Device, Quantization
from whisperlab.engine.model import ModelSpec
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import Engine, EngineSettings, RowsFailedError, SilentWatch
from whisperlab.engine.remote import RemoteSettings
from whisperlab.engine.remote_engine import RemoteEngine
from whisperlab.engine.remote_wire import packed, read_answer
from whisperlab.errors import (
    AudioError,
    ConfigError,
    InferenceError,
    ModelError,
    UnsupportedOptionError,
    WhisperlabError,
)
from whisperlab.transcriber import Transcriber
from whisperlab.transcript import Finish, Segment, Transcript, Word

NONE = DecodeOptions(timestamps="none")

VERBOSE: dict[str, Any] = {
    "task": "transcribe",
    "language": "english",
    "duration": 1.0,
    "text": "One two. Three.",
    "segments": [
        {
            "id": 0, "seek": 0, "start": 0.0, "end": 0.62, "text": " One two.",
            "tokens": [50364, 1485, 732, 13, 50395], "temperature": 0.0, "avg_logprob": -0.25,
            "compression_ratio": 0.75, "no_speech_prob": 0.01,
        },
        {
            "id": 1, "seek": 0, "start": 0.62, "end": 1.0, "text": " Three.",
            "tokens": [50395, 6244, 13, 50414], "temperature": 0.0, "avg_logprob": -0.25,
            "compression_ratio": 0.75, "no_speech_prob": 0.01,
        },
    ],
    "usage": {"type": "duration", "seconds": 1},
}  # fmt: skip
WORDS = [
    {"word": "One", "start": 0.0, "end": 0.3},
    {"word": "two.", "start": 0.3, "end": 0.64},  # ends beyond its segment, as Whisper's do
    {"word": "Three.", "start": 0.64, "end": 1.0},
]


def refusal(code: str, message: str = "no") -> dict[str, Any]:
    return {"error": {"message": message, "type": "t", "param": None, "code": code}}


def tone(hertz: float = 440.0, seconds: float = 0.5) -> Waveform:
    times = np.arange(int(16_000 * seconds)) / 16_000
    return Waveform((0.5 * np.sin(2 * np.pi * hertz * times)).astype(np.float32))


@contextmanager
def loaded(*answers: Answer, **settings: Any) -> Iterator[tuple[RemoteEngine, Peer]]:
    with running_peer(answers) as peer:
        engine = RemoteSettings(base_url=peer.base_url, **settings).load()
        peer.asked.clear()
        yield engine, peer


def one(engine: RemoteEngine, options: DecodeOptions = DecodeOptions()) -> Transcript:  # noqa: B008
    (transcript,) = engine.transcribe([tone()], options, SilentWatch())
    return transcript


def failed_row(engine: RemoteEngine) -> WhisperlabError:
    with pytest.raises(RowsFailedError) as raised:
        one(engine)
    (error,) = raised.value.results
    assert isinstance(error, WhisperlabError)
    return error


def test_settings_and_engine_keep_their_protocols() -> None:
    assert isinstance(RemoteSettings(base_url="http://localhost/v1"), EngineSettings)
    with loaded(Answer(VERBOSE)) as (engine, _):
        assert isinstance(engine, Engine)


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


def test_the_default_request_is_model_format_and_sound_alone() -> None:
    with loaded(Answer(VERBOSE), model=ModelSpec(name="org/whisper")) as (engine, peer):
        one(engine)
    assert peer.form() == {"model": ["org/whisper"], "response_format": ["verbose_json"]}
    assert peer.asked[-1].path == "/v1/audio/transcriptions"
    assert "authorization" not in peer.asked[-1].headers


def test_options_become_parameters() -> None:
    options = DecodeOptions(
        language="de", prompt="Müller", temperatures=(0.2,), timestamps="word", timeout_seconds=9.0
    )
    with loaded(Answer({**VERBOSE, "words": WORDS})) as (engine, peer):
        one(engine, options)
    assert peer.form() == {
        "model": ["whisper-1"],
        "response_format": ["verbose_json"],
        "language": ["de"],
        "prompt": ["Müller"],
        "temperature": ["0.2"],
        "timestamp_granularities[]": ["segment", "word"],
    }


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


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # OpenAI's own endpoint retires
def test_a_translation_takes_its_own_route_and_has_no_source_language() -> None:
    with loaded(Answer({**VERBOSE, "task": "translate"})) as (engine, peer):
        heard = one(engine, DecodeOptions(task="translate"))
    assert peer.asked[-1].path == "/v1/audio/translations"
    assert (heard.text, heard.language) == ("One two. Three.", None)


def test_our_own_server_s_word_of_a_cut_text_is_heard() -> None:
    cut = Answer(VERBOSE, headers={"x-whisperlab-warning": "audio_truncated, text_truncated"})
    with loaded(cut) as (engine, _):
        assert one(engine).finish is Finish.TRUNCATED


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


BUSY = Answer(refusal("rate_limit_exceeded"), 429, {"retry-after-ms": "200"})


def test_waiting_to_ask_again_is_no_part_of_the_latency(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "whisperlab")
    with loaded(BUSY, BUSY, Answer(VERBOSE)) as (engine, peer):
        heard = one(engine)
        assert engine.retried_requests == 2
    assert heard.stages["retry_wait"] >= 0.4
    assert heard.stages["remote"] < 0.2
    assert peer.asked[1].at - peer.asked[0].at >= 0.2
    assert [record.getMessage() for record in caplog.records].count("request is sent again") == 2


def test_a_run_s_times_leave_the_waiting_out(tmp_path: Path) -> None:
    with running_peer([BUSY, Answer(VERBOSE)]) as peer:
        config = compose("transcriber", ["engine=remote", f"engine.base_url={peer.base_url}"])
        (heard,) = build_transcriber(config).recognise([tone()])
    assert heard.transcript is not None
    assert heard.timings["retry_wait"] >= 0.2
    assert heard.timings["total"] == pytest.approx(
        heard.timings["preprocess"] + heard.timings["pack"] + heard.timings["remote"], abs=1e-9
    )


def test_a_busy_server_is_given_up_after_the_retries() -> None:
    with loaded(BUSY, retries=1) as (engine, peer):
        error = failed_row(engine)
    assert (type(error), error.code) == (InferenceError, "rate_limit_exceeded")
    assert len(peer.asked) == 2


@pytest.mark.parametrize(
    "answer",
    [
        Answer(refusal("audio_too_short", "too short"), 400),
        Answer(refusal("inference_timeout"), 504, {"x-should-retry": "false"}),
        Answer(refusal("overloaded"), 503, {"retry-after": "121"}),
    ],
)
def test_a_refusal_that_stays_one_is_not_asked_again(answer: Answer) -> None:
    with loaded(answer) as (engine, peer):
        error = failed_row(engine)
    assert error.code == answer.body["error"]["code"]
    assert str(answer.status) in str(error)
    assert len(peer.asked) == 1


def test_a_server_that_says_try_again_is_asked_again() -> None:
    again = Answer(refusal("odd"), 400, {"x-should-retry": "true", "retry-after": "0"})
    with loaded(again, Answer(VERBOSE)) as (engine, _):
        assert one(engine).text == "One two. Three."


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(refusal("invalid_api_key"), 401), "invalid_api_key"),
        (Answer({"detail": "Forbidden"}, 403), "invalid_api_key"),
        (Answer(refusal("model_not_found"), 404), "model_not_found"),
        (Answer({"detail": "Not Found"}, 404), "http_404"),
    ],
)
def test_a_wrong_key_or_model_ends_the_run(answer: Answer, code: str) -> None:
    with loaded(answer) as (engine, _), pytest.raises(ModelError) as raised:
        one(engine)
    assert raised.value.code == code


def test_an_option_that_the_server_refuses_ends_the_run() -> None:
    refused = Answer(refusal("unsupported_value", "no words here"), 400)
    with loaded(refused) as (engine, _), pytest.raises(UnsupportedOptionError, match="no words"):
        one(engine)


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


def test_a_server_that_takes_too_long_is_a_typed_failure() -> None:
    slow = Answer(VERBOSE, delay_seconds=5.0)
    with loaded(slow, request_seconds=0.2, retries=0) as (engine, _):
        started = time.perf_counter()
        error = failed_row(engine)
        assert time.perf_counter() - started < 2.0
    assert error.code == "request_timeout"


def test_a_server_that_goes_away_is_a_typed_failure() -> None:
    with loaded(Answer(VERBOSE), retries=0) as (engine, _):
        pass
    error = failed_row(engine)
    assert error.code == "connection_failed"


def test_requests_of_a_batch_are_in_flight_together_but_no_more_than_allowed() -> None:
    slow = Answer(VERBOSE, delay_seconds=0.15)
    with loaded(slow, concurrency=3) as (engine, peer):
        heard = engine.transcribe([tone()] * 7, DecodeOptions(), SilentWatch())
    assert len(heard) == 7
    assert peer.most_at_once == 3


def test_one_bad_sound_harms_no_neighbour_and_nothing_is_asked_twice() -> None:
    bad = Answer(refusal("invalid_audio"), 400)
    with running_peer([Answer(VERBOSE), bad, Answer(VERBOSE)]) as peer:
        settings = RemoteSettings(base_url=peer.base_url, concurrency=1)
        recognised = Transcriber(settings, _whole()).recognise([tone()] * 4)
        posted = [asked for asked in peer.asked if asked.path.endswith("transcriptions")]
    assert [None if one.error is None else one.error.code for one in recognised] == [
        None, "invalid_audio", None, None,
    ]  # fmt: skip
    assert len(posted) == 4


def _whole() -> Any:
    from whisperlab.segmentation.whole import WholeUtterance

    return WholeUtterance()


@dataclass
class CancelRow(SilentWatch):
    row: int
    heard: set[int]

    def segment(self, index: int, segment: Segment, final: bool) -> None:
        assert final
        self.heard.add(index)

    def cancelled(self, index: int) -> bool:
        return index == self.row


def test_cancelling_a_row_hangs_up_and_leaves_the_others() -> None:
    answers = [Answer(VERBOSE, delay_seconds=30.0), Answer(VERBOSE, delay_seconds=0.3)]
    with loaded(*answers, concurrency=2) as (engine, peer):
        watch = CancelRow(0, set())
        # the peer's first answer goes to whichever row comes first: send row 0 alone, then both
        (cancelled,) = engine.transcribe([tone()], DecodeOptions(), watch)
        heard = engine.transcribe([tone(), tone()], DecodeOptions(), CancelRow(2, watch.heard))
        until = time.perf_counter() + 5
        while not peer.gone and time.perf_counter() < until:
            time.sleep(0.01)
    assert cancelled == Transcript("", finish=Finish.CANCELLED)
    assert peer.gone == 1
    assert [one.text for one in heard] == ["One two. Three."] * 2
    assert watch.heard == {0, 1}


def test_the_time_limit_of_an_utterance_ends_its_request() -> None:
    with running_peer([Answer(VERBOSE, delay_seconds=30.0)]) as peer:
        settings = RemoteSettings(base_url=peer.base_url)
        transcriber = Transcriber(settings, _whole(), options=DecodeOptions(timeout_seconds=0.2))
        (heard,) = transcriber.recognise([tone()])
    assert heard.timed_out


def test_the_key_comes_from_the_environment_and_stays_out_of_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-canary")
    told = Answer(refusal("invalid_api_key", "Incorrect API key provided: sk-canary."), 401)
    with running_peer([told]) as peer:
        settings = RemoteSettings(base_url=peer.base_url, api_key_env="SOME_KEY")
        engine = settings.load()
        with pytest.raises(ModelError, match="look at the key in SOME_KEY") as raised:
            one(engine)
    assert peer.asked[-1].headers["authorization"] == "Bearer sk-canary"
    assert "canary" not in str(raised.value)
    assert "canary" not in repr(settings)


def test_a_key_that_is_not_there_is_said_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(ConfigError, match=r"SOME_KEY: this environment variable is not set"):
        RemoteSettings(base_url="http://127.0.0.1:9/v1", api_key_env="SOME_KEY").load()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(refusal("model_not_found"), 404), "model_not_found"),
        (Answer(refusal("invalid_api_key"), 401), "invalid_api_key"),
        (Answer({"detail": "Not Found"}, 404), None),
        (Answer(refusal("model_loading"), 503, {"x-should-retry": "false"}), None),
    ],
)
def test_loading_asks_for_the_model(answer: Answer, error: str | None) -> None:
    with running_peer([Answer(VERBOSE)]) as peer:
        peer.model = answer
        settings = RemoteSettings(base_url=peer.base_url, model=ModelSpec(name="org/whisper"))
        if error is None:
            settings.load()
        else:
            with pytest.raises(ModelError) as raised:
                settings.load()
            assert raised.value.code == error
        assert peer.asked[0].path == "/v1/models/org/whisper"


def test_loading_says_that_there_is_no_server() -> None:
    with pytest.raises(ModelError, match="cannot be reached") as raised:
        RemoteSettings(base_url="http://127.0.0.1:9/v1", retries=0).load()
    assert raised.value.code == "server_unreachable"


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        ({}, DecodeOptions(beam_size=5), r"decode\.beam_size=5"),
        ({}, DecodeOptions(max_new_tokens=5), r"decode\.max_new_tokens=5"),
        ({}, DecodeOptions(seed=1), r"decode\.seed=1"),
        ({}, DecodeOptions(condition_on_previous_text=True), "condition_on_previous_text"),
        ({}, DecodeOptions(compression_ratio_threshold=2.4), "compression_ratio_threshold"),
        ({}, DecodeOptions(temperatures=(0.0, 0.2)), "fallback is the server's"),
        ({}, DecodeOptions(task="translate", language="de"), "takes no language"),
        ({}, DecodeOptions(task="translate", timestamps="word"), "gives no words"),
        ({"response_format": "json"}, DecodeOptions(), "has no times"),
    ],
)
def test_what_the_api_has_no_parameter_for_is_refused(
    settings: dict[str, Any], options: DecodeOptions, message: str
) -> None:
    with pytest.raises(UnsupportedOptionError, match=message):
        RemoteSettings(base_url="http://localhost/v1", **settings).check(options)


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "localhost:8000/v1"},
        {"base_url": "https://name:secret@example.org/v1"},
        {"base_url": "ftp://example.org"},
        {"api_key_env": "sk-canary"},
        {"concurrency": 0},
        {"retries": -1},
        {"request_seconds": 0.0},
        {"response_format": "text"},
        {"include": ["usage"]},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        RemoteSettings(**{"base_url": "http://localhost/v1", **wrong})


def test_a_checkpoint_a_precision_or_a_gpu_is_refused() -> None:
    address = "http://localhost/v1"
    with pytest.raises(UnsupportedOptionError, match="cannot load model=tiny"):
        RemoteSettings(base_url=address, model=ModelSpec(name="tiny", source="openai/whisper-tiny"))
    with pytest.raises(UnsupportedOptionError, match="quantization=float16"):
        RemoteSettings(base_url=address, quantization=Quantization("float16"))
    with pytest.raises(UnsupportedOptionError, match=r"device\.kind=cuda"):
        RemoteSettings(base_url=address, device=Device("cuda"))
    with pytest.raises(UnsupportedOptionError, match="include"):
        RemoteSettings(base_url=address, include=["logprobs"])  # type: ignore[arg-type]


def test_sound_at_another_rate_is_refused() -> None:
    with loaded(Answer(VERBOSE)) as (engine, _), pytest.raises(AudioError, match="16000 Hz"):
        engine.transcribe(
            [Waveform(np.zeros(800, dtype=np.float32), 8_000)], DecodeOptions(), SilentWatch()
        )


def test_the_configuration_names_the_model_at_the_server_and_no_key() -> None:
    config = compose("transcriber", ["engine=remote", "model.name=gpt-4o-transcribe"])
    settings = build_transcriber(config).settings
    assert isinstance(settings, RemoteSettings)
    assert settings.model.name == "gpt-4o-transcribe"
    assert settings.api_key_env is None


def test_an_engine_that_is_given_up_ends_its_thread() -> None:
    before = threading.active_count()
    with loaded(Answer(VERBOSE)) as (engine, _):
        one(engine)
        del engine
        gc.collect()
    assert threading.active_count() <= before


@given(st.text(), st.floats(0.1, 100.0))
def test_any_text_is_stripped_and_kept(text: str, seconds: float) -> None:
    heard = read_answer(json.dumps({"text": text}), seconds, NONE)
    assert heard.text == text.strip()
    assert len(heard.segments) == bool(heard.text)
