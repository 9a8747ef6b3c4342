"""The matched-pairs sentence-segment word error test, NIST's MAPSSWE.

Owns the cutting of two alignments into segments and the statistic over them. It does not know where
alignments come from.

Errors come in bursts, so words are no independent trials. Between two stretches with errors that
are separated by at least two words that both systems have right, errors are taken to be independent:
such a stretch is a segment. In NIST's own example two systems have, over one reference (``*`` an
error, ``+`` an insertion)::

    reference  yeah how do we handle how do we (ha-) address that
    first           *   *     *      *   *           *            ++     5 | 3 errors
    second          *   *     *      *   *           *       *           5 | 2 errors

"we (ha-)" separates two segments; a second utterance, in which the first system inserts one word,
is a third. Differences 0, 1, 1: mean 0.667, standard deviation 0.577, Z 2.000.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

from scipy.special import stdtr

from whisperlab.metric.alignment import Edit

CORRECT_WORDS_BETWEEN = 2
"""Words that both have right between two segments (SCTK's default, mtchprs.c)."""

MIN_SEGMENTS = 2
"""One segment has no standard deviation."""

NORMAL_SEGMENTS = 50
"""From about this many segments on Z is near enough to normal (Gillick and Cox 1989)."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Errors of both systems in one stretch; at least one of them has some."""

    first: int
    second: int


@dataclass(frozen=True, slots=True)
class MatchedPairs:
    """The statistic over segments; ``mean`` is errors of the second minus the first per segment.

    ``z`` and ``p`` (two-sided, normal) are ``None`` with fewer than two segments, or where all
    segments differ by the same number, so that nothing varies. Below 50 segments p is too small
    rather than too large, and where segments of one utterance resemble each other as well:
    ``p_by_utterance`` (see the function of that name) holds there.
    """

    segments: int
    mean: float
    deviation: float | None
    z: float | None
    p: float | None
    p_by_utterance: float | None = None


def matched_pairs(found: Iterable[Segment]) -> MatchedPairs:
    """Returns the test over the segments of all utterances.

    Source: Gillick and Cox 1989, "Some statistical issues in the comparison of speech recognition
    algorithms", ICASSP; Pallett, Fisher and Fiscus 1990; NIST SCTK, mtchprs.c.

    >>> nist = matched_pairs([Segment(0, 1), Segment(5, 5), Segment(2, 3)])
    >>> round(nist.mean, 3), round(nist.deviation, 3), round(nist.z, 3), round(nist.p, 3)
    (0.667, 0.577, 2.0, 0.046)
    """
    differences = [segment.second - segment.first for segment in found]
    count = len(differences)
    mean = fmean(differences) if differences else 0.0
    if count < MIN_SEGMENTS:
        return MatchedPairs(count, mean, None, None, None)
    deviation = stdev(differences)
    if not deviation:
        undefined = None if mean else 0.0
        return MatchedPairs(count, mean, deviation, undefined, None if mean else 1.0)
    z = mean / (deviation / math.sqrt(count))
    return MatchedPairs(count, mean, deviation, z, 2 * NormalDist().cdf(-abs(z)))


def p_by_utterance(found: Iterable[Sequence[Segment]]) -> float | None:
    """Returns the two-sided p of the mean difference per segment, with utterances for the units.

    ``found`` are the segments of each utterance. The test takes segments for independent, but one
    system may do badly in all of an utterance. Here the variance is that of the utterances' sums and
    p is Student's with one degree of freedom less than utterances that have a segment; ``None``
    with fewer than two of those, or where nothing varies but the mean is not 0.

    Source: the ratio estimator of cluster sampling, Cochran 1977, "Sampling Techniques", 3rd
    edition, section 9A.1.

    >>> round(p_by_utterance([[Segment(0, 1), Segment(5, 5)], [Segment(2, 3)]]), 3)
    0.205
    """
    sums = [
        (sum(segment.second - segment.first for segment in utterance), len(utterance))
        for utterance in found
        if utterance
    ]
    units, count = len(sums), sum(length for _, length in sums)
    if units < MIN_SEGMENTS:
        return None
    mean = sum(total for total, _ in sums) / count
    spread = sum((total - mean * length) ** 2 for total, length in sums)
    if not spread:
        return None if mean else 1.0
    deviation = math.sqrt(units / (units - 1) * spread) / count
    return 2 * float(stdtr(units - 1, -abs(mean) / deviation))


def segments(first: Sequence[Edit], second: Sequence[Edit]) -> list[Segment]:
    """Returns the segments of one utterance, in order; stretches without errors are none.

    ``first`` and ``second`` are two systems' alignments with the same reference.

    Where the two alignments have different reference words (a profile may pick the alternative
    that suits a hypothesis), positions cannot be matched and the utterance is one segment.
    """
    columns = [_columns(edits) for edits in (first, second)]
    if [word for word, _, _ in columns[0]] != [word for word, _, _ in columns[1]]:
        whole = Segment(*(sum(edit.kind != "equal" for edit in edits) for edits in (first, second)))
        return [whole] if whole.first or whole.second else []
    found = []
    errors = [0, 0]
    correct = 0
    for here in zip(*columns, strict=True):
        if any(inserted for _, inserted, _ in here):
            correct = 0
        wrong = any(word_wrong for _, _, word_wrong in here)
        correct = 0 if wrong else correct + 1
        for system, (_, inserted, word_wrong) in enumerate(here):
            errors[system] += inserted + word_wrong
        if correct >= CORRECT_WORDS_BETWEEN and any(errors):
            found.append(Segment(*errors))
            errors = [0, 0]
    if any(errors):
        found.append(Segment(*errors))
    return found


def _columns(edits: Sequence[Edit]) -> list[tuple[str | None, int, bool]]:
    """Returns (word, insertions in front of it, whether it is wrong) by reference word.

    The last column stands for the end: its word is ``None``, only its insertions count.
    """
    columns: list[tuple[str | None, int, bool]] = []
    inserted = 0
    for edit in edits:
        if edit.reference == "":  # an insertion, or the second half of a compound
            inserted += edit.kind == "insertion"
        else:
            columns.append((edit.reference, inserted, edit.kind != "equal"))
            inserted = 0
    return [*columns, (None, inserted, False)]
