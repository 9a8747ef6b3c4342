"""What a finished run says: RunCard, Scores and the outcomes, as types and as the run folder's JSON.

Owns the schema of ``run.json`` and ``scores.json``. It does not know how they are computed or shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whisperlab.experiment.failure_summary import Failures
from whisperlab.utterance import Outcome

SCHEMA = 1
"""Number of the run folder's schema; it changes when a key of INTERFACES changes meaning."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many utterances ended in each state."""

    total: int
    ok: int
    empty: int
    failed: int
    truncated: int
    timed_out: int

    @property
    def scored(self) -> int:
        """Utterances whose text counts in the scores."""
        return self.ok + self.empty + self.truncated

    @property
    def coverage(self) -> float | None:
        """Scored utterances / all utterances; ``None`` for an empty dataset."""
        return self.scored / self.total if self.total else None


@dataclass(frozen=True, slots=True)
class Rate:
    """An error rate with its 95 % bootstrap interval and the counts it was made of.

    Rates are fractions; ``None`` where there is no reference unit. The unit of the counts is the
    metric's (words for WER, characters for CER); the keys are named for words in both, as
    INTERFACES fixes them. ``value_failed_as_deleted`` counts every unit of a failed or timed-out
    utterance as deleted.
    """

    value: float | None
    low: float | None
    high: float | None
    substitutions: int
    insertions: int
    deletions: int
    reference_words: int
    hypothesis_words: int
    value_failed_as_deleted: float | None


@dataclass(frozen=True, slots=True)
class SliceScore:
    """The rate of the ``utterances`` whose slice ``column`` has ``value``, failed ones counted in."""

    column: str
    value: str
    utterances: int
    rate: Rate


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of the seconds of ``utterances``; ``None`` of nothing."""

    p50: float | None
    p95: float | None
    p99: float | None
    utterances: int


@dataclass(frozen=True, slots=True)
class DurationBucket:
    """Latency of the utterances whose sound is longer than ``above`` and at most ``up_to`` seconds."""

    above: float
    up_to: float | None
    seconds: Percentiles


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds of one utterance at a time, after warm-up, on a seeded sample.

    ``first_token`` is the time to the first token, ``None`` where the engine cannot know;
    ``seconds_per_token`` all seconds / all tokens emitted, timestamps included. ``warm_up_seconds``
    is the call before the sample, which is in nothing else.
    """

    p50: float | None
    p95: float | None
    p99: float | None
    utterances: int
    buckets: tuple[DurationBucket, ...] = ()
    first_token: Percentiles | None = None
    seconds_per_token: float | None = None
    warm_up_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Floor:
    """The least that a run's work can take at the rates that its machine was measured to reach.

    ``stages`` are seconds: ``encode`` by its arithmetic, ``decode_tokens`` by its way through memory.
    """

    operations_per_second: float
    bytes_per_second: float
    stages: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Speed:
    """Throughput of the main pass and latency of the timed sample.

    ``rtfx`` is audio seconds / wall seconds of the whole main pass at ``batch_size`` (reading and
    decoding files included, loading the model excluded); ``None`` when any row came from an earlier
    attempt, and of merged shards, whose times overlap: there ``rtfx_of_shards`` is audio seconds / the sum
    of the shards' wall seconds, which is what one of the ``shards`` workers does beside the others
    (``None`` where a shard has no time of its own). Its cold part apart: ``first_batch_seconds`` is the first batch, ``rtfx_warm`` the rest
    (``None`` where the first batch is all). ``stages`` sums seconds by stage over the utterances of
    the run; ``decode_seconds_per_token`` is its ``decode_tokens`` / ``tokens``, the tokens emitted,
    timestamps included; both ``None`` where the engine tells no tokens. ``batch_size`` is ``None`` where
    texts were scored that no run of ours made.
    """

    rtfx: float | None
    batch_size: int | None
    latency_seconds: Latency
    load_seconds: float | None
    stages: Mapping[str, float]
    resumed: bool
    first_batch_seconds: float | None = None
    rtfx_warm: float | None = None
    tokens: int | None = None
    decode_seconds_per_token: float | None = None
    floor: Floor | None = None
    """Measured with ``profile_stages=true``, where the engine tells its encoder's time."""
    shards: int | None = None
    rtfx_of_shards: float | None = None


@dataclass(frozen=True, slots=True)
class Energy:
    """What the GPU's board took during the main pass, or the ``reason`` why nobody counted it."""

    joules: float | None
    reason: str | None
    joules_per_audio_second: float | None = None


@dataclass(frozen=True, slots=True)
class Scores:
    """The content of ``scores.json``."""

    utterances: Tally
    scores: Mapping[str, Rate]
    profile: Mapping[str, str]
    """``name`` and ``hash`` of the scoring profile."""
    speed: Speed
    memory: Mapping[str, int | None]
    """Bytes by name: ``process_peak_rss``, ``device_allocated_peak``, ``device_reserved_peak`` and,
    of all processes together at the end of the main pass, ``device_in_use``."""
    fingerprint: str
    energy: Energy | None = None
    """``None`` in runs of before energy was asked for."""
    failures: Failures | None = None
    """``None`` in runs of before failures were analysed; ``rescore`` adds them."""
    schema: int = SCHEMA


@dataclass(frozen=True, slots=True)
class RunCard:
    """The content of ``run.json``: everything needed to trace a number or to run it again."""

    fingerprint: str
    configuration_hash: str
    config: Mapping[str, Any]
    """The resolved configuration, as JSON values, secrets masked."""
    dataset: Mapping[str, Any]
    """The dataset's identity."""
    seed: int
    command: str
    git: Mapping[str, Any]
    """``commit`` (or null) and ``dirty``."""
    versions: Mapping[str, str]
    model: Mapping[str, Any]
    """``name``, ``source``, ``revision``, ``licence``, ``note``."""
    hardware: Mapping[str, Any]
    attempts: Sequence[Mapping[str, Any]] = ()
    """Each ``{"started", "ended", "end_reason"}``, ISO 8601 UTC; the last is open while it runs."""
    schema: int = SCHEMA
    shard: Mapping[str, int] | None = None
    """``index`` and ``count`` of a part of a run; the fingerprint is that of the whole."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run folder, read."""

    folder: Path
    card: RunCard
    scores: Scores
    outcomes: Sequence[Outcome] = field(default_factory=tuple)
    duration_mismatches: int = 0
    """Recordings that this command found not to be as long as their manifest says."""
