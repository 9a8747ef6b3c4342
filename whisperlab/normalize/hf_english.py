"""The English normaliser of transformers' Whisper tokenizer, with a checkpoint's spelling table.

Owns which table is used. Its rules are openai/whisper's (transformers carries a copy of them, equal
up to type hints); what differs between two scorers on transformers is the ``normalizer.json`` that
lies beside the checkpoint, and that may be none at all.

Source: transformers 5.23 ``models/whisper/english_normalizer.py`` (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from whisperlab.normalize.lexicon import (
    AnyPath,
    Lexicon,
    LexiconFile,
    WhisperSpelling,
    lexicon_hash,
)
from whisperlab.normalize.protocol import Rule, apply_rules
from whisperlab.normalize.whisper_english import WhisperEnglish


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class HfEnglish:
    """transformers' ``EnglishTextNormalizer``; ``lexicon`` is a checkpoint's ``normalizer.json``.

    ``None`` takes openai/whisper's own table.

    >>> HfEnglish()("Mr. Brown's colour")
    'mister brown is color'
    """

    lexicon: AnyPath | None = None

    def __call__(self, text: str) -> str:
        """Returns the text as ``WhisperTokenizer.normalize`` writes it."""
        return apply_rules(self.rules, text)

    @cached_property
    def rules(self) -> Sequence[Rule]:
        """openai/whisper's rules with the table; reads the lexicon."""
        return WhisperEnglish(lexicon=self._table).rules

    @cached_property
    def _table(self) -> Lexicon:
        return WhisperSpelling() if self.lexicon is None else LexiconFile(self.lexicon)

    def identity(self) -> Mapping[str, Any]:
        """Returns the rules, by source and version, and the hash of the lexicon."""
        return {
            "rules": "transformers EnglishTextNormalizer",
            "revision": "5.23",
            "lexicon": lexicon_hash(self._table),
        }
