"""Word lists that a normaliser replaces by: spelling tables, names, a user's own substitutions.

Owns where a lexicon comes from and its hash. It does not know the rules that apply it. A table is
one JSON object, from what stands in the text to what takes its place::

    {"accessorise": "accessorize", "accessorised": "accessorized", ...}

A file may hold several tables by name, as the Open ASR leaderboard's does::

    {"english_name_normalizer": {"alan": "allen", ...}, "english_spelling_normalizer": {...}}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Protocol, runtime_checkable

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.errors import ConfigError

AnyPath = Annotated[Path, Field(strict=False)]
"""A path; YAML writes it as a string."""

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


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class LexiconFile:
    """A table in a JSON file of yours; ``section`` names it where the file holds several."""

    path: AnyPath
    section: str | None = None

    @cached_property
    def table(self) -> Mapping[str, str]:
        """The file's table, read at first use.

        Raises:
            ConfigError: there is no such file or section, or it is no object of strings.
        """
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(
                f"lexicon {self.path}: cannot be read ({error.strerror}); give the path of a JSON file"
            ) from error
        except (ValueError, RecursionError) as error:  # the last: 10^5 brackets
            raise ConfigError(
                f"lexicon {self.path}: expected a JSON file, found another ({error}); mend it"
            ) from error
        where = str(self.path)
        if self.section is not None:
            where += f" [{self.section}]"
            content = content.get(self.section) if isinstance(content, dict) else None
        if not isinstance(content, dict) or not all(
            isinstance(value, str) for value in content.values()
        ):
            raise ConfigError(
                f"lexicon {where}: expected an object of texts to texts; see "
                "whisperlab/normalize/lexicon.py for its form"
            )
        return content
