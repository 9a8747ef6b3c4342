"""From outcomes to scores: pooled counts, intervals, coverage, slices.

Owns what is counted and what is not (INTERFACES: scores.json). It does not know how the outcomes
came about or where they are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from whisperlab.errors import DatasetError
from whisperlab.experiment.result import Rate, SliceScore, Tally
from whisperlab.metric.alignment import Edit
from whisperlab.metric.bootstrap import interval
from whisperlab.metric.counts import NO_ERRORS, ErrorCounts
from whisperlab.metric.protocol import Metric
from whisperlab.metric.score import score_readings
from whisperlab.normalize.network import Reading
from whisperlab.normalize.profile import Profile
from whisperlab.utterance import Outcome, State

CONFIDENCE_LEVEL = 0.95
MAX_SLICE_VALUES = 200
"""A column with more values than this names utterances, not groups of them."""

PRIMARY_METRIC = "wer"


@dataclass(frozen=True, slots=True)
class ScoredUtterance:
    """One outcome with its counts by metric name and its word alignment.

    For an utterance without text (failed, timed out) the counts say that every reference unit was
    deleted and ``edits`` is empty.
    """

    outcome: Outcome
    counts: Mapping[str, ErrorCounts]
    edits: tuple[Edit, ...]


def score_outcomes(
    outcomes: Sequence[Outcome], profile: Profile, metrics: Sequence[Metric]
) -> list[ScoredUtterance]:
    """Returns the outcomes with their counts, sorted by id; each text is normalised once.

    Raises:
        DatasetError: a text breaks the profile's notation; names the utterance.
    """
    scored = []
    for outcome in sorted(outcomes, key=lambda outcome: outcome.id):
        said, heard = read_texts(outcome, profile)
        scored.append(score_readings_of(outcome, profile, metrics, said, heard))
    return scored


def read_texts(outcome: Outcome, profile: Profile) -> tuple[Reading, Reading]:
    """Returns reference and hypothesis as the profile reads them; no text is an empty one.

    A hypothesis whose braces do not match is read as plain words: a recogniser knows no notation.

    Raises:
        DatasetError: the reference breaks the profile's notation; names the utterance.
    """
    text = outcome.text if outcome.state.scored else ""
    try:
        said = profile.read(outcome.reference)
    except DatasetError as error:
        raise DatasetError(f"utterance {outcome.id}: {error}") from error
    try:
        return said, profile.read(text)
    except DatasetError:
        return said, replace(profile, notation="plain").read(text)


def score_readings_of(
    outcome: Outcome,
    profile: Profile,
    metrics: Sequence[Metric],
    said: Reading,
    heard: Reading,
) -> ScoredUtterance:
    """Returns the score of an outcome whose texts were read already."""
    pair = score_readings(profile, metrics, said, heard)
    return ScoredUtterance(outcome, pair.counts, pair.edits if outcome.state.scored else ())


def rates(
    scored: Sequence[ScoredUtterance], metrics: Sequence[Metric], *, resamples: int, seed: int
) -> dict[str, Rate]:
    """Returns one Rate a metric, pooled over ``scored`` (sorted by id), with bootstrap intervals."""
    return {metric.name: _rate(scored, metric.name, resamples, seed) for metric in metrics}


def _rate(scored: Sequence[ScoredUtterance], metric: str, resamples: int, seed: int) -> Rate:
    counted = [item.counts[metric] for item in scored if item.outcome.state.scored]
    missing = [item.counts[metric] for item in scored if not item.outcome.state.scored]
    pooled = sum(counted, NO_ERRORS)
    bounds = interval(counted, resamples=resamples, level=CONFIDENCE_LEVEL, seed=seed)
    return Rate(
        value=pooled.rate,
        low=None if bounds is None else bounds.low,
        high=None if bounds is None else bounds.high,
        substitutions=pooled.substitutions,
        insertions=pooled.insertions,
        deletions=pooled.deletions,
        reference_words=pooled.reference_length,
        hypothesis_words=pooled.hypothesis_length,
        value_failed_as_deleted=sum(missing, pooled).rate,
    )


def tally(outcomes: Sequence[Outcome]) -> Tally:
    """Returns how many outcomes ended in each state."""
    states = Counter(outcome.state for outcome in outcomes)
    return Tally(total=len(outcomes), **{state.value: states[state] for state in State})


def slice_scores(
    scored: Sequence[ScoredUtterance], *, resamples: int, seed: int
) -> list[SliceScore]:
    """Returns WER by value of every slice column that groups utterances."""
    return [
        SliceScore(column, value, len(members), _rate(members, PRIMARY_METRIC, resamples, seed))
        for column, value, members in slice_members(scored)
    ]


def slice_members(
    scored: Sequence[ScoredUtterance],
) -> Iterator[tuple[str, str, list[ScoredUtterance]]]:
    """Yields column, value and utterances of every slice, in alphabetical order.

    A column is left out when it has one value, more than ``MAX_SLICE_VALUES``, or a value of its
    own for every utterance.
    """
    columns = sorted({column for item in scored for column in item.outcome.slices})
    for column in columns:
        groups: dict[str, list[ScoredUtterance]] = {}
        for item in scored:
            if column in item.outcome.slices:
                groups.setdefault(item.outcome.slices[column], []).append(item)
        if 1 < len(groups) <= MAX_SLICE_VALUES and len(groups) != len(scored):
            for value, members in sorted(groups.items()):
                yield column, value, members
