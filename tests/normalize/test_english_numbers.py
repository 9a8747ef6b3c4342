"""Number words as figures: openai/whisper's assertions, and texts that its code cannot read."""

from __future__ import annotations

import pytest

from whisperlab.normalize.english_numbers import write_numbers
from whisperlab.normalize.whisper_english import WhisperEnglish

# Source: openai/whisper tests/test_normalizer.py at c0d2f62 (MIT): test_number_normalizer. There
# each one holds for the number rules alone and for the whole normaliser.
OPENAI_NUMBERS = [
    ("two", "2"),
    ("thirty one", "31"),
    ("five twenty four", "524"),
    ("nineteen ninety nine", "1999"),
    ("twenty nineteen", "2019"),
    ("two point five million", "2500000"),
    ("four point two billions", "4200000000s"),
    ("200 thousand", "200000"),
    ("200 thousand dollars", "$200000"),
    ("$20 million", "$20000000"),
    ("€52.4 million", "€52400000"),
    ("£77 thousands", "£77000s"),
    ("two double o eight", "2008"),
    ("three thousand twenty nine", "3029"),
    ("forty three thousand two hundred sixty", "43260"),
    ("forty three thousand two hundred and sixty", "43260"),
    ("nineteen fifties", "1950s"),
    ("thirty first", "31st"),
    ("thirty three thousand and three hundred and thirty third", "33333rd"),
    ("three billion", "3000000000"),
    ("millions", "1000000s"),
    ("july third twenty twenty", "july 3rd 2020"),
    ("august twenty sixth twenty twenty one", "august 26th 2021"),
    ("3 14", "3 14"),
    ("3.14", "3.14"),
    ("3 point 2", "3.2"),
    ("3 point 14", "3.14"),
    ("fourteen point 4", "14.4"),
    ("two point two five dollars", "$2.25"),
    ("two hundred million dollars", "$200000000"),
    ("$20.1 million", "$20100000"),
    ("ninety percent", "90%"),
    ("seventy six per cent", "76%"),
    ("double oh seven", "007"),
    ("double zero seven", "007"),
    ("nine one one", "911"),
    ("nine double one", "911"),
    ("one triple oh one", "10001"),
    ("two thousandth", "2000th"),
    ("thirty two thousandth", "32000th"),
    ("minus 500", "-500"),
    ("positive twenty thousand", "+20000"),
    ("two dollars and seventy cents", "$2.70"),
    ("3 cents", "¢3"),
    ("$0.36", "¢36"),
    ("three euros and sixty five cents", "€3.65"),
    ("three and a half million", "3500000"),
    ("forty eight and a half dollars", "$48.5"),
    ("b747", "b 747"),
    ("10 th", "10th"),
    ("10th", "10th"),
]


@pytest.mark.parametrize(("text", "expected"), OPENAI_NUMBERS)
def test_openai_number_assertions_hold(text: str, expected: str) -> None:
    assert write_numbers(text) == expected
    assert WhisperEnglish()(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one", "one"),  # a lone 1 stays a word
        ("fifth eighth twelfth zeroth", "5th 8th 12th 0th"),
        ("sixes nineties", "6s 90s"),
        ("minus nothing", "minus nothing"),
        ("per person", "per person"),
        ("ten per person", "10 per person"),
        ("double trouble", "double trouble"),
        ("point taken", "point taken"),
        ("", ""),
    ],
)
def test_words_become_figures_only_where_a_number_is_meant(text: str, expected: str) -> None:
    assert write_numbers(text) == expected


@pytest.mark.parametrize("digits", [4_001, 4_301, 20_000])
def test_a_looping_models_digits_stay_a_word_instead_of_an_error(digits: int) -> None:
    # Python refuses to convert more than 4,300 digits: the original raises here.
    run = "9" * digits
    assert write_numbers(f"call {run} thousand times") == f"call {run} 1000 times"


def test_a_number_grown_digit_by_digit_beyond_pythons_limit_stays_text() -> None:
    spelled = " ".join(["nine", *["double nine"] * 3_000, "thousand"])
    assert write_numbers(spelled) == "9" * 6_001 + " 1000"
