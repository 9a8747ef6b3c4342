"""Scoring profiles: order of steps, single application, hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.utils import instantiate
from pydantic import ValidationError

from whisperlab.config.build import build_profile
from whisperlab.config.compose import compose
from whisperlab.metric.costs import COSTS
from whisperlab.normalize.network import Network, PlainText
from whisperlab.normalize.profile import Profile
from whisperlab.normalize.whisper_basic import WhisperBasic
from whisperlab.normalize.whisper_english import WhisperEnglish

PROFILES = Path(__file__).parents[2] / "conf" / "profile"

RAW = Profile(name="raw", version="1")
BASIC = Profile(name="basic", version="2025-06", steps=(WhisperBasic(),))
ENGLISH = Profile(name="whisper-english", version="2025-06", steps=(WhisperEnglish(),))


class Suffix:
    """A step that is certainly not idempotent: it appends its letter."""

    def __init__(self, letter: str) -> None:
        self.letter = letter

    def __call__(self, text: str) -> str:
        return text + self.letter

    def identity(self) -> Mapping[str, Any]:
        return {"rules": "suffix", "letter": self.letter}


def test_steps_run_once_each_in_order() -> None:
    assert Profile(name="x", version="1", steps=(Suffix("a"), Suffix("b"))).normalize("-") == "-ab"


def test_raw_leaves_everything_and_splits_on_any_white_space() -> None:
    text = " Don't\tpanic,\u00a0 OK? \n"
    assert RAW.normalize(text) == text
    assert RAW.words(text) == ("Don't", "panic,", "OK?")


@pytest.mark.parametrize("profile", [RAW, BASIC, ENGLISH], ids=lambda profile: profile.name)
def test_no_text_is_no_words(profile: Profile) -> None:
    assert profile.normalize("") == ""
    assert profile.words("") == ()


@pytest.mark.parametrize("profile", [BASIC, ENGLISH], ids=lambda profile: profile.name)
@pytest.mark.parametrize("text", [".", "[noise]", " ?! "])
def test_a_text_of_punctuation_is_no_words(profile: Profile, text: str) -> None:
    assert profile.words(text) == ()


def test_digit_words_keep_their_number_only_under_basic() -> None:
    assert len(BASIC.words("one two three")) == 3
    assert len(ENGLISH.words("one two three")) == 1


def test_hash_is_16_hex_digits_and_equal_for_equal_profiles() -> None:
    again = Profile(name="whisper-english", version="2025-06", steps=(WhisperEnglish(),))
    assert again.hash == ENGLISH.hash
    assert len(ENGLISH.hash) == 16
    int(ENGLISH.hash, 16)


def test_hash_is_the_one_described_computed_by_hand() -> None:
    canonical = (
        '{"compound_rule":"none","cost_model":"unit","empty_rule":"pooled","name":"x",'
        '"steps":[{"letter":"a","rules":"suffix"}],"version":"1"}'
    )
    expected = hashlib.sha256(canonical.encode()).hexdigest()[:16]
    assert Profile(name="x", version="1", steps=(Suffix("a"),)).hash == expected


def test_hash_changes_with_everything_that_decides_a_score() -> None:
    one_two = Profile(name="x", version="1", steps=(Suffix("1"), Suffix("2")))
    others = [
        replace(one_two, name="y"),
        replace(one_two, version="2"),
        replace(one_two, steps=(Suffix("2"), Suffix("1"))),
        replace(one_two, steps=(Suffix("1"),)),
        replace(one_two, steps=(Suffix("1"), Suffix("3"))),
        RAW,
        BASIC,
        ENGLISH,
    ]
    assert len({profile.hash for profile in [one_two, *others]}) == len(others) + 1


class OneWord:
    """A lexicon of the test's own."""

    def __init__(self, american: str) -> None:
        self.table = {"colour": american}


