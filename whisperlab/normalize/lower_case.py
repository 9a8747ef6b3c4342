"""Case that does not count: everything in small letters, nothing else changed.

Owns the one rule of the profile ``sclite``. It does not know words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from whisperlab.normalize.english_rules import lower_case
from whisperlab.normalize.protocol import Rule


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class LowerCase:
    """Unicode's lower case (NIST's sclite maps what its encoding knows: the same for its languages).

    >>> LowerCase()("THE Café")
    'the café'
    """

    def __call__(self, text: str) -> str:
        """Returns the text in lower case."""
        return text.lower()

    @property
    def rules(self) -> Sequence[Rule]:
        """The one rule."""
        return (lower_case(),)

    def identity(self) -> Mapping[str, Any]:
        """Returns the name of the rule."""
        return {"rules": "lower case", "revision": "1"}
