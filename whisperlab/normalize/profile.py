"""How texts are made comparable before they are scored: Profile.

Owns the order of a profile's steps and the hash that names it in every score. It does not know the
steps' rules, nor how words are aligned or counted.

A text goes through a profile exactly once. Whisper's English rules are not idempotent ("minus 5"
becomes "-5", and that becomes "5"; "5 1" becomes "5 one", and that becomes "51"), so whoever scores
keeps raw texts and normalises them here, last.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.normalize.protocol import Normaliser


@dataclass(
    frozen=True, config=ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)
)
class Profile:
    """A named, versioned way to turn raw texts into words.

    ``steps`` run in order; none at all leaves the text as it is (the profile ``raw``).
    ``cost_model`` names the alignment's costs: ``unit`` = substitution, insertion and deletion cost
    1 each (Levenshtein). ``compound_rule`` ``none`` scores "any one" and "anyone" as different.
    ``empty_rule`` ``pooled``: an utterance whose reference has no words adds its insertions to the
    corpus' errors and nothing to its words; the rate of a corpus without words is undefined.

    >>> raw = Profile(name="raw", version="1")
    >>> raw.words("Don't  panic!")
    ("Don't", 'panic!')
    """

    name: Annotated[str, Field(min_length=1)]
    version: Annotated[str, Field(min_length=1)]
    # A configuration file can only write a list.
    steps: Annotated[tuple[Normaliser, ...], Field(strict=False)] = ()
    cost_model: Literal["unit"] = "unit"
    compound_rule: Literal["none"] = "none"
    empty_rule: Literal["pooled"] = "pooled"

    def normalize(self, text: str) -> str:
        """Returns the text after every step; call it once for a text, never on its own result."""
        for step in self.steps:
            text = step(text)
        return text

    def words(self, text: str) -> tuple[str, ...]:
        """Returns the words of the normalised text: what stands between white space."""
        return tuple(self.normalize(text).split())

    @cached_property
    def hash(self) -> str:
        """SHA-256, first 16 hex digits, over canonical JSON of everything that decides a score.

        Python's Unicode tables are not part of it; ``run.json`` names the Python version.
        """
        described = {
            "name": self.name,
            "version": self.version,
            "steps": [dict(step.identity()) for step in self.steps],
            "cost_model": self.cost_model,
            "compound_rule": self.compound_rule,
            "empty_rule": self.empty_rule,
        }
        canonical = json.dumps(described, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]
