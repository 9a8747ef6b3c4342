"""The fenced blocks of a document, and whether an output is what a block shows.

A block is run where its language is ``sh`` or ``python``; the block behind it, with nothing but an
empty line between, is what it must print. ``<number>`` and the like stand for what differs each
time. ``http`` blocks show a part of the headers, and the body.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PLACEHOLDERS = {
    "<number>": r"-?\d+(?:\.\d+)?(?:e-?\d+)?",
    "<duration>": r"\d+ms|(?:\d+m)?[\d.]+s",
    "<hash>": r"[0-9a-f]{16}",
    "<id>": r"[0-9a-f]{32}",
    "<anything>": r"(?s:.+)",
}

_BLOCK = re.compile(r"^```(\w+)(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: ``name`` is the second word behind the fence."""

    language: str
    name: str | None
    content: str
    line: int
    expected: Block | None = None


def blocks(path: Path) -> list[Block]:
    """Returns the blocks of a document, outputs with the block that prints them."""
    text = path.read_text(encoding="utf-8")
    found: list[Block] = []
    end = 0
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        block = Block(match[1], match[2], match[3], line)
        runs = found and found[-1].language in ("sh", "python")
        if (
            runs
            and block.language not in ("sh", "python")
            and not text[end : match.start()].strip()
        ):
            before = found.pop()
            block = Block(before.language, before.name, before.content, before.line, block)
        found.append(block)
        end = match.end()
    return found


def difference(shown: Block, output: str) -> str | None:
    """Returns how an output differs from what is shown; ``None`` if it does not."""
    if shown.language == "http":
        return _http_difference(shown.content, output)
    tidy = _without_space if shown.language == "json" else str.rstrip
    return _difference(tidy(shown.content), tidy(output))


def _http_difference(shown: str, output: str) -> str | None:
    head, _, body = output.replace("\r\n", "\n").rpartition("HTTP/1.1 ")[2].partition("\n\n")
    shown_head, _, shown_body = shown.removeprefix("HTTP/1.1 ").partition("\n\n")
    lines = head.split("\n")
    wrong = [
        f"no header like {line!r} in {lines}"
        for line in shown_head.strip().split("\n")
        if all(_difference(line, actual) for actual in lines)
    ]
    unlike = _difference(_without_space(shown_body), _without_space(body))
    return "; ".join([*wrong, *([unlike] if unlike else [])]) or None


def _without_space(text: str) -> str:
    """Returns JSON without the space between its parts."""
    return re.sub(r'("(?:[^"\\]|\\.)*")|\s+', lambda match: match[1] or "", text)


def _difference(shown: str, output: str) -> str | None:
    pattern = re.escape(shown)
    for placeholder, values in PLACEHOLDERS.items():
        pattern = pattern.replace(re.escape(placeholder), f"(?:{values})")
    return None if re.fullmatch(pattern, output) else f"shown {shown!r}, got {output!r}"
