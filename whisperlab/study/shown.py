"""The terminal's tables as HTML, for a notebook's cell.

Owns the translation alone: what stands in a table is `whisperlab.report`'s.
"""

from __future__ import annotations

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from whisperlab.report.markup import Markup, element, joined

CELL = "padding:0.2em 0.8em 0.2em 0; vertical-align:top; white-space:pre-line; text-align:{align}"
"""Every cell's style: a notebook's own striping and right alignment suit numbers, not sentences."""


def shown(*parts: RenderableType) -> Markup:
    """Returns tables and lines of text, one below the other.

    >>> table = Table("", "WER")
    >>> table.add_row("A < B", Text("1.7 %"))
    >>> "A &lt; B" in shown(table, "as good") and "<p>as good</p>" in shown("as good")
    True
    """
    return element("div", *(_one(part) for part in parts), class_="whisperlab")


def _one(part: RenderableType) -> Markup:
    if not isinstance(part, Table):
        return element("p", _plain(part))
    rows = zip(*([_plain(cell) for cell in column.cells] for column in part.columns), strict=True)
    aligned = [column.justify for column in part.columns]
    body = [
        element("tr", *(element("td", cell, style=CELL.format(align=align))
                        for cell, align in zip(row, aligned, strict=True)))
        for row in rows
    ]  # fmt: skip
    around = []
    if part.title is not None:
        around.append(element("caption", _plain(part.title), style="text-align:left"))
    if part.show_header:
        heads = [
            element("th", _plain(column.header), scope="col", style=CELL.format(align=align))
            for column, align in zip(part.columns, aligned, strict=True)
        ]
        around.append(element("thead", element("tr", *heads)))
    table = element("table", *around, element("tbody", *body))
    return table if part.caption is None else joined(table, element("p", _plain(part.caption)))


def _plain(part: RenderableType) -> str:
    """Returns the characters of a cell without their styles."""
    if isinstance(part, str):
        return Text.from_markup(part).plain
    if isinstance(part, Text):
        return part.plain
    console = Console(width=10_000, no_color=True)
    with console.capture() as captured:
        console.print(part)
    return captured.get().strip()
