"""Invariance as people read it: Markdown for the terminal, a page with the changed texts, JSON.

Owns the three forms. invariance.json (rates, shares and differences are fractions)::

    {"schema": 1, "metric": "wer", "profile": {"name", "hash"}, "baseline": {"name", "run", "rate": {...}},
     "circumstances": [{"name": "batch_8", "must_equal": true, "verdict": "violated", "run", "utterances": 24,
       "changed_share": 0.125, "rate": {...}, "difference": {"value", "low", "high", "p", ...}, "newly_lost": [],
       "changed": [{"id", "reference", "before", "after", "errors_before", "errors_after"}]}]}
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from whisperlab.experiment.invariance import Circumstance, Invariance, Verdict
from whisperlab.metric.paired import Difference
from whisperlab.report import notation
from whisperlab.report.document import document, write_pages
from whisperlab.report.markdown import markdown_table
from whisperlab.report.markup import Markup, element, scrolled
from whisperlab.report.run_card import system

PAGE, JSON = "invariance.html", "invariance.json"
SCHEMA = 1
"""Number of invariance.json's schema."""

SPOKEN = {
    Verdict.INVARIANT: "invariant",
    Verdict.VIOLATED: "VIOLATED: must not change",
    Verdict.STABLE: "stable: no difference shown",
    Verdict.SENSITIVE: "sensitive",
    Verdict.UNKNOWN: "unknown: too few utterances",
}
MOST_NAMED = 5
"""Changed utterances that the terminal names; the page has them all."""


def markdown(found: Invariance) -> str:
    """Returns the table, the names of changed utterances, and the conclusion."""
    metric = found.choices.metric.upper()
    headings = ("", "texts changed", metric, "difference", "verdict")
    first = (found.baseline, "", notation.percent(found.rate.value), "", "baseline")
    rows = [first, *[_row(one) for one in found.circumstances]]
    names = "\n".join(_named(found))
    return "\n\n".join(
        part for part in (markdown_table(headings, rows), names, conclusion(found)) if part
    )


def conclusion(found: Invariance) -> str:
    """Returns what it comes to, in one sentence."""
    if not found.violated:
        expected = [one.name for one in found.circumstances if one.must_equal]
        return f"No text changed that must not: {', '.join(expected) or 'nothing was to stay'}."
    return (
        "Texts changed that must not: "
        + ", ".join(
            f"{one.name} ({len(one.changed) + len(one.newly_lost)} of {one.utterances})"
            for one in found.violated
        )
        + ". Look for padding that is heard, state between utterances, or rounding that depends on the batch."
    )


def write_invariance(found: Invariance, folder: Path) -> Path:
    """Writes ``invariance.html`` and ``invariance.json`` into ``folder``; returns the page's path.

    Raises:
        WriteError: the folder cannot be written.
    """
    return write_pages(folder, PAGE, page(found), JSON, invariance_to_json(found))


def invariance_to_json(found: Invariance) -> dict[str, Any]:
    """Returns the content of invariance.json."""
    return {
        "schema": SCHEMA,
        "metric": found.choices.metric,
        "profile": {"name": found.profile.name, "hash": found.profile.hash},
        "baseline": {
            "name": found.baseline,
            "run": str(found.run.folder),
            "rate": asdict(found.rate),
        },
        "circumstances": [
            {
                "name": one.name,
                "must_equal": one.must_equal,
                "verdict": one.verdict.value,
                "run": str(one.run.folder),
                "utterances": one.utterances,
                "changed_share": one.share,
                "rate": asdict(one.rate),
                "difference": None if one.difference is None else asdict(one.difference),
                "newly_lost": list(one.newly_lost),
                "changed": [asdict(each) for each in one.changed],
            }
            for one in found.circumstances
        ],
    }


def page(found: Invariance) -> str:
    """Returns the whole page."""
    title = f"Invariance of {system(found.run.card)}"
    facts = (
        f"every circumstance against {found.baseline} · "
        f"{notation.plural(len(found.run.outcomes), 'utterance')} · scored under {found.profile.name}"
    )
    details = [_changed(one) for one in found.circumstances if one.changed or one.newly_lost]
    body = element(
        "body",
        element(
            "header", element("div", element("h1", title), element("p", facts, class_="detail"))
        ),
        element(
            "main",
            element(
                "section",
                element("h2", "What changed"),
                element("p", conclusion(found), class_="note"),
                scrolled("Verdicts", _table(found), class_="card heat"),
                id="circumstances",
            ),
            element("section", element("h2", "Changed texts"), *details, id="changed")
            if details
            else "",
        ),
    )
    return document(title, body, styles=("report.css", "comparison.css", "matrix.css"))


def _share(one: Circumstance) -> str:
    lost = f", {len(one.newly_lost)} lost" if one.newly_lost else ""
    return f"{len(one.changed)} of {one.utterances} ({notation.percent(one.share)}){lost}"


def _tested(tested: Difference | None) -> str:
    if tested is None:
        return notation.DASH
    return (
        f"{notation.points(tested.value)} [{notation.points(tested.low)}, "
        f"{notation.points(tested.high)}]"
    )


def _row(one: Circumstance) -> tuple[str, ...]:
    return (
        one.name,
        _share(one),
        notation.percent(one.rate.value),
        _tested(one.difference),
        SPOKEN[one.verdict],
    )


def _named(found: Invariance) -> Iterator[str]:
    for one in found.circumstances:
        ids = [each.id for each in one.changed] + [f"{id_} (lost)" for id_ in one.newly_lost]
        if ids:
            more = f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else ""
            yield f"- {one.name}: {', '.join(ids[:MOST_NAMED])}{more}"


def _table(found: Invariance) -> Markup:
    headings = (
        "",
        "may texts change?",
        "texts changed",
        found.choices.metric.upper(),
        "difference in points",
        "verdict",
    )
    first = element(
        "tr",
        element("th", found.baseline),
        element("td", ""),
        element("td", ""),
        element("td", notation.percent(found.rate.value)),
        element("td", ""),
        element("td", "baseline"),
    )
    rows = []
    for one in found.circumstances:
        name, share, rate, tested, said = _row(one)
        cells = ("no" if one.must_equal else "yes", share, rate, tested)
        verdict = element("td", said, class_=f"verdict verdict-{one.verdict.value}")
        rows.append(
            element("tr", element("th", name), *[element("td", cell) for cell in cells], verdict)
        )
    head = element("tr", *[element("th", heading) for heading in headings])
    return element(
        "table",
        element("thead", head),
        element("tbody", first, *rows),
        class_="matrix invariance",
    )


def _changed(one: Circumstance) -> Markup:
    headings = ("utterance", "said", "before", "after", "errors")
    rows = [
        element(
            "tr",
            element("th", each.id),
            element("td", each.reference),
            element("td", each.before or notation.DASH),
            element("td", each.after or notation.DASH),
            element("td", f"{each.errors_before} → {each.errors_after}"),
        )
        for each in one.changed
    ]
    rows += [
        element("tr", element("th", id_), element("td", "no text in this run", class_="none"))
        for id_ in one.newly_lost
    ]
    head = element("tr", *[element("th", heading) for heading in headings])
    return element(
        "details",
        element("summary", f"{one.name}: {_share(one)}"),
        scrolled(one.name, element("table", element("thead", head), element("tbody", *rows))),
        class_="card changed",
    )
