"""The English words that numbers are made of, and what they stand for.

Owns the vocabulary of spelled-out numbers. It does not know how words combine.

Source: openai/whisper ``EnglishNumberNormalizer`` (``whisper/normalizers/english.py`` at c0d2f62,
June 2025, MIT, (c) 2022 OpenAI).
"""

from __future__ import annotations

from collections.abc import Iterable


def _table(words: str, numbers: Iterable[int]) -> dict[str, int]:
    return dict(zip(words.split(), numbers, strict=True))


ZEROS = frozenset({"o", "oh", "zero"})
ONES = _table(
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen",
    range(1, 20),
)
_ORDINALS = {
    "one": ("first", "st"),
    "two": ("second", "nd"),
    "three": ("third", "rd"),
    "five": ("fifth", "th"),
    "eight": ("eighth", "th"),
    "twelve": ("twelfth", "th"),
}
"""Ordinals that are not the word + "th"."""
ONES_SUFFIXED = (
    {("sixes" if word == "six" else word + "s"): (number, "s") for word, number in ONES.items()}
    | {
        ordinal: (number, ending)
        for word, number in ONES.items()
        for ordinal, ending in [_ORDINALS.get(word, (word + "th", "th"))]
    }
    | {"zeroth": (0, "th")}
)
"""Plurals and ordinals: the number and the ending that its figures get."""
TENS = _table("twenty thirty forty fifty sixty seventy eighty ninety", range(20, 100, 10))
TENS_SUFFIXED = {
    word.removesuffix("y") + ending: (number, suffix)
    for word, number in TENS.items()
    for ending, suffix in [("ies", "s"), ("ieth", "th")]
}
MULTIPLIERS = {"hundred": 100} | _table(
    "thousand million billion trillion quadrillion quintillion sextillion septillion octillion "
    "nonillion decillion",
    (1000**power for power in range(1, 12)),
)
MULTIPLIERS_SUFFIXED = {
    word + ending: (number, ending)
    for word, number in MULTIPLIERS.items()
    for ending in ("s", "th")
}
DECIMALS = frozenset({*ONES, *TENS, *ZEROS})
"""What can stand behind "point"."""
SIGNS = {"minus": "-", "negative": "-", "plus": "+", "positive": "+"}
CURRENCIES = {
    "pound": "£",
    "pounds": "£",
    "euro": "€",
    "euros": "€",
    "dollar": "$",
    "dollars": "$",
    "cent": "¢",
    "cents": "¢",
}
PREFIXES = frozenset({*SIGNS.values(), *CURRENCIES.values()})
"""What can stand in front of figures."""
REPEATS = {"double": 2, "triple": 3}