def test_hash_changes_with_the_lexicons_content() -> None:
    hashes = {
        replace(ENGLISH, steps=(WhisperEnglish(lexicon=OneWord(word)),)).hash
        for word in ("color", "hue")
    }
    assert len(hashes | {ENGLISH.hash}) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"version": 2},
        {"steps": [str.lower]},  # no identity: it could not be hashed
        {"cost_model": "nist"},
        {"lower": True},
    ],
    ids=str,
)
def test_a_wrong_setting_is_refused_when_the_profile_is_built(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Profile(**{"name": "x", "version": "1", **wrong})


@pytest.mark.parametrize("cost_model", list(COSTS))
def test_every_cost_model_of_the_alignments_can_be_chosen(cost_model: str) -> None:
    chosen: Any = cost_model
    assert Profile(name="x", version="1", cost_model=chosen).cost_model == cost_model


@pytest.mark.parametrize("expected", [RAW, BASIC, ENGLISH], ids=lambda profile: profile.name)
def test_each_profiles_yaml_builds_it_under_its_own_name(expected: Profile) -> None:
    settings = yaml.safe_load((PROFILES / f"{expected.name}.yaml").read_text())
    built = instantiate(settings, _convert_="all")
    assert built == expected
    assert built.hash == expected.hash


def test_hindi_words_stay_whole_under_basic_marks_alone() -> None:
    marks = build_profile(compose("eval", ["profile=basic-marks"]))
    assert marks.words("नमस्ते दुनिया") == ("नमस्ते", "दुनिया")
    assert len(BASIC.words("नमस्ते दुनिया")) > 2


def test_every_character_is_a_word_under_characters() -> None:
    characters = build_profile(compose("eval", ["profile=characters"]))
    assert characters.words("今日は、AI。") == ("今", "日", "は", "a", "i")
    assert characters.hash != replace(characters, unit="word").hash


def test_any_profile_takes_a_list_of_substitutions_and_its_hash_says_so(tmp_path: Path) -> None:
    words = tmp_path / "words.json"
    words.write_text('{"new york": "ny"}')
    basic = build_profile(compose("eval", ["profile=basic", f"profile.substitutions={words}"]))
    assert basic.words("New York, Paris") == ("ny", "paris")
    assert basic.hash != BASIC.hash
    assert [rule.name for rule in basic.rules][-1] == "substitutions"


def test_a_profile_without_the_later_settings_keeps_its_name() -> None:
    # The hash of the first release: scores of old runs stay comparable.
    assert BASIC.hash == "8f60d58678be4a36"


def test_one_setting_names_the_lexicon_of_a_profile(test_data: Path) -> None:
    lexicon = test_data / "normalizers" / "open-asr-leaderboard-2026-08.json"
    chosen = ["profile=open-asr-leaderboard", f"profile.lexicon={lexicon}"]
    assert build_profile(compose("eval", chosen)).normalize("Alan met Gregg") == "allen met greg"


def test_rules_in_order_are_the_profile() -> None:
    text = "Mr. Brown's colour-blind (aside)"
    for rule in ENGLISH.rules:
        text = rule.apply(text)
    assert text == ENGLISH.normalize("Mr. Brown's colour-blind (aside)")
    assert [rule.name for rule in RAW.rules] == []
    assert [rule.name for rule in Profile(name="x", version="1", steps=(Suffix("a"),)).rules] == [
        "Suffix"
    ]


def test_every_later_setting_changes_the_hash() -> None:
    changed = [
        replace(RAW, unit="character"),
        replace(RAW, cost_model="sclite"),
        replace(RAW, compound_rule="merge"),
        replace(RAW, notation="sclite"),
        replace(RAW, optional_words="forgiven"),
        replace(RAW, fragments="prefix"),
    ]
    assert len({profile.hash for profile in [RAW, *changed]}) == len(changed) + 1


def test_the_notation_is_read_only_where_the_profile_says_so() -> None:
    text = "a { b / @ } c"
    assert RAW.read(text) == PlainText(text, ("a", "{", "b", "/", "@", "}", "c"))
    sclite = build_profile(compose("eval", ["profile=sclite"]))
    network = sclite.read("A { B / @ } c")
    assert isinstance(network, Network)
    assert [arc.word for arc in network.arcs] == ["", "a", "b", "", "c"]
    assert sclite.read("A (b) c-") == PlainText("a (b) c-", ("a", "(b)", "c-"))


def test_an_optional_word_is_marked_only_where_it_is_forgiven() -> None:
    forgiving = build_profile(compose("eval", ["profile=sclite-forgiving"]))
    network = forgiving.read("a (B) c")
    assert isinstance(network, Network)
    assert [(arc.word, arc.optional) for arc in network.arcs[1:]] == [
        ("a", False),
        ("b", True),
        ("c", False),
    ]
