"""What failure analysis says: kinds, findings and the summary under ``failures`` of ``scores.json``.

Owns the types and their way back from JSON. It does not know how a failure is found or shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from whisperlab.experiment.failure_settings import FailureSettings
from whisperlab.metric.calibration import RiskCoverage


class FailureKind(StrEnum):
    """Ways to fail; the value is what a report calls it."""

    FALSE_TEXT = "text where nothing is said"
    MISSED = "nothing heard"
    LOOP = "loop"
    INSERTION_RUN = "insertion run"
    FAST = "too many words a second"
    COMPRESSIBLE = "compressible text"
    TRUNCATED = "truncated"
    OTHER_LANGUAGE = "other language"


UNITS: Mapping[FailureKind, str] = {
    FailureKind.FALSE_TEXT: "words",
    FailureKind.MISSED: "reference words",
    FailureKind.LOOP: "repeats",
    FailureKind.INSERTION_RUN: "words",
    FailureKind.FAST: "words/s",
    FailureKind.COMPRESSIBLE: "text bytes / zlib bytes",
    FailureKind.TRUNCATED: "words",
    FailureKind.OTHER_LANGUAGE: "words",
}
"""What a finding's ``amount`` counts."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One failure of one utterance: ``amount`` in the kind's unit, ``detail`` for people."""

    id: str
    kind: FailureKind
    amount: float
    detail: str


@dataclass(frozen=True, slots=True)
class KindCount:
    """Utterances ``found`` to fail in one way among those it is defined for, with a 95 % interval.

    ``of`` is 0 and the share ``None`` where the kind cannot be known. ``worst`` are the findings
    with the largest amounts.
    """

    kind: FailureKind
    found: int
    of: int
    share: float | None
    low: float | None
    high: float | None
    worst: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class FalseText:
    """What was heard in ``utterances`` whose reference has no words: the hallucination ledger.

    ``commonest`` are raw texts with the number of utterances that have them.
    """

    utterances: int
    with_text: int
    words: int
    audio_seconds: float
    words_per_minute: float | None
    commonest: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class WorstShare:
    """The worst ``fraction`` of the scored utterances (at least one), by their number of errors.

    ``share`` is theirs in all errors; ``rate`` is the corpus rate, ``rate_without`` that of the rest.
    """

    fraction: float
    utterances: int
    errors: int
    share: float | None
    rate: float | None
    rate_without: float | None


@dataclass(frozen=True, slots=True)
class WordsPerSecond:
    """Heard words / seconds of audio over utterances with speech."""

    utterances: int
    p50: float
    p95: float
    largest: float


@dataclass(frozen=True, slots=True)
class SeamErrors:
    """Errors within ``seam_seconds`` of a seam and elsewhere, over ``utterances`` that have seams.

    The rates are per reference word near a seam and away from one.
    """

    utterances: int
    seams: int
    seam_seconds: float
    errors_near: int
    words_near: int
    rate_near: float | None
    errors_away: int
    words_away: int
    rate_away: float | None


@dataclass(frozen=True, slots=True)
class WordTimes:
    """How far right words lie from where they are said, in seconds, over ``words`` with both times.

    ``bias`` is the median of heard minus true: positive is late. ``p50`` and ``p95`` are of absolute
    errors. ``in_place`` is the share of words whose start is within ``collar_seconds``.
    """

    utterances: int
    words: int
    start_bias: float
    start_p50: float
    start_p95: float
    end_bias: float
    end_p50: float
    end_p95: float
    collar_seconds: float
    in_place: float


@dataclass(frozen=True, slots=True)
class Failures:
    """The summary; ``calibration`` is by the name of the engine's figure."""

    settings: FailureSettings
    kinds: tuple[KindCount, ...]
    false_text: FalseText | None
    worst: WorstShare | None
    words_per_second: WordsPerSecond | None
    calibration: Mapping[str, RiskCoverage]
    seams: SeamErrors | None
    word_times: WordTimes | None


def failures_from_json(content: Mapping[str, Any]) -> Failures:
    """Returns the summary that scores.json holds.

    Raises:
        ValueError: it is of another shape (pydantic names the place).
    """
    settings = FailureSettings(**content["settings"])  # strict: takes no mapping for itself
    return TypeAdapter(Failures).validate_python({**content, "settings": settings})
