"""One utterance's score under one profile: PairScore.

Owns the order: normalise both raw texts once, then count and align. It does not know runs, states
or reports.

A failed utterance counts as deleted by scoring it against ``""``; the caller adds those counts to
the scored ones for ``value_failed_as_deleted`` and to nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from whisperlab.metric.alignment import AlignedPair, Edit, align
from whisperlab.metric.counts import NO_ERRORS, ErrorCounts
from whisperlab.metric.protocol import Metric
from whisperlab.normalize.profile import Profile


@dataclass(frozen=True, slots=True)
class PairScore:
    """``counts`` by metric name and the word alignment of the normalised texts."""

    counts: Mapping[str, ErrorCounts]
    edits: tuple[Edit, ...]


def score_pair(
    profile: Profile, metrics: Sequence[Metric], reference: str, hypothesis: str
) -> PairScore:
    """Returns counts and word alignment of two raw texts.

    >>> from whisperlab.metric.wer import WordErrorRate
    >>> from whisperlab.normalize.whisper_basic import WhisperBasic
    >>> basic = Profile(name="basic", version="1", steps=(WhisperBasic(),))
    >>> score = score_pair(basic, [WordErrorRate()], "Good morning, all.", "good morning")
    >>> score.counts["wer"].errors, score.edits[-1]
    (1, Edit(kind='deletion', reference='all', hypothesis=''))
    """
    pair = align_pair(profile, reference, hypothesis)
    return PairScore(
        counts={metric.name: metric.counts(pair) for metric in metrics}, edits=pair.edits
    )


def align_pair(profile: Profile, reference: str, hypothesis: str) -> AlignedPair:
    """Returns two raw texts normalised, their words aligned by the profile's rules."""
    said, heard = profile.normalize(reference), profile.normalize(hypothesis)
    return AlignedPair(said, heard, align(profile.split(said), profile.split(heard)))


def pool(counts: Iterable[ErrorCounts]) -> ErrorCounts:
    """Returns the sum of the counts; its rate is the corpus rate.

    >>> pool([]).rate is None
    True
    """
    return sum(counts, NO_ERRORS)
