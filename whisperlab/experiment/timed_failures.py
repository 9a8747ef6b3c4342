"""Failures in time: errors at seams of long recordings, and words that are not where they are said.

Owns both counts. It does not know thresholds' defaults or how a figure is shown.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence

import numpy as np

from whisperlab.experiment.failure_summary import SeamErrors, WordTimes
from whisperlab.experiment.heard_times import (
    Span,
    column_times,
    segment_words,
    spans,
    timed_words,
)
from whisperlab.experiment.scoring import ScoredUtterance
from whisperlab.normalize.profile import Profile
from whisperlab.transcript import Segment, Word


def seam_errors(
    scored: Sequence[ScoredUtterance], profile: Profile, seam_seconds: float
) -> SeamErrors | None:
    """Returns errors near and away from seams; ``None`` where no recording has any."""
    utterances = seams = 0
    counts = {True: [0, 0], False: [0, 0]}
    for item in scored:
        places = seam_places(item.outcome.segments)
        if not places or not item.edits:
            continue
        utterances, seams = utterances + 1, seams + len(places)
        times = column_times(item.edits, segment_words(item.outcome.segments, profile))
        for edit, time in zip(item.edits, times, strict=True):
            near = time is not None and _distance(time, places) <= seam_seconds
            counts[near][0] += edit.kind != "equal"
            counts[near][1] += edit.reference != ""
    if not utterances:
        return None
    (near_errors, near_words), (away_errors, away_words) = counts[True], counts[False]
    return SeamErrors(
        utterances=utterances,
        seams=seams,
        seam_seconds=seam_seconds,
        errors_near=near_errors,
        words_near=near_words,
        rate_near=near_errors / near_words if near_words else None,
        errors_away=away_errors,
        words_away=away_words,
        rate_away=away_errors / away_words if away_words else None,
    )


def seam_places(segments: Sequence[Segment]) -> list[float]:
    """Returns where one decoding window ends and the next begins, in seconds of the source.

    Segments of one window share the window's figures (`whisperlab.transcript.Segment`). Where an
    engine knows none of them, every border of two segments counts.

    >>> seam_places([Segment(0, 9, "a", avg_logprob=-0.1), Segment(9, 28, "b", avg_logprob=-0.1),
    ...              Segment(30, 40, "c", avg_logprob=-0.5)])
    [29.0]
    """
    return [
        (one.end + other.start) / 2
        for one, other in itertools.pairwise(segments)
        if not _same_window(one, other)
    ]


def _same_window(one: Segment, other: Segment) -> bool:
    figures = [
        (segment.avg_logprob, segment.no_speech_prob, segment.compression_ratio)
        for segment in (one, other)
    ]
    return figures[0] == figures[1] and any(figure is not None for figure in figures[0])


def _distance(time: float, places: Sequence[float]) -> float:
    """Returns seconds to the nearest of ``places``, which are in order."""
    at = bisect.bisect(places, time)
    return min(abs(time - place) for place in places[max(at - 1, 0) : at + 1])


def word_times(
    scored: Sequence[ScoredUtterance], profile: Profile, collar_seconds: float
) -> WordTimes | None:
    """Returns time errors over words that are right and whose times both sides know, else ``None``."""
    utterances = 0
    errors: list[tuple[float, float]] = []
    for item in scored:
        heard_words = [word for segment in item.outcome.segments for word in segment.words]
        if not item.outcome.reference_words or not heard_words:
            continue
        said = _spans(
            [edit.reference for edit in item.edits], item.outcome.reference_words, profile
        )
        heard = _spans([edit.hypothesis for edit in item.edits], heard_words, profile)
        found = [
            (there.start - here.start, there.end - here.end)
            for edit, here, there in zip(item.edits, said, heard, strict=True)
            if edit.kind == "equal" and here is not None and there is not None
        ]
        utterances += bool(found)
        errors += found
    if not errors:
        return None
    starts, ends = np.array(errors).T
    (start_p50, start_p95), (end_p50, end_p95) = (
        np.percentile(np.abs(values), [50, 95]) for values in (starts, ends)
    )
    return WordTimes(
        utterances=utterances,
        words=len(errors),
        start_bias=float(np.median(starts)),
        start_p50=float(start_p50),
        start_p95=float(start_p95),
        end_bias=float(np.median(ends)),
        end_p50=float(end_p50),
        end_p95=float(end_p95),
        collar_seconds=collar_seconds,
        in_place=float(np.mean(np.abs(starts) <= collar_seconds)),
    )


def _spans(words: Sequence[str], timed: Sequence[Word], profile: Profile) -> list[Span | None]:
    """Returns the time of every column's word; an empty word (no word there) has none."""
    known = iter(spans([word for word in words if word], timed_words(timed, profile)))
    return [next(known) if word else None for word in words]
