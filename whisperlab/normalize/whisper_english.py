"""Whisper's normaliser for English: contractions, titles, numbers, American spelling.

Owns the order of the English rules and the list of fillers. It does not know how numbers are read
or where the spelling table comes from.

Source: Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision",
appendix C; openai/whisper ``whisper/normalizers/english.py`` at c0d2f62 (June 2025, MIT).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.normalize import english_rules
from whisperlab.normalize.english_numbers import write_numbers
from whisperlab.normalize.lexicon import Lexicon, WhisperSpelling, lexicon_hash
from whisperlab.normalize.protocol import Rule, apply_rules

FILLERS = ("hmm", "mm", "mhm", "mmm", "uh", "um")


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
        return apply_rules(self.rules, text)

    @cached_property
    def rules(self) -> Sequence[Rule]:
        """The rules in their order; reads the lexicon."""
        return (
            english_rules.lower_case(),
            english_rules.brackets(),
            english_rules.fillers(FILLERS),
            english_rules.contractions(english_rules.CONTRACTIONS_AND_TITLES),
            english_rules.punctuation(),
            Rule("numbers", write_numbers),
            english_rules.replace_words("spelling", self.lexicon.table),
            english_rules.stray_signs(),
        )

    def identity(self) -> Mapping[str, Any]:
        """Returns the rules, by source and revision, and the hash of the lexicon."""
        return {
            "rules": "openai/whisper EnglishTextNormalizer",
            "revision": "c0d2f62",
            "lexicon": lexicon_hash(self.lexicon),
        }
