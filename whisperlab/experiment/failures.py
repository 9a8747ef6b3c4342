"""What failed and where: every kind of failure counted, every failing utterance named.

Owns what counts as which failure. It does not know how a failure is shown. In a notebook::

    run = read_run(Path("runs/first"))
    scored = score_outcomes(run.outcomes, profile, [WordErrorRate()])
    analysis = analyse_failures(scored, profile)
    [finding for finding in analysis.findings if finding.kind is FailureKind.LOOP]

Everything that cannot be known is ``None``: false text without speechless recordings, calibration
without the engine's figures, time errors without times.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from whisperlab.experiment.failure_settings import FailureSettings
from whisperlab.experiment.failure_summary import (
    FailureKind,
    Failures,
    FalseText,
    Finding,
    KindCount,
    WordsPerSecond,
    WorstShare,
)
from whisperlab.experiment.scoring import ScoredUtterance
from whisperlab.experiment.timed_failures import seam_errors, word_times
from whisperlab.languages import language_code
from whisperlab.metric.alignment import Edit, count
from whisperlab.metric.calibration import RiskCoverage, risk_coverage
from whisperlab.metric.proportion import share
from whisperlab.metric.repetition import longest_loop, repeats_of
from whisperlab.normalize.profile import Profile
from whisperlab.transcript import Segment, compression_ratio
from whisperlab.utterance import Outcome, State

LANGUAGE_SLICES = ("language", "lang", "locale")
"""Columns that say which language an utterance is in; ``en_us``, ``en-GB`` and ``English`` are ``en``."""

SECONDS_PER_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class FailureAnalysis:
    """The summary and every finding, sorted by kind, worst first."""

    summary: Failures
    findings: tuple[Finding, ...]


def analyse_failures(
    scored: Sequence[ScoredUtterance],
    profile: Profile,
    settings: FailureSettings | None = None,
    given_language: str | None = None,
) -> FailureAnalysis:
    """Returns what failed among scored utterances; failed and timed-out ones are in their states.

    ``given_language`` is the language that the engine was told; then no other can be detected.
    """
    limits = settings if settings is not None else FailureSettings()
    judged = [_Judged(item) for item in scored if item.outcome.state.scored]
    languages = {} if given_language else _expected_languages([item.outcome for item in judged])
    found: dict[FailureKind, list[Finding]] = {kind: [] for kind in FailureKind}
    of = dict.fromkeys(FailureKind, 0)
    for item in judged:
        for kind in _defined_for(item, languages):
            of[kind] += 1
            finding = _judge(kind, item, limits, languages)
            if finding is not None:
                found[kind].append(finding)
    for findings in found.values():
        findings.sort(key=lambda finding: (-finding.amount, finding.id))
    summary = Failures(
        settings=limits,
        kinds=tuple(
            KindCount(
                kind,
                len(found[kind]),
                of[kind],
                *share(len(found[kind]), of[kind]),
                tuple(found[kind][: limits.examples]),
            )
            for kind in FailureKind
        ),
        false_text=_false_text(judged, limits.examples),
        worst=_worst_share(judged, limits.worst_fraction),
        words_per_second=_words_per_second(judged),
        calibration=_calibration(judged),
        seams=seam_errors([item.scored for item in judged], profile, limits.seam_seconds),
        word_times=word_times([item.scored for item in judged], profile, limits.collar_seconds),
    )
    return FailureAnalysis(
        summary, tuple(finding for kind in FailureKind for finding in found[kind])
    )


def analyse_run(
    scored: Sequence[ScoredUtterance], profile: Profile, config: Mapping[str, Any]
) -> FailureAnalysis:
    """Returns what failed by a run's resolved configuration: its thresholds, its given language."""
    settings = FailureSettings(**(config.get("failures") or {}))
    return analyse_failures(scored, profile, settings, (config.get("decode") or {}).get("language"))


class _Judged:
    """A scored utterance with its words counted once."""

    __slots__ = ("errors", "heard", "longest_insertion", "outcome", "reference_words", "scored")

    def __init__(self, scored: ScoredUtterance) -> None:
        self.scored = scored
        self.outcome = scored.outcome
        self.heard = [edit.hypothesis for edit in scored.edits if edit.hypothesis]
        counts = count(scored.edits)
        self.errors, self.reference_words = counts.errors, counts.reference_length
        self.longest_insertion = _longest_insertion(scored.edits) if counts.insertions else 0

    @property
    def reference(self) -> list[str]:
        return [edit.reference for edit in self.scored.edits if edit.reference]


def _longest_insertion(edits: Sequence[Edit]) -> int:
    runs = groupby(edits, key=lambda edit: edit.kind)
    return max(len(list(run)) for kind, run in runs if kind == "insertion")


def _defined_for(item: _Judged, languages: Mapping[str, str]) -> Iterator[FailureKind]:
    yield FailureKind.MISSED if item.reference_words else FailureKind.FALSE_TEXT
    yield FailureKind.LOOP
    yield FailureKind.INSERTION_RUN
    if item.outcome.audio_seconds:
        yield FailureKind.FAST
    yield FailureKind.COMPRESSIBLE
    yield FailureKind.TRUNCATED
    if item.outcome.id in languages:
        yield FailureKind.OTHER_LANGUAGE


