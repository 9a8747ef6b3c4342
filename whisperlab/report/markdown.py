"""Tables in Markdown: for terminals, readmes and issues alike.

Owns the form: columns in line, the first to the left, the others to the right.
"""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns the table; bars and line ends inside a cell cannot break it.

    >>> print(markdown_table(["", "clean"], [["tiny", "12.00 %"], ["a|b", "9.00 %"]]))
    |      |   clean |
    |:-----|--------:|
    | tiny | 12.00 % |
    | a¦b  |  9.00 % |
    """
    cells = [[_flat(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    lines = [
        "| "
        + " | ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in cells
    ]
    rule = "|" + "|".join(
        f"{'-' * (width + 1)}:" if number else f":{'-' * (width + 1)}"
        for number, width in enumerate(widths)
    )
    return "\n".join([lines[0], f"{rule}|", *lines[1:]])


def _flat(cell: str) -> str:
    return " ".join(cell.split()).replace("|", "¦")
