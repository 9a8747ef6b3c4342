"""The robustness matrix as people read it: Markdown for the terminal, a page with colours, JSON.

Owns the three forms. matrix.json (rates and differences are fractions, a difference is the cell minus
its row's first condition)::

    {"schema": 1, "metric": "wer", "profile": {"name", "hash"}, "level": 0.95, "utterances": 50,
     "conditions": ["clean", "white noise 10 dB"], "rows": [{"name": "pocketsphinx", "configuration_hash",
       "cells": {"clean": {"run", "rate": {...}, "difference": null}, "white noise 10 dB": {..., "difference":
         {"value", "low", "high", "p", "level", "resamples", "units", "effective_units"}}}}]}
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from whisperlab.experiment.matrix import Cell, Matrix
from whisperlab.report import notation
from whisperlab.report.document import document, write_pages
from whisperlab.report.markdown import markdown_table
from whisperlab.report.markup import Markup, element, joined, scrolled
from whisperlab.report.run_card import system
from whisperlab.report.table import configuration_differences

PAGE, JSON = "matrix.html", "matrix.json"
SCHEMA = 1
"""Number of matrix.json's schema."""

NOT_OF_A_ROW = frozenset({"perturb", "order", "mode", "seed", "batch_size"})
"""Settings that tell runs apart and not configurations."""

HOTTEST = 100.0
"""Per cent of the colour at the highest rate of the matrix; 0 at the lowest."""


def row_names(found: Matrix) -> list[str]:
    """Returns each row's name: what recognised, and the settings in which the rows differ."""
    configs = [
        {key: value for key, value in row.card.config.items() if key not in NOT_OF_A_ROW}
        for row in found.rows
    ]
    differing = configuration_differences(configs)
    systems = [system(row.card) for row in found.rows]
    return [
        ", ".join(
            dict.fromkeys(
                [name, *[values[number] for values in differing.values() if values[number] != name]]
            )
        )
        for number, name in enumerate(systems)
    ]


def markdown(found: Matrix) -> str:
    """Returns the matrix as a table with what its cells mean below it."""
    rows = [
        [name, *[_line(row.cells.get(condition), found) for condition in found.conditions]]
        for name, row in zip(row_names(found), found.rows, strict=True)
    ]
    return f"{markdown_table(['', *found.conditions], rows)}\n\n{_legend(found, '**')}"


def write_matrix(found: Matrix, folder: Path) -> Path:
    """Writes ``matrix.html`` and ``matrix.json`` into ``folder``; returns the page's path.

    Raises:
        WriteError: the folder cannot be written.
    """
    return write_pages(folder, PAGE, page(found), JSON, matrix_to_json(found))


def matrix_to_json(found: Matrix) -> dict[str, Any]:
    """Returns the content of matrix.json."""
    return {
        "schema": SCHEMA,
        "metric": found.choices.metric,
        "profile": {"name": found.profile.name, "hash": found.profile.hash},
        "level": found.choices.level,
        "utterances": found.utterances,
        "conditions": list(found.conditions),
        "rows": [
            {
                "name": name,
                "configuration_hash": row.configuration_hash,
                "cells": {
                    condition: {
                        "run": str(cell.run.folder),
                        "rate": asdict(cell.rate),
                        "difference": None if cell.difference is None else asdict(cell.difference),
                    }
                    for condition, cell in row.cells.items()
                },
            }
            for name, row in zip(row_names(found), found.rows, strict=True)
        ],
    }


def page(found: Matrix) -> str:
    """Returns the whole page."""
    title = f"{found.choices.metric.upper()} by configuration and condition"
    head = element(
        "tr", element("th", ""), *[element("th", condition) for condition in found.conditions]
    )
    rows = [
        element(
            "tr",
            element("th", name),
            *[_cell(row.cells.get(condition), found) for condition in found.conditions],
        )
        for name, row in zip(row_names(found), found.rows, strict=True)
    ]
    table = element("table", element("thead", head), element("tbody", *rows), class_="matrix")
    body = element(
        "body",
        element(
            "header",
            element(
                "div",
                element("h1", title),
                element("p", _legend(found, "underlined"), class_="detail"),
            ),
        ),
        element(
            "main", element("section", scrolled("Rates", table, class_="card heat"), id="matrix")
        ),
    )
    return document(title, body, styles=("report.css", "matrix.css"))


def _legend(found: Matrix, lowest: str) -> str:
    level = f"{100 * found.choices.level:g} %"
    many = len(found.rows) > 1
    return (
        f"{found.choices.metric.upper()} with its {level} interval; behind it the difference to "
        f"{found.conditions[0]} in points, paired over the same utterances, * where its {level} "
        f"interval excludes zero{f'; {lowest} the lowest of a column' if many else ''}. "
        f"{notation.plural(found.utterances, 'utterance')}, profile {found.profile.name}."
    )


def _is_lowest(cell: Cell, found: Matrix) -> bool:
    """True for the lowest rate of a column with several."""
    condition = next(
        name for row in found.rows for name, other in row.cells.items() if other is cell
    )
    column = [row.cells[condition].rate.value for row in found.rows if condition in row.cells]
    known = [value for value in column if value is not None]
    return len(known) > 1 and cell.rate.value == min(known)


def _line(cell: Cell | None, found: Matrix) -> str:
    if cell is None:
        return notation.DASH
    value = notation.percent(cell.rate.value)
    if _is_lowest(cell, found):
        value = f"**{value}**"
    return " ".join([value, *_details(cell)])


def _details(cell: Cell) -> Iterator[str]:
    rate = cell.rate
    if rate.low is not None and rate.high is not None:
        yield f"[{100 * rate.low:.1f}, {100 * rate.high:.1f}]"
    if cell.difference is not None:
        yield notation.points(cell.difference.value) + ("*" if _shown(cell) else "")
    tally = cell.run.scores.utterances
    if tally.scored < tally.total:
        yield f"({tally.total - tally.scored} without text)"


def _shown(cell: Cell) -> bool:
    tested = cell.difference
    return tested is not None and tested.p <= 1 - tested.level


def _cell(cell: Cell | None, found: Matrix) -> Markup:
    if cell is None:
        return element("td", notation.DASH)
    value = notation.percent(cell.rate.value)
    heat = f"--heat: {_heat(cell, found):.0f}%"
    tested = cell.difference
    bounds = ""
    if tested is not None:
        bounds = (
            f"{notation.points(tested.low)} to {notation.points(tested.high)} points, "
            f"{notation.p_value(tested.p)}"
        )
    details = [element("small", detail) for detail in _details(cell)]
    name = "lowest" if _is_lowest(cell, found) else "rate"
    return element(
        "td", joined(element("b", value, class_=name), *details), style=heat, title=bounds
    )


def _heat(cell: Cell, found: Matrix) -> float:
    """Returns where the cell's rate lies between the lowest and the highest of the matrix, in per cent."""
    values = [
        other.rate.value
        for row in found.rows
        for other in row.cells.values()
        if other.rate.value is not None
    ]
    if cell.rate.value is None or max(values) == min(values):
        return 0.0
    return HOTTEST * (cell.rate.value - min(values)) / (max(values) - min(values))
