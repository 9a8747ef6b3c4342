"""What a run takes: utterances timed one at a time, tokens, stages, memory.

Owns latency mode and the sums over the main pass. It does not know ledgers, scores or reports.

**Latency** is one utterance at a time (batch 1), from the file to the transcript: reading, decoding,
resampling, preprocessing, features, encoder, decoder, detokenising. The first call of the sample is
made twice and its first time kept apart as warm-up. **Throughput** is the main pass at its batch size;
the runner times it as a whole. Both end when the text is in main memory, so a device has finished.
Waiting to ask a remote engine again (``retry_wait``) counts in no latency.
"""

from __future__ import annotations

import random
import resource
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from whisperlab.dataset.protocol import Dataset
from whisperlab.experiment.result import DurationBucket, Latency, Percentiles
from whisperlab.metric.latency import percentile
from whisperlab.transcriber import Transcriber
from whisperlab.transcript import RETRY_WAIT, Segment
from whisperlab.utterance import Outcome, Utterance

BUCKET_ENDS_SECONDS = (5.0, 15.0, 30.0)
"""Commands, sentences, long sentences up to Whisper's window, and what needs several windows."""


@dataclass(frozen=True, slots=True)
class TimedCall:
    """One utterance alone: seconds of the call, of the way to its first token, of its sound."""

    seconds: float
    audio_seconds: float | None
    first_token_seconds: float | None
    tokens: int


@dataclass(frozen=True, slots=True)
class TimedCalls:
    """The sample after ``warm_up``, the first call of all; ``None`` where nothing was timed."""

    warm_up: TimedCall | None
    calls: tuple[TimedCall, ...]


def time_one_at_a_time(
    transcriber: Transcriber,
    dataset: Dataset,
    outcomes: Sequence[Outcome],
    *,
    utterances: int,
    seed: int,
) -> TimedCalls:
    """Times a seeded sample of the utterances that have a text, after one warm-up call."""
    able = sorted(outcome.id for outcome in outcomes if outcome.state.scored)
    count = min(utterances, len(able))
    if not count:
        return TimedCalls(None, ())
    chosen = set(random.Random(seed).sample(able, count))  # noqa: S311 - no secret
    warm_up: TimedCall | None = None
    calls: list[TimedCall] = []
    for utterance in dataset:
        if utterance.id in chosen:
            if warm_up is None:
                warm_up = _time(transcriber, utterance)
            calls.append(_time(transcriber, utterance))
    return TimedCalls(warm_up, tuple(calls))


def _time(transcriber: Transcriber, utterance: Utterance) -> TimedCall:
    started = perf_counter()
    (recognition,) = transcriber.recognise([utterance.audio])
    elapsed = perf_counter() - started
    segments = () if recognition.transcript is None else recognition.transcript.segments
    return TimedCall(
        seconds=elapsed - recognition.timings.get(RETRY_WAIT, 0.0),
        audio_seconds=recognition.audio_seconds,
        first_token_seconds=recognition.first_token_seconds,
        tokens=_tokens(segments),
    )


def latency(timed: TimedCalls) -> Latency:
    """Returns percentiles over the sample, by duration, and to the first token; ``None`` of nothing."""
    calls = timed.calls
    first = [call.first_token_seconds for call in calls if call.first_token_seconds is not None]
    tokens = sum(call.tokens for call in calls)
    whole = percentiles([call.seconds for call in calls])
    return Latency(
        p50=whole.p50,
        p95=whole.p95,
        p99=whole.p99,
        utterances=whole.utterances,
        buckets=_buckets(calls),
        first_token=percentiles(first) if first else None,
        seconds_per_token=sum(call.seconds for call in calls) / tokens if tokens else None,
        warm_up_seconds=None if timed.warm_up is None else timed.warm_up.seconds,
    )


def _buckets(calls: Sequence[TimedCall]) -> tuple[DurationBucket, ...]:
    """Returns the buckets of duration that hold a call, shortest first."""
    found = []
    for above, up_to in zip((0.0, *BUCKET_ENDS_SECONDS), (*BUCKET_ENDS_SECONDS, None), strict=True):
        seconds = [
            call.seconds
            for call in calls
            if call.audio_seconds is not None
            and above < call.audio_seconds
            and (up_to is None or call.audio_seconds <= up_to)
        ]
        if seconds:
            found.append(DurationBucket(above, up_to, percentiles(seconds)))
    return tuple(found)


def percentiles(seconds: Sequence[float]) -> Percentiles:
    """Returns p50, p95 and p99 with their count."""
    p50, p95, p99 = (percentile(seconds, percent) for percent in (50, 95, 99))
    return Percentiles(p50, p95, p99, len(seconds))


def stage_seconds(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Returns seconds by stage, summed over the outcomes."""
    total: Counter[str] = Counter()
    for outcome in outcomes:
        total.update(outcome.timings)
    return dict(sorted(total.items()))


def emitted_tokens(outcomes: Sequence[Outcome]) -> int | None:
    """Returns the tokens that the engine emitted, ``None`` where it tells none."""
    return sum(_tokens(outcome.segments) for outcome in outcomes) or None


def decoder_per_token(outcomes: Sequence[Outcome]) -> float | None:
    """Returns seconds of the decoder by token emitted, over the utterances that tell both."""
    told = [
        (outcome.timings["decode_tokens"], _tokens(outcome.segments))
        for outcome in outcomes
        if "decode_tokens" in outcome.timings and outcome.segments
    ]
    tokens = sum(count for _, count in told)
    return sum(seconds for seconds, _ in told) / tokens if tokens else None


def _tokens(segments: Sequence[Segment]) -> int:
    return sum(len(segment.tokens) for segment in segments)


def peak_memory() -> Mapping[str, int | None]:
    """Returns bytes by name; ``None`` where there is no such device or nobody tells.

    ``process_peak_rss``: the most that this process held of main memory. ``device_allocated_peak``:
    the most that torch's tensors took of the device; ``device_reserved_peak``: with what its allocator
    kept for later. ``device_in_use``: of all processes, now, as the driver tells it.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage: bytes on macOS, KiB on Linux
    memory: dict[str, int | None] = {
        "process_peak_rss": peak * unit,
        "device_allocated_peak": None,
        "device_reserved_peak": None,
        "device_in_use": None,
    }
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        free, total = torch.cuda.mem_get_info()
        memory["device_allocated_peak"] = int(torch.cuda.max_memory_allocated())
        memory["device_reserved_peak"] = int(torch.cuda.max_memory_reserved())
        memory["device_in_use"] = int(total - free)
    return memory
