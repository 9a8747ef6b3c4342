from __future__ import annotations

import gc
import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from decoder_processes import until
from openai_peer import Answer, running_peer
from remote_examples import VERBOSE, failed_row, loaded, one, refusal, tone

from whisperlab.audio import Waveform
from whisperlab.config.build import build_transcriber
from whisperlab.config.compose import compose
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import SilentWatch
from whisperlab.engine.remote import RemoteSettings
from whisperlab.errors import (
    AudioError,
    InferenceError,
    ModelError,
    UnsupportedOptionError,
)
from whisperlab.segmentation.whole import WholeUtterance
from whisperlab.transcriber import Transcriber
from whisperlab.transcript import Finish, Segment, Transcript


def test_our_own_server_s_word_of_a_cut_text_is_heard() -> None:
    cut = Answer(VERBOSE, headers={"x-whisperlab-warning": "audio_truncated, text_truncated"})
    with loaded(cut) as (engine, _):
        assert one(engine).finish is Finish.TRUNCATED


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
        recognised = Transcriber(settings, WholeUtterance()).recognise([tone()] * 4)
        posted = [asked for asked in peer.asked if asked.path.endswith("transcriptions")]
    assert [None if one.error is None else one.error.code for one in recognised] == [
        None, "invalid_audio", None, None,
    ]  # fmt: skip
    assert len(posted) == 4


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
        transcriber = Transcriber(
            settings, WholeUtterance(), options=DecodeOptions(timeout_seconds=0.2)
        )
        (heard,) = transcriber.recognise([tone()])
    assert heard.timed_out


def test_sound_at_another_rate_is_refused() -> None:
    with loaded(Answer(VERBOSE)) as (engine, _), pytest.raises(AudioError, match="16000 Hz"):
        engine.transcribe(
            [Waveform(np.zeros(800, dtype=np.float32), 8_000)], DecodeOptions(), SilentWatch()
        )


def test_an_engine_that_is_given_up_ends_its_thread() -> None:
    before = set(threading.enumerate())
    with loaded(Answer(VERBOSE)) as (engine, _):
        one(engine)
        del engine
        gc.collect()
    until(lambda: set(threading.enumerate()) <= before)
