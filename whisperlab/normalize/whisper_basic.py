"""Whisper's normaliser for every language: lower case, no brackets, no punctuation.

Owns the rules of the profiles ``basic`` and ``basic-marks``. It does not know numbers, spelling or
contractions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from whisperlab.normalize.protocol import Rule, apply_rules
from whisperlab.normalize.symbols import (
    remove_bracketed,
    symbols_to_spaces,
    symbols_to_spaces_keeping_marks,
)

_WHITE_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class WhisperBasic:
    """openai/whisper's ``BasicTextNormalizer()`` to the letter (diacritics kept, letters not split).

    As there, a space may stand at either end of the result. ``marks="kept"`` is ours: combining marks
    (vowel signs of Hindi and Thai, accents that Unicode cannot compose) stay in their words, where
    Whisper's rule puts a space and breaks the word.

    Source: Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision",
    appendix C; openai/whisper ``whisper/normalizers/basic.py`` at c0d2f62.

    >>> WhisperBasic()("<noise> Ça va, Zoë? (laughs)")
    ' ça va zoë '
    >>> WhisperBasic()("नमस्ते"), WhisperBasic(marks="kept")("नमस्ते")
    ('नमस त ', 'नमस्ते')
    """

    marks: Literal["spaces", "kept"] = "spaces"

    def __call__(self, text: str) -> str:
        """Returns the text in lower case with single spaces where symbols and white space were."""
        return apply_rules(self.rules, text)

    @property
    def rules(self) -> Sequence[Rule]:
        """Lower case, brackets, punctuation."""
        return _RULES[self.marks]

    def identity(self) -> Mapping[str, Any]:
        """Returns the rules, by source and revision."""
        identity = {"rules": "openai/whisper BasicTextNormalizer", "revision": "c0d2f62"}
        return identity if self.marks == "spaces" else {**identity, "marks": self.marks}


def _symbols_apart(text: str) -> str:
    return _WHITE_SPACE.sub(" ", symbols_to_spaces(text).lower())


def _symbols_apart_keeping_marks(text: str) -> str:
    return _WHITE_SPACE.sub(" ", symbols_to_spaces_keeping_marks(text).lower())


_FIRST_RULES = (Rule("lower case", str.lower), Rule("brackets", remove_bracketed))
_RULES: Mapping[str, Sequence[Rule]] = {
    "spaces": (*_FIRST_RULES, Rule("punctuation and marks", _symbols_apart)),
    "kept": (*_FIRST_RULES, Rule("punctuation", _symbols_apart_keeping_marks)),
}
