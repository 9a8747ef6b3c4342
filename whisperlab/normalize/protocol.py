"""What a step of a scoring profile is: Normaliser, and the named rules that it is made of.

Owns the contract between a profile and its rules. It does not know any rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Rule:
    """A part of a normaliser that can be named when somebody asks which rule changed a score."""

    name: str
    apply: Callable[[str], str]


@runtime_checkable
class RuleList(Protocol):
    """A normaliser that is nothing but its ``rules``, one after the other."""

    @property
    def rules(self) -> Sequence[Rule]:
        """The rules in their order; applying all of them is calling the normaliser."""
        ...


def apply_rules(rules: Sequence[Rule], text: str) -> str:
    """Returns the text after every rule.

    >>> apply_rules([Rule("lower case", str.lower), Rule("ends", str.strip)], " Yes ")
    'yes'
    """
    for rule in rules:
        text = rule.apply(text)
    return text
