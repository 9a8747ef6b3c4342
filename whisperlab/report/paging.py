"""Which utterances stand on which page of a report that is too large for one file.

Owns the order, the size of a page and the names of the files. It does not know what a row looks like.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring_ascii

from whisperlab.metric.alignment import Edit, count
from whisperlab.report.markup import Markup, element
from whisperlab.utterance import Outcome

MAX_PAGE_BYTES = 10_000_000
"""Rows of one page as JSON, about: 15,000 utterances of 20 words. A browser opens it in a second."""

ROW_BYTES = 300
"""Keys, id, times and slices of a row; its texts stand in it twice, raw and aligned."""


def paged(
    outcomes: Sequence[Outcome],
    alignments: Mapping[str, tuple[Edit, ...]],
    max_bytes: int = MAX_PAGE_BYTES,
) -> list[Sequence[Outcome]]:
    """Returns the outcomes as they are when one page holds them, else page by page, worst first.

    Without a text is worst, then many errors, then a high rate.
    """
    sizes = {outcome.id: _size(outcome) for outcome in outcomes}
    if sum(sizes.values()) <= max_bytes:
        return [outcomes]
    pages: list[list[Outcome]] = [[]]
    room = max_bytes
    for outcome in sorted(outcomes, key=lambda one: _goodness(one, alignments.get(one.id))):
        if pages[-1] and sizes[outcome.id] > room:
            pages.append([])
            room = max_bytes
        pages[-1].append(outcome)
        room -= sizes[outcome.id]
    return [*pages]


_written = encode_basestring_ascii
"""A text as JSON writes it."""


def _size(outcome: Outcome) -> int:
    return ROW_BYTES + 2 * sum(map(len, map(_written, (outcome.reference, outcome.text))))


def _goodness(outcome: Outcome, edits: tuple[Edit, ...] | None) -> tuple[int, float, float, str]:
    if edits is None or not outcome.state.scored:
        return (0, 0.0, 0.0, outcome.id)
    counts = count(edits)
    return (1, -counts.errors, -(counts.rate or 0.0), outcome.id)


def page_name(report: str, number: int) -> str:
    """Returns the file of a page.

    >>> page_name("report.html", 1), page_name("report.html", 3)
    ('report.html', 'report-3.html')
    """
    stem, _, suffix = report.rpartition(".")
    return report if number == 1 else f"{stem}-{number}.{suffix}"


def page_links(report: str, pages: Sequence[Sequence[Outcome]], number: int) -> Markup:
    """Returns what says which utterances stand here, and the way to the others; nothing for one page."""
    if len(pages) == 1:
        return Markup("")
    first = 1 + sum(len(page) for page in pages[: number - 1])
    last, total = first + len(pages[number - 1]) - 1, sum(len(page) for page in pages)
    links = [
        element("a", str(other), href=f"{page_name(report, other)}#utterances")
        if other != number
        else element("b", str(other), aria_current="page")
        for other in range(1, len(pages) + 1)
    ]
    said = f"Utterances {first:,} to {last:,} of {total:,}, worst first. Search and filters see this page."
    return element(
        "div",
        element("p", said, class_="detail"),
        element("nav", *links, aria_label="Pages of utterances"),
        class_="pages",
    )
