"""What a step of a scoring profile is: Normaliser.

Owns the contract between a profile and its rules. It does not know any rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Normaliser(Protocol):
    """One step of a profile: a pure function of the text.

    Building one reads nothing; a lexicon is read when the first text (or the identity) asks for it.
    A normaliser need not be idempotent (Whisper's English one is not), so a text goes through a
    profile once.
    """

    def __call__(self, text: str) -> str:
        """Returns the text with the rules applied."""
        ...

    def identity(self) -> Mapping[str, Any]:
        """Returns JSON values naming all that the output depends on: rules, revision, lexicon."""
        ...
