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
from whisperlab.metric.costs import COSTS
from whisperlab.metric.counts import NO_ERRORS, ErrorCounts
from whisperlab.metric.network_alignment import HYPHEN, align_networks, same_but_for_fragments
from whisperlab.metric.protocol import Metric
from whisperlab.metric.weighted_alignment import align_weighted
from whisperlab.normalize.network import PlainText, Reading, network_of_words
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
    return score_readings(profile, metrics, profile.read(reference), profile.read(hypothesis))


def score_readings(
    profile: Profile, metrics: Sequence[Metric], said: Reading, heard: Reading
) -> PairScore:
    """Returns counts and word alignment of two texts that ``profile`` has read already."""
    pair = align_readings(profile, said, heard)
    return PairScore(
        counts={metric.name: metric.counts(pair) for metric in metrics}, edits=pair.edits
    )


def align_pair(profile: Profile, reference: str, hypothesis: str) -> AlignedPair:
    """Returns two raw texts normalised, their words aligned by the profile's rules.

    Raises:
        ConfigError: a lexicon of the profile cannot be read.
        DatasetError: the profile's notation is broken in one of the texts.
    """
    return align_readings(profile, profile.read(reference), profile.read(hypothesis))


def align_readings(profile: Profile, said: Reading, heard: Reading) -> AlignedPair:
    """Returns two texts that ``profile`` has read, their words aligned by its rules."""
    if isinstance(said, PlainText) and isinstance(heard, PlainText):
        edits = _align_words(profile, said.words, heard.words)
        if edits is not None:
            return AlignedPair(said.text, heard.text, edits)
    return align_networks(
        network_of_words(said.words) if isinstance(said, PlainText) else said,
        network_of_words(heard.words) if isinstance(heard, PlainText) else heard,
        COSTS[profile.cost_model],
        same=same_but_for_fragments if profile.fragments == "prefix" else str.__eq__,
        compounds=profile.compound_rule,
    )


def _align_words(
    profile: Profile, said: Sequence[str], heard: Sequence[str]
) -> tuple[Edit, ...] | None:
    """Returns a plain alignment, or ``None`` where a fragment or a compound asks for more."""
    if profile.fragments == "prefix" and any(HYPHEN in word for word in (*said, *heard)):
        return None
    if profile.compound_rule == "merge" and (_spells(said, heard) or _spells(heard, said)):
        return None
    if profile.cost_model == "unit":
        return align(said, heard)
    return align_weighted(said, heard, COSTS[profile.cost_model])


def _spells(words: Sequence[str], joined: Sequence[str]) -> bool:
    """Returns whether several words in a row, written together, are one of ``joined``.

    >>> _spells(["a", "white", "paper"], ["whitepaper"]), _spells(["white", "a"], ["whitepaper"])
    (True, False)
    """
    starts: dict[str, list[int]] = {}
    for position, word in enumerate(words):
        starts.setdefault(word[0], []).append(position)
    return any(
        _is_spelled(words, start, target)
        for target in joined
        for start in starts.get(target[0], ())
    )


def _is_spelled(words: Sequence[str], start: int, target: str) -> bool:
    """Returns whether two or more words from ``start`` on, written together, are ``target``."""
    written, end = words[start], start + 1
    while len(written) < len(target) and end < len(words) and target.startswith(written):
        written += words[end]
        end += 1
    return written == target and end > start + 1


def pool(counts: Iterable[ErrorCounts]) -> ErrorCounts:
    """Returns the sum of the counts; its rate is the corpus rate.

    >>> pool([]).rate is None
    True
    """
    return sum(counts, NO_ERRORS)
