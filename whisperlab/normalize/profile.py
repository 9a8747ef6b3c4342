"""How texts are made comparable before they are scored: Profile.

Owns the order of a profile's steps, how its words are told apart, and the hash that names it in
every score. It does not know the steps' rules, nor how words are aligned or counted.

A text goes through a profile exactly once. Whisper's English rules are not idempotent ("minus 5"
becomes "-5", and that becomes "5"; "5 1" becomes "5 one", and that becomes "51"), so whoever scores
keeps raw texts and normalises them here, last.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.normalize.lexicon import AnyPath, LexiconFile, lexicon_hash
from whisperlab.normalize.network import (
    MARKS,
    PlainText,
    Reading,
    Token,
    has_alternatives,
    read_network,
    written_word,
)
from whisperlab.normalize.protocol import Normaliser, Rule, RuleList, apply_rules
from whisperlab.normalize.substitutions import substitute


@dataclass(
    frozen=True, config=ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)
)
class Profile:
    """A named, versioned way to turn raw texts into words.

    ``steps`` run in order; none at all leaves the text as it is (the profile ``raw``).
    ``substitutions`` is a lexicon file of yours (JSON, what stands in the normalised text to what
    takes its place, words or phrases); it comes after the steps. ``lexicon`` is the file that a step
    reads, kept here so that one setting names it; the step's own identity has its content.
    ``unit`` tells what a word is: what stands between white space, or every ``character`` (for
    languages that write no spaces; the word error rate is then a character error rate).
    ``cost_model`` names the alignment's costs: ``unit`` = substitution, insertion and deletion cost
    1 each (Levenshtein), ``sclite`` = 4, 3 and 3. ``compound_rule`` ``none`` scores "any one" and
    "anyone" as different, ``merge`` takes words in a row for one word of the other text when their
    letters are the same (kaldialign's ``merge_compounds``).
    ``empty_rule`` ``pooled``: an utterance whose reference has no words adds its insertions to the
    corpus' errors and nothing to its words; the rate of a corpus without words is undefined.
    ``notation`` ``sclite`` reads alternatives, tags and ``@`` (`network`); there, and only there,
    ``optional_words`` ``forgiven`` (sclite's -D) counts a word in parentheses that was not said as
    correct, and ``fragments`` ``prefix`` (sclite's -F) lets "fi-" match every word that begins so.
    Both are ``literal`` in sclite's own default: "(the)" and "fi-" are words like any other.

    >>> raw = Profile(name="raw", version="1")
    >>> raw.words("Don't  panic!")
    ("Don't", 'panic!')
    """

    name: Annotated[str, Field(min_length=1)]
    version: Annotated[str, Field(min_length=1)]
    # A configuration file can only write a list.
    steps: Annotated[tuple[Normaliser, ...], Field(strict=False)] = ()
    substitutions: AnyPath | None = None
    lexicon: AnyPath | None = None
    unit: Literal["word", "character"] = "word"
    cost_model: Literal["unit", "sclite"] = "unit"
    compound_rule: Literal["none", "merge"] = "none"
    empty_rule: Literal["pooled"] = "pooled"
    notation: Literal["plain", "sclite"] = "plain"
    optional_words: Literal["literal", "forgiven"] = "literal"
    fragments: Literal["literal", "prefix"] = "literal"

    def normalize(self, text: str) -> str:
        """Returns the text after every step; call it once for a text, never on its own result.

        Raises:
            ConfigError: a lexicon cannot be read.
        """
        return apply_rules(self.rules, text)

    @cached_property
    def rules(self) -> Sequence[Rule]:
        """Every rule of every step in order, the substitutions last; reads the lexicons."""
        rules: list[Rule] = []
        for step in self.steps:
            whole = Rule(type(step).__name__, step)
            rules += step.rules if isinstance(step, RuleList) else [whole]
        if self._substitutions is not None:
            rules.append(substitute(self._substitutions.table))
        return tuple(rules)

    @cached_property
    def _substitutions(self) -> LexiconFile | None:
        return None if self.substitutions is None else LexiconFile(self.substitutions)

    def words(self, text: str) -> tuple[str, ...]:
        """Returns the words of the normalised text."""
        return self.split(self.normalize(text))

    def split(self, normalized: str) -> tuple[str, ...]:
        """Returns the words of a text that went through ``normalize`` already."""
        words = normalized.split()
        return tuple(words if self.unit == "word" else "".join(words))

    def read(self, text: str) -> Reading:
        """Returns what a raw text says: one sequence of words, or a network of alternatives.

        Raises:
            ConfigError: a lexicon cannot be read.
            DatasetError: the notation is broken.
        """
        if not self.reads_plainly(text):
            if has_alternatives(text) or self._has_optional_words(text):
                return read_network(text, self._tokens)
            text = " ".join(written_word(token) for token in text.split())
        normalized = self.normalize(text)
        return PlainText(normalized, self.split(normalized))

    def reads_plainly(self, text: str) -> bool:
        """Returns whether a raw text is one sequence of words to this profile."""
        if self.notation == "plain":
            return True
        return MARKS.isdisjoint(text) and not self._has_optional_words(text)

    def _has_optional_words(self, text: str) -> bool:
        return self.optional_words == "forgiven" and "(" in text

    def _tokens(self, run: Sequence[str]) -> list[Token]:
        tokens: list[Token] = []
        plain: list[str] = []
        for word in [*run, ""]:
            optional = self.optional_words == "forgiven" and _is_optional(word)
            if word and not optional:
                plain.append(word)
                continue
            tokens += [Token(said) for said in self.words(" ".join(plain))]
            plain = []
            if optional:
                tokens += [Token(said, optional=True) for said in self.words(word[1:-1])]
        return tokens

    @cached_property
    def hash(self) -> str:
        """SHA-256, first 16 hex digits, over canonical JSON of everything that decides a score.

        Python's Unicode tables are not part of it; ``run.json`` names the Python version. A setting
        that came later counts only where it is used, so that it does not rename older scores.
        """
        described: dict[str, Any] = {
            "name": self.name,
            "version": self.version,
            "steps": [dict(step.identity()) for step in self.steps],
            "cost_model": self.cost_model,
            "compound_rule": self.compound_rule,
            "empty_rule": self.empty_rule,
        }
        if self._substitutions is not None:
            described["substitutions"] = lexicon_hash(self._substitutions)
        later = {
            "unit": (self.unit, "word"),
            "notation": (self.notation, "plain"),
            "optional_words": (self.optional_words, "literal"),
            "fragments": (self.fragments, "literal"),
        }
        described |= {name: value for name, (value, first) in later.items() if value != first}
        canonical = json.dumps(described, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _is_optional(word: str) -> bool:
    return len(word) > len("()") and word.startswith("(") and word.endswith(")")
