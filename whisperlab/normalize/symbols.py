"""Brackets, punctuation and diacritics, as openai/whisper treats them.

Owns the character rules that Whisper's normalisers share. It does not know words or languages.

Source: openai/whisper ``whisper/normalizers/basic.py`` at c0d2f62 (June 2025, MIT).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

_BRACKETED = re.compile(r"[<\[][^>\]]*[>\]]")
_PARENTHESISED = re.compile(r"\(([^)]+?)\)")

_LETTERS_WITHOUT_DECOMPOSITION = {
    "œ": "oe",
    "Œ": "OE",
    "ø": "o",
    "Ø": "O",
    "æ": "ae",
    "Æ": "AE",
    "ß": "ss",
    "ẞ": "SS",
    "đ": "d",
    "Đ": "D",
    "ð": "d",
    "Ð": "D",
    "þ": "th",
    "Þ": "th",
    "ł": "l",
    "Ł": "L",
}
"""Letters with a stroke or ligature that NFKD leaves whole."""

MARKS_SYMBOLS_PUNCTUATION = frozenset("MSP")
"""First letters of the Unicode categories that a space replaces."""

SYMBOLS_PUNCTUATION = frozenset("SP")
"""The same where combining marks are parts of words."""


def remove_bracketed(text: str) -> str:
    """Returns the text without ``[...]``, ``<...>`` and ``(...)``: sounds, speakers, comments.

    >>> remove_bracketed("so [laughter] it (quietly) ended")
    'so  it  ended'
    """
    text = _remove_up_to_last(text, _BRACKETED, closing=">]")
    return _remove_up_to_last(text, _PARENTHESISED, closing=")")


def _remove_up_to_last(text: str, pattern: re.Pattern[str], closing: str) -> str:
    # Behind the last closing sign nothing can match, yet every opening one there would make the
    # pattern search to the end: "((((..." of a looping model would take quadratic time.
    end = 1 + max(text.rfind(sign) for sign in closing)
    return pattern.sub("", text[:end]) + text[end:] if end else text


def symbols_to_spaces(text: str) -> str:
    """Returns the NFKC text with every mark, symbol and punctuation character as a space.

    Combining marks count as symbols here, which shatters Hindi and Thai words: that is Whisper's
    rule, kept because published scores were made with it.

    >>> symbols_to_spaces("naïve café, no?")
    'naïve café  no '
    """
    return _each(unicodedata.normalize("NFKC", text), _spaced)


def symbols_to_spaces_keeping_marks(text: str) -> str:
    """Returns the NFKC text with symbols and punctuation as spaces; combining marks stay.

    >>> symbols_to_spaces_keeping_marks("नमस्ते, दुनिया!")
    'नमस्ते  दुनिया '
    """
    return _each(unicodedata.normalize("NFKC", text), _spaced_but_marks)


def symbols_to_spaces_without_diacritics(text: str, keep: str) -> str:
    """Returns the NFKD text without diacritics, symbols as spaces, characters of ``keep`` as they are.

    >>> symbols_to_spaces_without_diacritics("Łódź: $5!", keep="$")
    'Lodz  $5 '
    """
    if text.isascii():
        return text.translate(_ascii_without_diacritics(keep))
    return "".join(_plain(character, keep) for character in unicodedata.normalize("NFKD", text))


def _each(text: str, write: Callable[[str], str]) -> str:
    if text.isascii():
        return text.translate(_ascii(write))
    return "".join(character if character.isalnum() else write(character) for character in text)


@lru_cache(maxsize=8)
def _ascii(write: Callable[[str], str]) -> dict[int, str]:
    """Returns what becomes of each ASCII character: a table, because most texts are ASCII."""
    characters = map(chr, range(128))
    return {ord(each): each if each.isalnum() else write(each) for each in characters}


def _spaced(character: str) -> str:
    is_symbol = unicodedata.category(character)[0] in MARKS_SYMBOLS_PUNCTUATION
    return " " if is_symbol else character


def _spaced_but_marks(character: str) -> str:
    is_symbol = unicodedata.category(character)[0] in SYMBOLS_PUNCTUATION
    return " " if is_symbol else character


@lru_cache(maxsize=8)
def _ascii_without_diacritics(keep: str) -> dict[int, str]:
    """Returns what becomes of each ASCII character: a table, because most texts are ASCII."""
    return {code: _plain(chr(code), keep) for code in range(128)}


def _plain(character: str, keep: str) -> str:
    if character in keep:
        return character
    if character in _LETTERS_WITHOUT_DECOMPOSITION:
        return _LETTERS_WITHOUT_DECOMPOSITION[character]
    category = unicodedata.category(character)
    if category == "Mn":
        return ""
    return " " if category[0] in MARKS_SYMBOLS_PUNCTUATION else character
