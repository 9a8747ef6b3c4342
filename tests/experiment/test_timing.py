"""Latency and token figures by hand; what a sample holds and what it leaves out."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from whisperlab.experiment.energy import EnergyMeter
from whisperlab.experiment.folder import scores_from_json, scores_to_json
from whisperlab.experiment.result import (
    DurationBucket,
    Energy,
    Latency,
    Percentiles,
    Scores,
    Speed,
    Tally,
)
from whisperlab.experiment.timing import (
    TimedCall,
    TimedCalls,
    decoder_per_token,
    emitted_tokens,
    latency,
    peak_memory,
)
from whisperlab.transcript import Segment
from whisperlab.utterance import Outcome, State


def test_latency_by_duration_first_token_and_token() -> None:
    timed = TimedCalls(
        TimedCall(9.0, 2.0, 8.0, 5),
        (
            TimedCall(1.0, 5.0, 0.4, 10),  # 5 s belongs to the bucket up to 5 s
            TimedCall(3.0, 5.1, 0.6, 20),
            TimedCall(4.0, 40.0, None, 0),
        ),
    )
    found = latency(timed)
    assert (found.p50, found.utterances) == (3.0, 3)
    assert found.p95 == pytest.approx(3.9)  # rank 1 + 2 * 0.95 of 1, 3, 4
    assert found.buckets == (
        DurationBucket(0.0, 5.0, Percentiles(1.0, 1.0, 1.0, 1)),
        DurationBucket(5.0, 15.0, Percentiles(3.0, 3.0, 3.0, 1)),
        DurationBucket(30.0, None, Percentiles(4.0, 4.0, 4.0, 1)),
    )
    assert found.first_token is not None
    assert (found.first_token.p50, found.first_token.utterances) == (0.5, 2)
    assert found.seconds_per_token == 8.0 / 30
    assert found.warm_up_seconds == 9.0


def test_nothing_timed_is_undefined() -> None:
    assert latency(TimedCalls(None, ())) == Latency(None, None, None, 0)


def spoken(name: str, tokens: int, **timings: float) -> Outcome:
    segments = (Segment(0.0, 1.0, "a", tokens=tuple(range(tokens))),)
    return Outcome(name, State.OK, "a", "a", segments=segments, timings=timings)


def test_seconds_by_token_are_sums_over_those_that_tell_both() -> None:
    outcomes = [
        spoken("a", 4, decode_tokens=1.0),
        spoken("b", 6, decode_tokens=2.0),
        spoken("c", 5),
    ]
    assert emitted_tokens(outcomes) == 15
    assert decoder_per_token(outcomes) == 3.0 / 10
    assert emitted_tokens([spoken("d", 0, total=1.0)]) is None
    assert decoder_per_token([spoken("d", 0, decode_tokens=1.0)]) is None


def test_memory_is_named_and_a_device_that_is_not_there_is_none() -> None:
    found = peak_memory()
    assert (found["process_peak_rss"] or 0) > 10 * 2**20  # Python and numpy alone take more
    assert found.keys() == {
        "process_peak_rss", "device_allocated_peak", "device_reserved_peak", "device_in_use",
    }  # fmt: skip


def test_without_an_nvidia_device_energy_is_none_with_the_reason() -> None:
    found = EnergyMeter().read(audio_seconds=10.0)
    assert found.joules is None
    assert found.reason == "the run used no NVIDIA device"


def test_speed_and_energy_come_back_from_scores_json_also_without_the_later_keys() -> None:
    timed = TimedCalls(TimedCall(9.0, 2.0, 8.0, 5), (TimedCall(1.0, 5.0, 0.4, 10),) * 2)
    speed = Speed(20.0, 2, latency(timed), 1.5, {"total": 3.0}, False, 0.5, 22.0, 20, 0.01)
    scores = Scores(
        Tally(0, 0, 0, 0, 0, 0), {}, {"name": "raw"}, speed, {}, "f", Energy(5.0, None, 0.5)
    )
    content = json.loads(json.dumps(scores_to_json(scores)))
    assert scores_from_json(content) == scores
    old = {"rtfx": 20.0, "batch_size": 2, "load_seconds": 1.5, "stages": {}, "resumed": False}
    early = {
        name: asdict(speed.latency_seconds)[name] for name in ("p50", "p95", "p99", "utterances")
    }
    content |= {"speed": {**old, "latency_seconds": early}}
    content.pop("energy")
    read = scores_from_json(content)
    assert (read.energy, read.speed.rtfx_warm, read.speed.latency_seconds.buckets) == (
        None,
        None,
        (),
    )
