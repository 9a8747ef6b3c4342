"""The rules that Whisper's English normaliser and its descendants share, ready to be put in order.

Owns contractions, titles and the handling of brackets, figures and stray signs. It does not know
which of them a published normaliser uses, how numbers are read, or any lexicon.

Source: openai/whisper ``whisper/normalizers/english.py`` at c0d2f62 (June 2025, MIT).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from whisperlab.normalize.protocol import Rule
from whisperlab.normalize.symbols import remove_bracketed, symbols_to_spaces_without_diacritics

CONTRACTIONS_AND_TITLES: Mapping[str, str] = {
    r"\bwon't\b": "will not",
    r"\bcan't\b": "can not",
    r"\blet's\b": "let us",
    r"\bain't\b": "aint",
    r"\by'all\b": "you all",
    r"\bwanna\b": "want to",
    r"\bgotta\b": "got to",
    r"\bgonna\b": "going to",
    r"\bi'ma\b": "i am going to",
    r"\bimma\b": "i am going to",
    r"\bwoulda\b": "would have",
    r"\bcoulda\b": "could have",
    r"\bshoulda\b": "should have",
    r"\bma'am\b": "madam",
    r"\bmr\b": "mister ",
    r"\bmrs\b": "missus ",
    r"\bst\b": "saint ",
    r"\bdr\b": "doctor ",
    r"\bprof\b": "professor ",
    r"\bcapt\b": "captain ",
    r"\bgov\b": "governor ",
    r"\bald\b": "alderman ",
    r"\bgen\b": "general ",
    r"\bsen\b": "senator ",
    r"\brep\b": "representative ",
    r"\bpres\b": "president ",
    r"\brev\b": "reverend ",
    r"\bhon\b": "honorable ",
    r"\basst\b": "assistant ",
    r"\bassoc\b": "associate ",
    r"\blt\b": "lieutenant ",
    r"\bcol\b": "colonel ",
    r"\bjr\b": "junior ",
    r"\bsr\b": "senior ",
    r"\besq\b": "esquire ",
    r"'d been\b": " had been",
    r"'s been\b": " has been",
    r"'d gone\b": " had gone",
    r"'s gone\b": " has gone",
    r"'d done\b": " had done",
    r"'s got\b": " has got",
    r"n't\b": " not",
    r"'re\b": " are",
    r"'s\b": " is",
    r"'d\b": " would",
    r"'ll\b": " will",
    r"'t\b": " not",
    r"'ve\b": " have",
    r"'m\b": " am",
}
"""Pattern to expansion; the order decides: "won't" before "n't", "'s been" before "'s"."""

NUMERIC_SYMBOLS = ".%$¢€£"

_SPACE_BEFORE_APOSTROPHE = re.compile(r"(?<!\s)\s+'")
_COMMA_IN_FIGURES = re.compile(r"(\d),(\d)")
_FULL_STOP = re.compile(r"\.([^0-9]|$)")
_SIGN_BEFORE_NO_FIGURE = re.compile(r"[.$¢€£]([^0-9])")
_PERCENT_AFTER_NO_FIGURE = re.compile(r"([^0-9])%")
_WHITE_SPACE = re.compile(r"\s+")


def lower_case() -> Rule:
    """Returns the rule that writes everything small."""
    return Rule("lower case", str.lower)


def brackets() -> Rule:
    """Returns the rule that drops ``[...]``, ``<...>`` and ``(...)``."""
    return Rule("brackets", remove_bracketed)


def fillers(words: Sequence[str]) -> Rule:
    """Returns the rule that drops hesitations where they stand as words.

    >>> fillers(["uh", "um"]).apply("so um yes")
    'so  yes'
    """
    pattern = re.compile(rf"\b({'|'.join(words)})\b")

    def remove(text: str) -> str:
        found = any(word in text for word in words)  # seldom, and this is the cheaper search
        return pattern.sub("", text) if found else text

    return Rule("fillers", remove)


def contractions(expansions: Mapping[str, str]) -> Rule:
    """Returns the rule that writes contractions and titles out, pattern by pattern in order.

    >>> contractions(CONTRACTIONS_AND_TITLES).apply("he won 't see dr who")
    'he will not see doctor  who'
    """
    compiled = [
        (_needed(pattern), re.compile(pattern), expansion)
        for pattern, expansion in expansions.items()
    ]

    sign = "'"
    makes_signs = any(sign in expansion for expansion in expansions.values())
    unsigned = compiled if makes_signs else [one for one in compiled if sign not in one[0]]

    def expand(text: str) -> str:
        signed = sign in text
        if signed:
            text = _SPACE_BEFORE_APOSTROPHE.sub(sign, text)
        for needed, pattern, expansion in compiled if signed else unsigned:
            if needed in text:  # fifty times faster than a search that finds nothing
                text = pattern.sub(expansion, text)
        return text

    return Rule("contractions and titles", expand)


def _needed(pattern: str) -> str:
    """Returns letters without which the pattern cannot match: all of a plain one's, or ``'s``."""
    return re.sub(r"\(.*\)", "", pattern.replace(r"\b", ""))


def punctuation() -> Rule:
    """Returns the rule that drops punctuation and diacritics but what belongs to figures.

    >>> punctuation().apply("1,000 cafés, 5%.")
    '1000 cafes  5% '
    """

    def remove(text: str) -> str:
        if "," in text:
            text = _COMMA_IN_FIGURES.sub(r"\1\2", text)
        text = _FULL_STOP.sub(r" \1", text)
        return symbols_to_spaces_without_diacritics(text, keep=NUMERIC_SYMBOLS)

    return Rule("punctuation and diacritics", remove)


def replace_words(name: str, table: Mapping[str, str]) -> Rule:
    """Returns the rule ``name`` that replaces whole words, leaving single spaces.

    >>> replace_words("spelling", {"colour": "color"}).apply("a  colour")
    'a color'
    """

    def replace(text: str) -> str:
        words = text.split()
        return " ".join(map(table.get, words, words))

    return Rule(name, replace)


def stray_signs() -> Rule:
    """Returns the rule that drops currency and percent signs that no figure explains."""

    def remove(text: str) -> str:
        text = _SIGN_BEFORE_NO_FIGURE.sub(r" \1", text)
        if "%" in text:
            text = _PERCENT_AFTER_NO_FIGURE.sub(r"\1 ", text)
        single = " ".join(text.split())
        return text if text == single else _WHITE_SPACE.sub(" ", text)

    return Rule("stray signs", remove)
