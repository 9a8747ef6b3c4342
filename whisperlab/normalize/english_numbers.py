"""Spelled-out English numbers as figures, exactly as openai/whisper writes them.

Owns the reading of number words, currencies and percentages. It does not know spelling,
contractions or punctuation. Consecutive digits are glued: "nine one one" becomes "911", which
changes the number of words of a digit string (score those under ``basic`` or by CER).

Source: openai/whisper ``EnglishNumberNormalizer`` (``whisper/normalizers/english.py`` at c0d2f62,
June 2025, MIT, (c) 2022 OpenAI), rewritten; its behaviour is kept, its oddities too, because
published scores contain them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from whisperlab.normalize.number_words import (
    CURRENCIES,
    DECIMALS,
    MULTIPLIERS,
    MULTIPLIERS_SUFFIXED,
    ONES,
    ONES_SUFFIXED,
    PREFIXES,
    REPEATS,
    SIGNS,
    TENS,
    TENS_SUFFIXED,
    ZEROS,
)

_FIGURE = re.compile(r"\d")
_FIGURES = re.compile(r"^\d+(\.\d+)?$")
_LONGEST_NUMBER = 4000
"""Characters; a longer run of digits (a looping model's) stays as it is: Python refuses to convert
more than 4,300, and one multiplier adds at most 36."""


def write_numbers(text: str) -> str:
    """Returns lower-case text with number words as figures and single spaces between words.

    >>> write_numbers("two hundred and six dollars and seventy cents")
    '$206.70'
    >>> write_numbers("nine double one on the twenty first of may")
    '911 on the 21st of may'
    """
    words = _separate(text).split()
    if _has_number(text, words):
        words = _Reader().read(words)
        return _tidy_currency(" ".join(words))
    return " ".join(words)


def _has_number(text: str, words: Sequence[str]) -> bool:
    """False for a text that comes out as it went in, which most do."""
    return not _NUMBER_PARTS.isdisjoint(words) or _FIGURE.search(text) is not None


def _separate(text: str) -> str:
    """Returns the text with "and a half" as "point five" and figures apart from letters."""
    text = _separate_halves(text) if "half" in text else text
    if _FIGURE.search(text) is None:
        return text
    text = re.sub(r"([a-z])([0-9])", r"\1 \2", text)
    text = re.sub(r"([0-9])([a-z])", r"\1 \2", text)
    return re.sub(r"([0-9])\s+(st|nd|rd|th|s)\b", r"\1\2", text)  # 10 th -> 10th


def _separate_halves(text: str) -> str:
    parts: list[str] = []
    *before_half, last = re.split(r"\band\s+a\s+half\b", text)
    for part in before_half:
        if not part.strip():
            continue
        number_word = part.split()[-1]
        is_number = number_word in DECIMALS or number_word in MULTIPLIERS
        parts += [part, "point five" if is_number else "and a half"]
    if last.strip():
        parts.append(last)
    return " ".join(parts)


def _tidy_currency(text: str) -> str:
    """Returns the text with "$2 and ¢7" as "$2.07", "$0.36" as "¢36" and a lone 1 as "one"."""
    text = re.sub(
        r"([€£$])([0-9]+) (?:and )?¢([0-9]{1,2})\b",
        lambda match: f"{match[1]}{match[2]}.{int(match[3]):02d}",
        text,
    )
    # The dot is any character in the source as well.
    text = re.sub(r"[€£$]0.([0-9]{1,2})\b", lambda match: f"¢{int(match[1])}", text)
    return re.sub(r"\b1(s?)\b", r"one\1", text)


def _numeric(word: str | None) -> bool:
    return word is not None and _FIGURES.match(word) is not None


def _fraction(text: str) -> Fraction | None:
    if len(text) > _LONGEST_NUMBER:
        return None
    try:
        # Without a dot there is nothing to parse, which takes most of a Fraction's time.
        return Fraction(int(text) if text.isdecimal() else text)
    except ValueError:  # two dots, a currency sign after the dot
        return None


def _times(value: int | str, multiplier: int) -> int | None:
    """Returns the product where it is whole ("2.5" million), else ``None``."""
    fraction = _fraction(str(value))
    if fraction is None or (fraction * multiplier).denominator != 1:
        return None
    return (fraction * multiplier).numerator


def _grown(value: int, multiplier: int) -> int:
    """Returns the value with its last three digits multiplied: 2,005 and hundred -> 2,500."""
    return value // 1000 * 1000 + value % 1000 * multiplier


class _Reader:
    """Reads words from left to right with the number so far in ``value``.

    A string value is a number that no longer adds up: it started with a zero, has a dot or was
    spelled digit by digit, so what follows is written behind it.
    """

    def __init__(self) -> None:
        self.written: list[str] = []
        self.value: int | str | None = None
        self.prefix = ""
        self.previous: str | None = None
        self.following: str | None = None
        self.skip_next = False

    def read(self, words: Sequence[str]) -> list[str]:
        """Returns the words with their numbers written as figures."""
        neighbours = [None, *words, None]
        for position, word in enumerate(words):
            if self.skip_next:
                self.skip_next = False
                continue
            self.previous, self.following = neighbours[position], neighbours[position + 2]
            self._take(word)
        self._flush()
        return self.written

    def _take(self, word: str) -> None:
        if word[0].isalpha() and word not in _TAKE:  # most words
            self._flush()
            self._write(word)
            return
        unsigned = word[1:] if word[0] in PREFIXES else word
        number = _fraction(unsigned) if _numeric(unsigned) else None
        if number is not None:
            self._take_figures(word, unsigned, number)
        elif word in _TAKE:
            _TAKE[word](self, word)
        else:
            self._flush()
            self._write(word)

    def _write(self, result: int | str) -> None:
        self.written.append(f"{self.prefix}{result}")
        self.value = None
        self.prefix = ""

    def _flush(self) -> None:
        if self.value is not None:
            self._write(self.value)

    def _number_follows(self) -> bool:
        return self.following in _TAKE or _numeric(self.following)

    def _take_figures(self, word: str, unsigned: str, number: Fraction) -> None:
        if isinstance(self.value, str) and self.value.endswith("."):
            self.value += word  # decimals, or the parts of an IP address
            return
        self._flush()
        if word != unsigned:
            self.prefix = word[0]
        self.value = number.numerator if number.denominator == 1 else unsigned

    def _take_zero(self, word: str) -> None:
        self.value = str(self.value or "") + "0"

    def _joined_ones(self, value: int | str, number: int) -> int | str:
        if isinstance(value, str) or self.previous in ONES:
            text = str(value)
            fills_the_zero = self.previous in TENS and number < 10  # noqa: PLR2004 one digit
            return (text[:-1] if fills_the_zero else text) + str(number)
        room = 10 if number < 10 else 100  # noqa: PLR2004 one digit fits one zero
        return value + number if value % room == 0 else f"{value}{number}"

    def _take_ones(self, word: str) -> None:
        number = ONES[word]
        self.value = number if self.value is None else self._joined_ones(self.value, number)

    def _take_ones_suffixed(self, word: str) -> None:
        number, suffix = ONES_SUFFIXED[word]
        value = number if self.value is None else self._joined_ones(self.value, number)
        self._write(f"{value}{suffix}")

    def _joined_tens(self, value: int | str, number: int) -> int | str:
        if isinstance(value, int) and value % 100 == 0:
            return value + number
        return f"{value}{number}"

    def _take_tens(self, word: str) -> None:
        number = TENS[word]
        self.value = number if self.value is None else self._joined_tens(self.value, number)

    def _take_tens_suffixed(self, word: str) -> None:
        number, suffix = TENS_SUFFIXED[word]
        value = number if self.value is None else self._joined_tens(self.value, number)
        self._write(f"{value}{suffix}")

    def _take_multiplier(self, word: str) -> None:
        multiplier = MULTIPLIERS[word]
        if self.value is None:
            self.value = multiplier
        elif isinstance(self.value, str) or self.value == 0:
            product = _times(self.value, multiplier)
            if product is None:
                self._write(self.value)
            self.value = multiplier if product is None else product
        else:
            self.value = _grown(self.value, multiplier)

    def _take_multiplier_suffixed(self, word: str) -> None:
        multiplier, suffix = MULTIPLIERS_SUFFIXED[word]
        if isinstance(self.value, str):
            product = _times(self.value, multiplier)
            if product is None:
                self._write(self.value)
            self._write(f"{multiplier if product is None else product}{suffix}")
        elif self.value is None:
            self._write(f"{multiplier}{suffix}")
        else:
            self._write(f"{_grown(self.value, multiplier)}{suffix}")

    def _take_sign(self, word: str) -> None:
        self._flush()
        if self._number_follows():
            self.prefix = SIGNS[word]
        else:
            self._write(word)

    def _take_currency(self, word: str) -> None:
        if self.value is None:
            self._write(word)
        else:
            self.prefix = CURRENCIES[word]
            self._write(self.value)

    def _take_per(self, word: str) -> None:
        if self.value is not None and self.following == "cent":
            self._write(f"{self.value}%")
            self.skip_next = True
        else:
            self._flush()
            self._write(word)

    def _take_percent(self, word: str) -> None:
        self._write(word if self.value is None else f"{self.value}%")

    def _take_and(self, word: str) -> None:
        if self._number_follows() and self.previous in MULTIPLIERS:
            return  # "two hundred and six" is one number
        self._flush()
        self._write(word)

    def _take_repeat(self, word: str) -> None:
        following = self.following
        if following is not None and (following in ONES or following in ZEROS):
            self.value = str(self.value or "") + str(ONES.get(following, 0)) * REPEATS[word]
            self.skip_next = True
        else:
            self._flush()
            self._write(word)

    def _take_point(self, word: str) -> None:
        if not self._number_follows():
            self._flush()
            self._write(word)
        elif self.following in DECIMALS or _numeric(self.following):
            self.value = str(self.value or "") + "."
        # Before another number word ("point hundred") the source drops the point.


_TAKE: Mapping[str, Callable[[_Reader, str], None]] = {
    **dict.fromkeys(ZEROS, _Reader._take_zero),
    **dict.fromkeys(ONES, _Reader._take_ones),
    **dict.fromkeys(ONES_SUFFIXED, _Reader._take_ones_suffixed),
    **dict.fromkeys(TENS, _Reader._take_tens),
    **dict.fromkeys(TENS_SUFFIXED, _Reader._take_tens_suffixed),
    **dict.fromkeys(MULTIPLIERS, _Reader._take_multiplier),
    **dict.fromkeys(MULTIPLIERS_SUFFIXED, _Reader._take_multiplier_suffixed),
    **dict.fromkeys(SIGNS, _Reader._take_sign),
    **dict.fromkeys(CURRENCIES, _Reader._take_currency),
    "per": _Reader._take_per,
    "percent": _Reader._take_percent,
    "and": _Reader._take_and,
    **dict.fromkeys(REPEATS, _Reader._take_repeat),
    "point": _Reader._take_point,
}
"""Every word that can be part of a number, and how it is read."""

_NUMBER_PARTS = frozenset(_TAKE) - {"and"}
"""Words of which one at least is in every number that is spelled out; "and" alone changes nothing."""
