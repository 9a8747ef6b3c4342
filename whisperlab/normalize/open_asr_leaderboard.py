"""The English normaliser of the Open ASR Leaderboard, as its repository had it on 21 August 2026.

Owns what the leaderboard changed in Whisper's rules: more fillers, a possessive 's that stays, fixed
compounds, names and acronyms. It does not know its word lists: they are read from a file.

Source: huggingface/open_asr_leaderboard ``normalizer/normalizer.py`` at d1e99b2 (Apache-2.0),
rewritten.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from whisperlab.errors import ConfigError
from whisperlab.normalize import english_rules
from whisperlab.normalize.english_numbers import write_numbers
from whisperlab.normalize.lexicon import AnyPath, LexiconFile, lexicon_hash
from whisperlab.normalize.protocol import Rule, apply_rules

FILLERS = (
    *("hmm", "mm", "mhm", "mmm", "uh", "um", "ah", "aha", "ahh", "ahm", "eh", "ehehe", "em", "hm"),
    *("huh", "hum", "mhum", "uhm", "umm", "uhuh"),
)

_EVERY_S, _PRONOUNS_S = (
    r"'s\b",
    r"\b(it|he|she|what|that|who|here|there|how|when|where|why|this)'s\b",
)
EXPANSIONS: Mapping[str, str] = {
    (_PRONOUNS_S if pattern == _EVERY_S else pattern): (
        r"\1 is" if pattern == _EVERY_S else expansion
    )
    for pattern, expansion in english_rules.CONTRACTIONS_AND_TITLES.items()
}
"""Whisper's expansions, but "'s" is "is" only behind a pronoun: "Brown's" keeps its s."""

ARTICLE_AND_PRONOUN = ("a", "i")
MIN_LETTERS = 2
MIN_LETTERS_WITH_ARTICLE_OR_PRONOUN = 3
"""Single letters in a row that make an acronym: "5 g" does, "a b" may be two words."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class OpenAsrLeaderboard:
    """The leaderboard's ``EnglishTextNormalizer``; ``lexicon`` is a file with its three tables.

    The tables are ``english_spelling_normalizer`` and ``english_name_normalizer`` (word to word) and
    ``english_compound_normalizer`` (regular expression to text).
    """

    lexicon: AnyPath

    def __call__(self, text: str) -> str:
        """Returns the text as the leaderboard scores it."""
        return apply_rules(self.rules, text)

    @cached_property
    def rules(self) -> Sequence[Rule]:
        """The rules in their order; reads the lexicon."""
        return (
            english_rules.lower_case(),
            english_rules.brackets(),
            english_rules.fillers(FILLERS),
            english_rules.contractions(EXPANSIONS),
            english_rules.punctuation(),
            _compounds(self._tables["compound"].table),
            Rule("numbers", write_numbers),
            english_rules.replace_words("spelling", self._tables["spelling"].table),
            english_rules.replace_words("names", self._tables["name"].table),
            Rule("acronyms", join_acronyms),
            english_rules.stray_signs(),
        )

    @cached_property
    def _tables(self) -> Mapping[str, LexiconFile]:
        return {
            name: LexiconFile(self.lexicon, f"english_{name}_normalizer")
            for name in ("compound", "name", "spelling")
        }

    def identity(self) -> Mapping[str, Any]:
        """Returns the rules, by source and revision, and the hashes of the three tables."""
        return {
            "rules": "huggingface/open_asr_leaderboard EnglishTextNormalizer",
            "revision": "d1e99b2",
            "lexicon": {name: lexicon_hash(table) for name, table in self._tables.items()},
        }


def _compounds(table: Mapping[str, str]) -> Rule:
    try:
        compiled = [(re.compile(pattern), joined) for pattern, joined in table.items()]
    except re.error as error:
        raise ConfigError(
            f"lexicon [english_compound_normalizer]: expected regular expressions, got "
            f"{error.pattern!r:.80}: {error.msg}; mend it"
        ) from error
    any_of_them = re.compile("|".join(f"(?:{pattern})" for pattern in table) or "(?!)")

    def join(text: str) -> str:
        if any_of_them.search(text):  # one search instead of sixteen for most texts
            for pattern, joined in compiled:
                text = pattern.sub(joined, text)
        return text

    return Rule("fixed compounds", join)


def join_acronyms(text: str) -> str:
    """Returns the text with single letters and figures in a row as one word.

    >>> join_acronyms("the b b c on 5 g"), join_acronyms("a b"), join_acronyms("i b m")
    ('the bbc on 5g', 'a b', 'ibm')
    """
    written: list[str] = []
    run: list[str] = []
    for word in [*text.split(), ""]:
        if len(word) == 1 and word.isalnum():
            run.append(word)
            continue
        ambiguous = any(letter in ARTICLE_AND_PRONOUN for letter in run)
        needed = MIN_LETTERS_WITH_ARTICLE_OR_PRONOUN if ambiguous else MIN_LETTERS
        written += ["".join(run)] if len(run) >= needed else run
        run = []
        written.append(word)
    return " ".join(written[:-1])
