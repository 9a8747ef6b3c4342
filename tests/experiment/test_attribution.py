"""The share of every rule: hand-made texts, and sums that must come out."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from whisperlab.config.build import build_profile
from whisperlab.config.compose import compose
from whisperlab.errors import DatasetError
from whisperlab.experiment.attribution import COMPOUNDS, RAW, RuleShare, score_by_rule
from whisperlab.experiment.scoring import score_outcomes
from whisperlab.metric.cer import CharacterErrorRate
from whisperlab.metric.counts import NO_ERRORS
from whisperlab.metric.wer import WordErrorRate
from whisperlab.normalize.profile import Profile
from whisperlab.utterance import Failure, Outcome, State

METRICS = (WordErrorRate(), CharacterErrorRate())
PROFILES = ["raw", "basic", "whisper-english", "sclite", "sclite-forgiving", "characters"]


def profile(*overrides: str) -> Profile:
    return build_profile(compose("eval", list(overrides)))


def heard(name: str, reference: str, text: str) -> Outcome:
    return Outcome(name, State.OK, reference, text)


def by_rule(shares: list[RuleShare]) -> dict[str, RuleShare]:
    return {share.rule: share for share in shares}


def test_each_rule_gets_what_changed_when_it_was_added() -> None:
    outcomes = [
        heard("u1", "Colour, my friend", "color my friend"),  # Colour,/color is mended by spelling
        heard("u2", "it's one", "it is 1"),  # 2 raw errors and 1 word more: contraction, number
        heard("u3", "um yes", "yes"),
        heard("u4", "yes [noise]", "yes"),
    ]
    _, shares = score_by_rule(outcomes, profile("profile=whisper-english"), METRICS)
    found = by_rule(shares)
    assert [share.rule for share in shares] == [
        RAW,
        "lower case",
        "brackets",
        "fillers",
        "contractions and titles",
        "punctuation and diacritics",
        "numbers",
        "spelling",
        "stray signs",
    ]
    # u1: Colour, -> color (1); u2: it's one -> it is 1 (3); u3: um (1); u4: [noise] (1)
    assert (found[RAW].errors, found[RAW].words) == (6, 9)
    assert (found["lower case"].erased, found["lower case"].created) == (0, 0)
    assert found["lower case"].changed == 1  # Colour, although no error depends on it
    assert (found["brackets"].erased, found["brackets"].errors, found["brackets"].words) == (
        1,
        5,
        8,
    )
    assert (found["fillers"].erased, found["fillers"].words) == (1, 7)
    assert (found["contractions and titles"].erased, found["contractions and titles"].words) == (
        2,
        8,
    )
    assert found["numbers"].erased == 1
    assert found["spelling"].erased == 1
    assert found["stray signs"].errors == 0
    (example,) = found["brackets"].examples
    assert (example.id, example.reference_before, example.reference_after) == (
        "u4",
        "yes [noise]",
        "yes ",
    )
    assert (example.errors_before, example.errors_after) == (1, 0)


def test_a_rule_can_make_errors_and_its_examples_show_them() -> None:
    outcomes = [heard("u1", "one two three", "one two tree"), heard("u2", "Yes", "yes")]
    _, shares = score_by_rule(outcomes, profile("profile=whisper-english"), METRICS)
    numbers = by_rule(shares)["numbers"]
    # "123" against "12 tree": a substitution became a substitution and an insertion
    assert (numbers.created, numbers.erased, numbers.words) == (1, 0, 2)
    assert [example.id for example in numbers.examples] == ["u1"]


def test_the_compound_rule_has_the_last_share(test_data: Path) -> None:
    lexicon = test_data / "normalizers" / "open-asr-leaderboard-2026-08.json"
    chosen = profile("profile=open-asr-leaderboard", f"profile.lexicon={lexicon}")
    outcomes = [heard("u1", "a white paper", "a whitepaper"), heard("u2", "x y", "x z")]
    scored, shares = score_by_rule(outcomes, chosen, METRICS)
    assert shares[-1].rule == COMPOUNDS
    assert (shares[-1].erased, shares[-1].errors) == (2, 0 + 1)
    assert scored[0].counts["wer"].errors == 0


def misheard(text: str, chance: random.Random) -> str:
    heard: list[str] = []
    for word in text.split():
        heard += chance.choices([[word.lower()], [word], [], ["um,"], ["two"]], [12, 4, 1, 1, 1])[0]
    return " ".join(heard)


@pytest.mark.parametrize("name", PROFILES)
def test_shares_lead_from_the_raw_errors_to_the_profiles(name: str, test_data: Path) -> None:
    lines = (test_data / "english_dev" / "manifest.jsonl").read_text().splitlines()
    chance = random.Random(3)
    outcomes = [
        heard(str(number), text, misheard(text, chance))
        for number, text in enumerate(json.loads(line)["text"] for line in lines)
    ]
    outcomes += [
        heard("x1", "we { gonna / go; } (now) fi-", "We go fish"),
        Outcome("x2", State.FAILED, "never heard", "", error=Failure("invalid_audio", "no header")),
        Outcome("x3", State.EMPTY, "nothing", ""),
    ]
    chosen = profile(f"profile={name}")
    scored, shares = score_by_rule(outcomes, chosen, METRICS)
    assert scored == score_outcomes(outcomes, chosen, METRICS)
    total = sum(
        (item.counts["wer"] for item in scored if item.outcome.state.scored), start=NO_ERRORS
    )
    assert (shares[-1].errors, shares[-1].words) == (total.errors, total.reference_length)
    assert shares[0].changed == shares[0].created == shares[0].erased == 0
    for before, after in pairwise(shares):
        assert after.errors == before.errors + after.created - after.erased
    bare = replace(chosen, steps=(), substitutions=None, compound_rule="none")
    raw = score_outcomes(outcomes, bare, METRICS)
    assert shares[0].errors == sum(
        item.counts["wer"].errors for item in raw if item.outcome.state.scored
    )


def test_examples_are_the_largest_changes_and_few() -> None:
    outcomes = [
        heard(f"u{number}", " ".join(["Yes"] * number), " ".join(["yes"] * number))
        for number in range(1, 9)
    ]
    _, shares = score_by_rule(outcomes, profile("profile=basic"), METRICS, examples=2)
    assert [example.id for example in by_rule(shares)["lower case"].examples] == ["u8", "u7"]


def test_a_broken_notation_names_the_utterance() -> None:
    with pytest.raises(DatasetError, match=r"^utterance u1: "):
        score_by_rule([heard("u1", "a { b", "a")], profile("profile=sclite"), METRICS)


def test_a_stray_brace_of_a_recogniser_is_a_word_that_it_got_wrong() -> None:
    scored, _ = score_by_rule([heard("u1", "a b", "a { b")], profile("profile=sclite"), METRICS)
    assert scored[0].counts["wer"].insertions == scored[0].counts["wer"].errors == 1
