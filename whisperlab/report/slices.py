"""WER by slice: one table a column, worst value first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from whisperlab.experiment.result import SliceScore
from whisperlab.report import notation
from whisperlab.report.markup import Markup, element, scrolled

OPEN_UP_TO_VALUES = 12
"""A column with more values starts folded, so that 150 speakers do not hide what comes after."""

HEADINGS = ("", "WER", "95 % interval", "", "utterances", "words", "S", "I", "D")


def slices(scores: Sequence[SliceScore]) -> Markup:
    """Returns the section; nothing when there are no slices."""
    if not scores:
        return Markup("")
    by_column = groupby(sorted(scores, key=lambda score: score.column), lambda score: score.column)
    return element(
        "section",
        element("h2", "WER by slice"),
        *[_column(column, list(members)) for column, members in by_column],
        id="slices",
    )


def _column(column: str, scores: list[SliceScore]) -> Markup:
    # worst first; undefined rates last, then by value
    scores.sort(key=lambda score: (-(_value(score)), score.value))
    ceiling = max(max(_value(score), score.rate.high or 0.0) for score in scores)
    return value_table(HEADINGS, [_row(score, ceiling) for score in scores], column)


def value_table(headings: Sequence[str], rows: Sequence[Markup], summary: str) -> Markup:
    """Returns the table of one column's values, a row a value, folded when there are many."""
    table = element(
        "table",
        element("thead", element("tr", *[element("th", heading) for heading in headings])),
        element("tbody", *rows),
        class_="slices",
    )
    opened = {"open": ""} if len(rows) <= OPEN_UP_TO_VALUES else {}
    count = element("span", f" {notation.plural(len(rows), 'value')}", class_="detail")
    return element(
        "details",
        element("summary", summary, count),
        scrolled(summary, table),
        **opened,
    )


def value_heading(column: str, value: str) -> Markup:
    """Returns the first cell of a slice's row: its value, which shows its utterances when pressed."""
    return element(
        "th",
        element(
            "button",
            value or "(empty)",
            type="button",
            data_column=column,
            data_value=value,
            title="Show these utterances",
        ),
    )


def _value(score: SliceScore) -> float:
    return -1.0 if score.rate.value is None else score.rate.value


def _row(score: SliceScore, ceiling: float) -> Markup:
    rate = score.rate
    counts = (
        score.utterances,
        rate.reference_words,
        rate.substitutions,
        rate.insertions,
        rate.deletions,
    )
    return element(
        "tr",
        value_heading(score.column, score.value),
        element("td", notation.percent(rate.value), class_="wer"),
        element("td", notation.interval(rate.low, rate.high)),
        element("td", _range(score, ceiling), class_="range"),
        *[element("td", notation.count(number)) for number in counts],
    )


def _range(score: SliceScore, ceiling: float) -> Markup:
    """Returns the interval as a band and the rate as a dot on a track from 0 to ``ceiling``."""
    rate = score.rate
    if rate.value is None or ceiling <= 0:
        return Markup("")
    band = Markup("")
    if rate.low is not None and rate.high is not None:
        left, width = 100 * rate.low / ceiling, 100 * (rate.high - rate.low) / ceiling
        band = element("span", class_="band", style=f"left:{left:.2f}%;width:{width:.2f}%")
    dot = element("span", class_="dot", style=f"left:{100 * rate.value / ceiling:.2f}%")
    return element("span", band, dot, class_="track", aria_hidden="true")
