"""The rules of ``whisper-english`` against openai/whisper's own assertions and transformers' copy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whisperlab.normalize.lexicon import WhisperSpelling, lexicon_hash
from whisperlab.normalize.number_words import CURRENCIES, MULTIPLIERS, ONES, ONES_SUFFIXED, TENS
from whisperlab.normalize.protocol import Normaliser
from whisperlab.normalize.whisper_english import WhisperEnglish

# Source: openai/whisper tests/test_normalizer.py at c0d2f62 (MIT): test_text_normalizer.
OPENAI_TEXT = [
    ("Let's", "let us"),
    ("he's like", "he is like"),
    ("she's been like", "she has been like"),
    ("10km", "10 km"),
    ("10mm", "10 mm"),
    ("RC232", "rc 232"),
    (
        "Mr. Park visited Assoc. Prof. Kim Jr.",
        "mister park visited associate professor kim junior",
    ),
]

ENGLISH = WhisperEnglish()


def original_table() -> dict[str, str]:
    path = files("whisper_normalizer").joinpath("normalizers/english.json")
    table: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return table


@pytest.fixture(scope="module")
def oracle() -> Any:
    """transformers' copy of openai/whisper's class, with the one damaged entry mended."""
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    return EnglishTextNormalizer({**original_table(), "archaeology": "archeology"})


def test_whisper_english_is_a_normaliser() -> None:
    assert isinstance(ENGLISH, Normaliser)


@pytest.mark.parametrize(("text", "expected"), OPENAI_TEXT)
def test_openai_text_assertions_hold(text: str, expected: str) -> None:
    assert ENGLISH(text) == expected


# Source: as above, test_spelling_normalizer.
@pytest.mark.parametrize(
    ("british", "american"), [("mobilisation", "mobilization"), ("cancelation", "cancellation")]
)
def test_openai_spelling_assertions_hold(british: str, american: str) -> None:
    assert WhisperSpelling().table[british] == american
    assert ENGLISH(british) == american


def test_the_damaged_entry_is_the_only_difference_from_the_packaged_table() -> None:
    original = original_table()
    mended = WhisperSpelling().table
    assert original["archaeology"] == "archeology</span>"
    assert {word for word in original if original[word] != mended[word]} == {"archaeology"}
    assert set(mended) == set(original)
    assert ENGLISH("Archaeology") == "archeology"


def test_the_packaged_table_is_openais_of_june_2025(test_data: Path) -> None:
    published = json.loads((test_data / "normalizers" / "openai-whisper-2025-06.json").read_text())
    assert {**published, "archaeology": "archeology"} == WhisperSpelling().table


def test_contractions_that_only_the_pypi_package_expands_stay() -> None:
    # whisper-normalizer 0.1.15 turns these into "kind of", "sort of", "do not know", "because".
    assert ENGLISH("kinda sorta dunno cause") == "kinda sorta dunno cause"


NUMBER_WORDS = [*ONES, *ONES_SUFFIXED, *TENS, *MULTIPLIERS, *CURRENCIES]
OTHER_WORDS = (
    "o oh zero per percent and double triple point minus plus cent half a 0 1 007 10 3.14 0.36 $5 "
    "€20 £0.5 1,000 1.2.3 $ % 5% b747 10th it's won't he's been 's 'd Mr. St um [noise] (aside) "
    "<unk> colour archaeology naïve Łódź straße ½ ² ٣ हिन्दी 東京 well... x"
)
WORDS = st.sampled_from(NUMBER_WORDS) | st.sampled_from(OTHER_WORDS.split())
TEXTS = (
    st.lists(WORDS, max_size=8).map(" ".join)
    | st.text(alphabet="<>[]()a \n'1,.st%$-", max_size=16)
    | st.text(max_size=40)
)


@given(text=TEXTS)
@settings(max_examples=500, deadline=None)  # the machine may be busy
def test_any_text_comes_out_as_openais_rules_leave_it(oracle: Any, text: str) -> None:
    assert ENGLISH(text) == oracle(text)


def test_real_references_come_out_as_openais_rules_leave_them(oracle: Any, test_data: Path) -> None:
    manifest = test_data / "english_dev" / "manifest.jsonl"
    texts = [json.loads(line)["text"] for line in manifest.read_text().splitlines()]
    assert len(texts) == 265
    changed = 0
    for text in texts:
        assert ENGLISH(text) == oracle(text)
        changed += ENGLISH(text) != text
    assert changed > 200  # the references are cased or upper case: equality is no accident


def test_an_ellipsis_at_the_end_is_a_word_as_in_openais_rules(oracle: Any) -> None:
    # Published scores contain this: each pair of dots loses one, and a last dot has no successor.
    assert ENGLISH("Well...").split() == ["well", "."]
    assert oracle("Well...").split() == ["well", "."]
    assert ENGLISH("Well... yes.").split() == ["well", "yes"]


def test_white_space_before_an_apostrophe_goes_however_long_it_is() -> None:
    assert ENGLISH("he won \t 't") == "he will not"
    # Searched from each of them to the end, these would be 5e9 steps.
    assert ENGLISH("a" + " " * 100_000 + "b") == "a b"


def test_normalising_twice_is_another_text() -> None:
    assert ENGLISH("minus 5") == "-5"
    assert ENGLISH(ENGLISH("minus 5")) == "5"


@dataclass
class Table:
    """A lexicon of the test's own."""

    table: Mapping[str, str]


def test_another_lexicon_replaces_the_spelling_table() -> None:
    hues = Table({"colour": "hue"})
    other = WhisperEnglish(lexicon=hues)
    assert other("Colour and flavour") == "hue and flavour"
    assert other.identity() != ENGLISH.identity()
    assert other.identity()["lexicon"] == lexicon_hash(hues)
