"""The difference by slice: one table a column, the value that got worse most first."""

from __future__ import annotations

from itertools import groupby

from whisperlab.experiment.comparison import Comparison, SliceDifference
from whisperlab.report import notation
from whisperlab.report.markup import Markup, element
from whisperlab.report.slices import value_heading, value_table


def slices(comparison: Comparison) -> Markup:
    """Returns the section; nothing when there are no slices."""
    parts = [
        _column(found.label, column, list(members))
        for found in comparison.differences
        for column, members in groupby(found.slices, lambda part: part.column)
    ]
    if not parts:
        return Markup("")
    note = (
        "Each slice is tested by itself, without correction: of twenty slices without a "
        "difference one is expected to have p below 0.05."
    )
    return element(
        "section",
        element("h2", "By slice"),
        element("p", note, class_="detail note"),
        *parts,
        id="slices",
    )


def _column(label: str, column: str, members: list[SliceDifference]) -> Markup:
    # what got worse most stands first; undefined differences last, then by value
    members.sort(
        key=lambda part: (
            (0, -part.difference.value, part.value) if part.difference else (1, 0.0, part.value)
        )
    )
    reach = max(
        (
            max(abs(part.difference.low), abs(part.difference.high), abs(part.difference.value))
            for part in members
            if part.difference
        ),
        default=0.0,
    )
    headings = ("", "A", label, "difference", "95 % interval", "", "", "utterances")
    rows = [_slice(part, reach) for part in members]
    return value_table(headings, rows, f"{column}, {label} minus A")


def _slice(part: SliceDifference, reach: float) -> Markup:
    tested = part.difference
    interval = (
        f"{notation.points(tested.low)} to {notation.points(tested.high)}"
        if tested
        else notation.DASH
    )
    return element(
        "tr",
        value_heading(part.column, part.value),
        element("td", notation.percent(part.first)),
        element("td", notation.percent(part.second)),
        element("td", notation.points(tested.value if tested else None), class_="wer"),
        element("td", interval),
        element("td", _range(part, reach), class_="range"),
        element("td", notation.p_value(tested.p) if tested else ""),
        element("td", notation.count(part.utterances)),
    )


def _range(part: SliceDifference, reach: float) -> Markup:
    """Returns the interval as a band and the difference as a dot, zero in the middle of the track."""
    tested = part.difference
    if tested is None or not reach:
        return Markup("")

    def place(value: float) -> float:
        return 50 + 50 * value / reach

    band = element(
        "span",
        class_="band",
        style=f"left:{place(tested.low):.2f}%;width:{place(tested.high) - place(tested.low):.2f}%",
    )
    dot = element("span", class_="dot", style=f"left:{place(tested.value):.2f}%")
    zero = element("span", class_="zero")
    return element("span", zero, band, dot, class_="track", aria_hidden="true")
