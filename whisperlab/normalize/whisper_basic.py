"""Whisper's normaliser for every language: lower case, no brackets, no punctuation.

Owns the rule of the profile ``basic``. It does not know numbers, spelling or contractions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from whisperlab.normalize.symbols import remove_bracketed, symbols_to_spaces


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class WhisperBasic:
    """openai/whisper's ``BasicTextNormalizer()`` to the letter (diacritics kept, letters not split).

    As there, a space may stand at either end of the result.

    Source: Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision",
    appendix C; openai/whisper ``whisper/normalizers/basic.py`` at c0d2f62.

    >>> WhisperBasic()("<noise> Ça va, Zoë? (laughs)")
    ' ça va zoë '
    """

    def __call__(self, text: str) -> str:
        """Returns the text in lower case with single spaces where symbols and white space were."""
        cleaned = symbols_to_spaces(remove_bracketed(text.lower())).lower()
        return re.sub(r"\s+", " ", cleaned)

    def identity(self) -> Mapping[str, Any]:
        """Returns the rules, by source and revision."""
        return {"rules": "openai/whisper BasicTextNormalizer", "revision": "c0d2f62"}
