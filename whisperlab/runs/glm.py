"""NIST's global mapping files: string rewriting rules that both transcripts go through before scoring.

Owns the format and the rewriting. It does not know transcripts or scores. A file (comments start with
what the first line starts with; a section may be for one input alone)::

    ;; rules of the 2003 evaluation
    * copy_no_hit = 'T'
    * case_sensitive = 'F'
    UH-HUH  =>  %BCACK     / [ ] __ [ ]
    [HE'S] => [{HE IS / HE HAS}] / [ ] __ [ ]
    ;; INPUT_DEPENDENT_APPLICATION = "hyp"
    GONNA => GOING TO / [ ] __ [ ]

A cursor walks through the text; the first rule whose left side stands at it, between its contexts,
writes its right side and moves the cursor behind the left one. Contexts are those of the input.

Source: NIST SCTK 2.4, ``doc/GLMRules.txt``, ``src/rfilter1`` and ``src/csrfilt`` (public domain).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from whisperlab.errors import DatasetError
from whisperlab.runs.text_file import NIST, read_text

ARROW, SETTING = "=>", "*"
FALSE = frozenset({"F", "FALSE", "NO"})

_SECTION = re.compile(r'\s*;;\s+INPUT_DEPENDENT_APPLICATION\s*=\s*"([^"]*)"', re.IGNORECASE)
_SETTING = re.compile(r"\*\s*(\w+).*?[\"']([^\"']*)[\"']")
_FIELD = r"\[[^\]]*\]|\"[^\"]*\"|[^\s\[\]\"_]*"
_CONTEXT = re.compile(rf"/\s*(?P<left>{_FIELD})\s*_+\s*(?P<right>{_FIELD})\s*$")


@dataclass(frozen=True, slots=True)
class RewritingRule:
    """``given`` becomes ``written`` where ``before`` and ``behind`` stand around it."""

    given: str
    written: str
    before: str = ""
    behind: str = ""


@dataclass(frozen=True)
class GlobalMap:
    """The rules of a file in order, for one kind of input."""

    rules: Sequence[RewritingRule]
    case_sensitive: bool = False
    copies_the_rest: bool = True

    def apply(self, text: str) -> str:
        """Returns the text rewritten, with single spaces between words and none at the ends.

        >>> rule = RewritingRule("GONNA", "GOING TO", " ", " ")
        >>> GlobalMap([rule]).apply("I'm gonna go")
        "I'm GOING TO go"
        """
        padded = f" {' '.join(text.split())} "
        compared = self._compared(padded)
        written: list[str] = []
        position = 0
        while position < len(padded):
            rule = self._first_at(compared, position)
            if rule is not None:
                written.append(rule.written)
                position += len(rule.given)
            else:
                written.append(padded[position] if self.copies_the_rest else "")
                position += 1
        return " ".join("".join(written).split())

    def _first_at(self, compared: str, position: int) -> RewritingRule | None:
        for given, before, behind, rule in self._by_first.get(compared[position], ()):
            end = position + len(given)
            if (
                compared.startswith(given, position)
                and compared.startswith(behind, end)
                and compared.endswith(before, 0, position)
            ):
                return rule
        return None

    def _compared(self, text: str) -> str:
        return text if self.case_sensitive else "".join(_upper(character) for character in text)

    @cached_property
    def _by_first(self) -> Mapping[str, Sequence[tuple[str, str, str, RewritingRule]]]:
        found: dict[str, list[tuple[str, str, str, RewritingRule]]] = {}
        for rule in self.rules:
            given, before, behind = map(self._compared, (rule.given, rule.before, rule.behind))
            found.setdefault(given[0], []).append((given, before, behind, rule))
        return found


def _upper(character: str) -> str:
    """Returns a letter in upper case where that is one letter again, so that places stay the same."""
    upper = character.upper()
    return upper if len(upper) == 1 else character


def read_glm(path: Path, kinds: Sequence[str]) -> GlobalMap:
    """Returns the rules of a file that apply to an input of these kinds (``ref``, ``stm``, ...).

    Raises:
        DatasetError: the file cannot be read, or a line is no rule.
    """
    rules: list[RewritingRule] = []
    settings = {"CASE_SENSITIVE": "F", "COPY_NO_HIT": "T", "FORMAT": "NIST1"}
    lines = read_text(path, NIST).splitlines()
    comment = lines[0].split()[0] if lines and lines[0].split() else ";;"
    applies = True
    for number, line in enumerate(lines, start=1):
        section = _SECTION.match(line)
        if section is not None:
            applies = any(re.search(section[1], kind, re.IGNORECASE) for kind in kinds)
        content = line.split(comment, 1)[0].strip()
        if not content or not applies:
            continue
        setting = _SETTING.match(content)
        if content.startswith(SETTING) and ARROW not in content and setting is not None:
            settings[setting[1].upper()] = setting[2].upper()
        else:
            rules.append(_rule(content, f"{path}:{number}"))
    if settings["FORMAT"] not in ("NIST1", "NIST2"):
        raise DatasetError(f"{path}: expected format NIST1 or NIST2, got {settings['FORMAT']}")
    return GlobalMap(
        rules, settings["CASE_SENSITIVE"] not in FALSE, settings["COPY_NO_HIT"] not in FALSE
    )


def glm_hash(path: Path) -> str:
    """Returns the first 16 hex digits of SHA-256 over the file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _rule(content: str, place: str) -> RewritingRule:
    given, arrow, rest = content.partition(ARROW)
    context = _CONTEXT.search(rest)
    written = rest[: context.start()] if context is not None else rest
    rule = RewritingRule(
        _unwrapped(given),
        _unwrapped(written),
        _unwrapped(context["left"]) if context is not None else "",
        _unwrapped(context["right"]) if context is not None else "",
    )
    if not arrow or not rule.given:
        raise DatasetError(f"{place}: expected A => B or A => B / C __ D, got {content:.60}")
    return rule


def _unwrapped(field: str) -> str:
    field = field.strip()
    wrapped = len(field) > 1 and (field[0], field[-1]) in {("[", "]"), ('"', '"')}
    return field[1:-1] if wrapped else field
