"""Which rule of a profile made or mended how many errors: RuleShare, score_by_rule.

Owns the comparison of a corpus before and after each rule. It does not know what the rules do.

Rules are applied cumulatively, in the profile's order: a rule's share is the change in errors when it
is added to those before it. So the shares of all rules and the errors of the raw texts add up to the
errors under the profile. Another order, or leaving one rule out of the whole, would give a rule another
share; both answer other questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rapidfuzz.distance import Levenshtein

from whisperlab.experiment.scoring import (
    ScoredUtterance,
    read_texts,
    score_readings_of,
)
from whisperlab.metric.alignment import Edit, count
from whisperlab.metric.counts import ErrorCounts
from whisperlab.metric.protocol import Metric
from whisperlab.metric.score import align_pair, align_readings
from whisperlab.normalize.network import PlainText, Reading
from whisperlab.normalize.profile import Profile
from whisperlab.normalize.protocol import Rule, apply_rules
from whisperlab.utterance import Outcome

RAW = "raw texts"
COMPOUNDS = "merged compounds"
"""The share of the profile's compound rule, which comes after every rule on the texts."""


@dataclass(frozen=True, slots=True)
class Example:
    """One utterance before and after a rule, with its errors."""

    id: str
    reference_before: str
    hypothesis_before: str
    reference_after: str
    hypothesis_after: str
    errors_before: int
    errors_after: int


@dataclass(frozen=True, slots=True)
class RuleShare:
    """What one rule did, added to the rules before it; ``errors`` and ``words`` are the corpus' then.

    ``created`` sums over the utterances that have more errors with it, ``erased`` over those that
    have fewer. ``changed`` counts utterances of which it changed a word. ``examples`` are the
    utterances with the largest changes.
    """

    rule: str
    changed: int
    created: int
    erased: int
    errors: int
    words: int
    examples: Sequence[Example]

    @property
    def rate(self) -> float | None:
        """Errors / reference words; ``None`` without words."""
        return self.errors / self.words if self.words else None


_Texts = tuple[str, str]
"""Reference and hypothesis behind a rule."""


@dataclass(frozen=True, slots=True)
class _Stage:
    """Both texts behind a rule, and their errors and reference words."""

    said: str
    heard: str
    errors: int
    words: int


@dataclass(slots=True)
class _Tally:
    """A rule's share while it is summed; ``largest`` are (change, example) by the change's sign."""

    changed: int = 0
    created: int = 0
    erased: int = 0
    errors: int = 0
    words: int = 0
    largest: dict[bool, list[tuple[int, Example]]] = field(
        default_factory=lambda: {True: [], False: []}
    )

    def add(self, name: str, before: _Stage, after: _Stage, examples: int) -> None:
        self.errors += after.errors
        self.words += after.words
        if after is before:
            return
        self.changed += after.said.split() != before.said.split() or (
            after.heard.split() != before.heard.split()
        )
        change = after.errors - before.errors
        self.created += max(change, 0)
        self.erased += max(-change, 0)
        kept = self.largest[change > 0]
        if change and (len(kept) < examples or abs(change) > kept[-1][0]):
            texts = (before.said, before.heard, after.said, after.heard)
            kept.append((abs(change), Example(name, *texts, before.errors, after.errors)))
            kept.sort(key=lambda item: -item[0])
            del kept[examples:]

    def share(self, rule: str) -> RuleShare:
        examples = [example for _, example in (*self.largest[False], *self.largest[True])]
        return RuleShare(
            rule, self.changed, self.created, self.erased, self.errors, self.words, examples
        )


