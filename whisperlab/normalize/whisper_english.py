"""Whisper's normaliser for English: contractions, titles, numbers, American spelling.

Owns the order of the English rules and the list of contractions. It does not know how numbers are
read or where the spelling table comes from.

Source: Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision",
appendix C; openai/whisper ``whisper/normalizers/english.py`` at c0d2f62 (June 2025, MIT).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.normalize.english_numbers import write_numbers
from whisperlab.normalize.lexicon import Lexicon, WhisperSpelling, lexicon_hash
from whisperlab.normalize.symbols import remove_bracketed, symbols_to_spaces_without_diacritics

_FILLERS = re.compile(r"\b(hmm|mm|mhm|mmm|uh|um)\b")

# The order decides: "won't" before "n't", "'s been" before "'s".
_EXPANSIONS: Mapping[str, str] = {
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

_NUMERIC_SYMBOLS = ".%$¢€£"


@dataclass(
    frozen=True, config=ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)
)
class WhisperEnglish:
    """openai/whisper's ``EnglishTextNormalizer``, with ``lexicon`` as its spelling table.

    It is not idempotent, glues digit words and makes a word of an ellipsis at the very end. It
    equals its source on every text that the source can read (the source fails on a run of more than
    4,300 digits, which stays here), but for the one mended entry of the table.

    >>> english = WhisperEnglish()
    >>> english("Mr. Brown's colour-blind; he hasn't, um, paid $5 million.")
    'mister brown is color blind he has not paid $5000000'
    >>> english("one two three")
    '123'
    """

    lexicon: Lexicon = Field(default_factory=WhisperSpelling)

    def __call__(self, text: str) -> str:
        """Returns the text in the spelling that Whisper's published English scores use."""
        text = _FILLERS.sub("", remove_bracketed(text.lower()))
        text = re.sub(r"(?<!\s)\s+'", "'", text)
        for pattern, expansion in _EXPANSIONS.items():
            text = re.sub(pattern, expansion, text)
        text = re.sub(r"(\d),(\d)", r"\1\2", text)
        text = re.sub(r"\.([^0-9]|$)", r" \1", text)
        text = symbols_to_spaces_without_diacritics(text, keep=_NUMERIC_SYMBOLS)
        spelling = self.lexicon.table
        text = " ".join(spelling.get(word, word) for word in write_numbers(text).split())
        # Currency signs and percent signs that no number explains.
        text = re.sub(r"[.$¢€£]([^0-9])", r" \1", text)
        text = re.sub(r"([^0-9])%", r"\1 ", text)
        return re.sub(r"\s+", " ", text)

    def identity(self) -> Mapping[str, Any]:
        """Returns the rules, by source and revision, and the hash of the lexicon."""
        return {
            "rules": "openai/whisper EnglishTextNormalizer",
            "revision": "c0d2f62",
            "lexicon": lexicon_hash(self.lexicon),
        }