def _judge(
    kind: FailureKind, item: _Judged, limits: FailureSettings, languages: Mapping[str, str]
) -> Finding | None:
    """Returns the finding where the utterance fails in this way."""
    outcome, heard = item.outcome, len(item.heard)
    found: tuple[float, str] | None = None
    match kind:
        case FailureKind.FALSE_TEXT if heard:
            found = heard, outcome.text
        case FailureKind.MISSED if not heard:
            found = item.reference_words, outcome.reference
        case FailureKind.LOOP:
            found = _loop(item, limits)
        case FailureKind.INSERTION_RUN if item.longest_insertion >= limits.min_insertion_run_words:
            found = item.longest_insertion, outcome.text
        case FailureKind.FAST if heard > limits.max_words_per_second * (outcome.audio_seconds or 0):
            found = heard / (outcome.audio_seconds or 1), outcome.text
        case FailureKind.COMPRESSIBLE:
            ratio = _largest_ratio(outcome)
            found = (ratio, outcome.text) if ratio > limits.max_compression_ratio else None
        case FailureKind.TRUNCATED if outcome.state is State.TRUNCATED:
            found = heard, outcome.text
        case FailureKind.OTHER_LANGUAGE if outcome.language != languages[outcome.id]:
            found = heard, f"{outcome.language}, not {languages[outcome.id]}: {outcome.text}"
    return None if found is None else Finding(outcome.id, kind, *found)


def _loop(item: _Judged, limits: FailureSettings) -> tuple[float, str] | None:
    if len(item.heard) - len(set(item.heard)) < limits.min_loop_repeats:
        return None  # most texts: too few words occur twice
    loop = longest_loop(item.heard, limits.max_loop_words)
    if loop is None or loop.repeats <= limits.min_loop_repeats:
        return None
    if loop.repeats - repeats_of(loop.phrase, item.reference) < limits.min_loop_repeats:
        return None
    return loop.repeats, f"{' '.join(loop.phrase)} × {loop.repeats}"


def _largest_ratio(outcome: Outcome) -> float:
    """Returns the ratio of the window that repeats itself most: the engine's figure or our own."""
    return max(
        (
            compression_ratio(segment.text)
            if segment.compression_ratio is None
            else segment.compression_ratio
            for segment in outcome.segments
        ),
        default=compression_ratio(outcome.text),
    )


def _expected_languages(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """Returns by id which language is expected: the dataset's, else the one detected most often.

    What the dataset calls by no name of Whisper's cannot be detected either, and is left out.
    """
    detected = Counter(outcome.language for outcome in outcomes if outcome.language)
    commonest = min(detected, key=lambda name: (-detected[name], name)) if detected else None
    expected = {
        outcome.id: next(
            (
                language_code(written) or language_code(re.split("[-_]", written)[0])
                for name in LANGUAGE_SLICES
                if (written := outcome.slices.get(name))
            ),
            commonest,
        )
        for outcome in outcomes
        if outcome.language
    }
    return {id_: code for id_, code in expected.items() if code is not None}


def _false_text(judged: Sequence[_Judged], examples: int) -> FalseText | None:
    speechless = [item for item in judged if not item.reference_words]
    if not speechless:
        return None
    texts = Counter(item.outcome.text.strip() for item in speechless if item.heard)
    words = sum(len(item.heard) for item in speechless)
    seconds = sum(item.outcome.audio_seconds or 0.0 for item in speechless)
    commonest = sorted(texts.items(), key=lambda entry: (-entry[1], entry[0]))
    return FalseText(
        utterances=len(speechless),
        with_text=sum(bool(item.heard) for item in speechless),
        words=words,
        audio_seconds=seconds,
        words_per_minute=words / seconds * SECONDS_PER_MINUTE if seconds else None,
        commonest=tuple(commonest[:examples]),
    )


def _worst_share(judged: Sequence[_Judged], fraction: float) -> WorstShare | None:
    if not judged:
        return None
    by_errors = sorted(judged, key=lambda item: (-item.errors, item.outcome.id))
    count = max(1, round(fraction * len(by_errors)))
    errors, words = (
        [sum(getattr(item, name) for item in part) for part in (by_errors, by_errors[:count])]
        for name in ("errors", "reference_words")
    )
    rest = words[0] - words[1]
    return WorstShare(
        fraction=fraction,
        utterances=count,
        errors=errors[1],
        share=errors[1] / errors[0] if errors[0] else None,
        rate=errors[0] / words[0] if words[0] else None,
        rate_without=(errors[0] - errors[1]) / rest if rest else None,
    )


def _words_per_second(judged: Sequence[_Judged]) -> WordsPerSecond | None:
    speeds = [
        len(item.heard) / item.outcome.audio_seconds
        for item in judged
        if item.reference_words and item.outcome.audio_seconds
    ]
    if not speeds:
        return None
    p50, p95 = (float(value) for value in np.percentile(speeds, [50, 95]))
    return WordsPerSecond(len(speeds), p50, p95, max(speeds))


def _calibration(judged: Sequence[_Judged]) -> dict[str, RiskCoverage]:
    found = {}
    for name, sign in (("avg_logprob", 1.0), ("no_speech_prob", -1.0)):
        known = [
            (sign * figure, item)
            for item in judged
            if (figure := _mean_figure(item.outcome.segments, name)) is not None
        ]
        curve = risk_coverage(
            [confidence for confidence, _ in known],
            [item.errors for _, item in known],
            [item.reference_words for _, item in known],
        )
        if curve is not None:
            found[name] = curve
    return found


def _mean_figure(segments: Sequence[Segment], name: str) -> float | None:
    """Returns an engine's figure averaged over the segments by their seconds; ``None`` if unknown."""
    known = [
        (figure, segment.end - segment.start)
        for segment in segments
        if (figure := getattr(segment, name)) is not None
    ]
    if not known:
        return None
    seconds = sum(length for _, length in known)
    if not seconds:
        return float(sum(figure for figure, _ in known) / len(known))
    return float(sum(figure * length for figure, length in known) / seconds)
