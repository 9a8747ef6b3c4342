"""Word lists that a normaliser replaces by: the British-American spelling table.

Owns where a lexicon comes from and its hash. It does not know the rules that apply it. The table is
one JSON object, word to word::

    {"accessorise": "accessorize", "accessorised": "accessorized", ...}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from importlib.resources import files
from typing import Protocol, runtime_checkable

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

_MENDED = {"archaeology": "archeology"}
"""openai/whisper's table has HTML debris in this one entry: ``"archeology</span>"``."""


@runtime_checkable
class Lexicon(Protocol):
    """A word list: the word as it stands in the text, and what takes its place."""

    @property
    def table(self) -> Mapping[str, str]:
        """Word to replacement, lower case."""
        ...


def lexicon_hash(lexicon: Lexicon) -> str:
    """Returns the first 16 hex digits of SHA-256 over the table as canonical JSON."""
    canonical = json.dumps(dict(lexicon.table), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class WhisperSpelling:
    """openai/whisper's spelling table (1,739 entries), as the PyPI package whisper-normalizer has it.

    Only the package's data file is used. Its English rules are not: release 0.1.15 adds four
    contractions that openai/whisper lacks (kinda, sorta, dunno, cause).

    Source: https://www.tysto.com/uk-us-spelling-list.html through openai/whisper
    ``whisper/normalizers/english.json``; one damaged entry (archaeology) is mended.

    >>> WhisperSpelling().table["colour"], WhisperSpelling().table["archaeology"]
    ('color', 'archeology')
    """

    @cached_property
    def table(self) -> Mapping[str, str]:
        """British to American spelling; read from the installed package at first use."""
        source = files("whisper_normalizer").joinpath("normalizers/english.json")
        table: dict[str, str] = json.loads(source.read_text(encoding="utf-8"))
        return table | _MENDED