def score_by_rule(
    outcomes: Sequence[Outcome],
    profile: Profile,
    metrics: Sequence[Metric],
    *,
    examples: int = 3,
) -> tuple[list[ScoredUtterance], list[RuleShare]]:
    """Returns the outcomes' scores, sorted by id, and the share of every rule in the word errors.

    The first share is the raw texts' (it changes nothing), the last stands for the compound rule
    where there is one. Utterances without text are in no share. ``examples`` is how many utterances
    are kept of those that a rule mended, and of those that it harmed.

    Raises:
        DatasetError: a text breaks the profile's notation; names the utterance.
    """
    stages = _Stages(profile)
    tallies = [_Tally() for _ in stages.names]
    scored = []
    for outcome in sorted(outcomes, key=lambda outcome: outcome.id):
        texts, said, heard = stages.read(outcome)
        item = score_readings_of(outcome, profile, metrics, said, heard)
        scored.append(item)
        if outcome.state.scored:
            found = stages.count(outcome, texts, item.edits)
            for number, stage in enumerate(found):
                tallies[number].add(outcome.id, found[max(number - 1, 0)], stage, examples)
    return scored, [tally.share(name) for name, tally in zip(stages.names, tallies, strict=True)]


class _FirstRules:
    """A step that is the first rules of a profile."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = rules

    def __call__(self, text: str) -> str:
        return apply_rules(self.rules, text)

    def identity(self) -> Mapping[str, Any]:
        return {"rules": [rule.name for rule in self.rules]}


class _Stages:
    """A profile, a rule at a time."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        bare = replace(profile, steps=(), substitutions=None, compound_rule="none")
        rules = profile.rules
        self._bare = replace(bare, notation="plain")
        self._up_to = [
            replace(bare, steps=(_FirstRules(rules[:number]),)) for number in range(len(rules) + 1)
        ]
        self.names = [RAW, *(rule.name for rule in rules)]
        if profile.compound_rule != "none":
            self.names.append(COMPOUNDS)

    def read(self, outcome: Outcome) -> tuple[list[_Texts], Reading, Reading]:
        """Returns both texts behind each rule, and as the profile reads them.

        Texts with alternatives have no texts behind a rule: they are read anew with the rules so far.
        """
        heard_text = outcome.text if outcome.state.scored else ""
        if not all(self._profile.reads_plainly(text) for text in (outcome.reference, heard_text)):
            return [], *read_texts(outcome, self._profile)
        texts = [(outcome.reference, heard_text)]
        for rule in self._profile.rules:
            said, heard = texts[-1]
            after = rule.apply(said)
            texts.append((after, after if heard == said else rule.apply(heard)))
        said, heard = texts[-1]
        split = self._profile.split
        read = PlainText(said, split(said))
        return texts, read, read if heard == said else PlainText(heard, split(heard))

    def count(
        self, outcome: Outcome, texts: Sequence[_Texts], edits: Sequence[Edit]
    ) -> list[_Stage]:
        """Returns every stage of an utterance with text; ``edits`` are those under the profile."""
        whole = count(edits)
        stages = self._plain(texts, whole) if texts else self._with_alternatives(outcome)
        if self._profile.compound_rule != "none":
            last = stages[-1]
            merged = last if whole.errors == last.errors else replace(last, errors=whole.errors)
            stages.append(merged)
        return stages

    def _plain(self, texts: Sequence[_Texts], whole: ErrorCounts) -> list[_Stage]:
        merges = self._profile.compound_rule != "none"
        known = {} if merges else {texts[-1]: (whole.errors, whole.reference_length)}
        stages: list[_Stage] = []
        for said, heard in texts:
            if stages and (stages[-1].said, stages[-1].heard) == (said, heard):
                stages.append(stages[-1])
            else:
                errors, words = known.get((said, heard)) or self._distance(said, heard)
                stages.append(_Stage(said, heard, errors, words))
        return stages

    def _distance(self, said: str, heard: str) -> tuple[int, int]:
        """Returns errors and reference words of two texts without alternatives or compounds."""
        words = self._profile.split(said)
        if said == heard:
            return 0, len(words)
        others = self._profile.split(heard)
        if self._profile.cost_model == "unit":
            return Levenshtein.distance(words, others), len(words)
        return count(align_pair(self._bare, said, heard).edits).errors, len(words)

    def _with_alternatives(self, outcome: Outcome) -> list[_Stage]:
        stages: list[_Stage] = []
        for profile in self._up_to:
            pair = align_readings(profile, *read_texts(outcome, profile))
            counts = count(pair.edits)
            stage = _Stage(pair.reference, pair.hypothesis, counts.errors, counts.reference_length)
            stages.append(stages[-1] if stages and stages[-1] == stage else stage)
        return stages
