"""Texts of languages that do not put spaces between words: Chinese, Japanese, Thai.

Owns the rules of the profile ``characters``. It does not know words, dictionaries or numbers: two
spellings of a number or of a name stay two texts.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from whisperlab.normalize.protocol import Rule, apply_rules
from whisperlab.normalize.symbols import remove_bracketed, symbols_to_spaces_keeping_marks


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class Unspaced:
    """One width of letters and figures, lower case, no brackets, no punctuation, no white space.

    Combining marks stay (Thai and Lao write vowels and tones with them), and so do iteration and
    length marks (々, ー). Traditional and simplified characters stay different, as do kana and kanji.

    >>> Unspaced()("今日は、ＡＩ の 話です。")
    '今日はaiの話です'
    >>> Unspaced()("สวัสดี ครับ")
    'สวัสดีครับ'
    """

    def __call__(self, text: str) -> str:
        """Returns the text as one run of characters."""
        return apply_rules(self.rules, text)

    @property
    def rules(self) -> Sequence[Rule]:
        """Width, lower case, brackets, punctuation, white space."""
        return _RULES

    def identity(self) -> Mapping[str, Any]:
        """Returns the name of the rules."""
        return {"rules": "unspaced", "revision": "1"}


def _without_spaces(text: str) -> str:
    return "".join(text.split())


_RULES = (
    Rule("width", partial(unicodedata.normalize, "NFKC")),  # before brackets: （笑） is (笑)
    Rule("lower case", str.lower),
    Rule("brackets", remove_bracketed),
    Rule("punctuation", symbols_to_spaces_keeping_marks),
    Rule("white space", _without_spaces),
)
