"""A search's result for people: the terminal's table, sentences, and a page in one file.

Owns the wording and the page. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from whisperlab.experiment.race_summary import RaceRow, SearchResult
from whisperlab.experiment.racing import Reason
from whisperlab.report import notation
from whisperlab.report.document import document, write
from whisperlab.report.markup import Markup, element

REPORT = "report.html"

HEADINGS = (
    "configuration", "state", "utt.", "WER %", "against the recommended", "odds", "RTFx",
    "p95", "memory", "hash",
)  # fmt: skip
NARROW = {"configuration": 24, "state": 11, "against the recommended": 14, "WER %": 12}
"""Columns of the terminal's table with the letters below which they do not go."""
ONLY_AS_OBJECTIVES = {"p95": "p95", "memory": "memory"}
PAGE_ONLY = frozenset({"hash"})
SHORT_HASH = 8
MOST_ODDS = 1e6
"""Above this nobody reads the digits."""
MOST_TOLD = 4
"""Configurations with failed utterances that a sentence names."""
MOST_ROWS = 40
"""Rows of the terminal's table; the page has all of them."""

CHART_WIDTH, ROW_HEIGHT, LABEL_WIDTH, MARGIN = 960, 22, 420, 12
LABEL_LETTERS = 56


def race_table(result: SearchResult) -> Table:
    """Returns the configurations, best first, one a row."""
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True)
    shown = [
        number
        for number, heading in enumerate(HEADINGS)
        if heading not in PAGE_ONLY
        and ONLY_AS_OBJECTIVES.get(heading, "wer") in (*result.objectives, "wer")
    ]
    for number in shown:
        heading = HEADINGS[number]
        table.add_column(
            heading,
            justify="right" if number > 1 else "left",
            overflow="fold",
            min_width=NARROW.get(heading),
        )
    for row in result.rows[:MOST_ROWS]:
        style = "bold" if row.recommended else "dim" if row.drop is not None else ""
        cells = _cells(row)
        table.add_row(*[Text(cells[number], style=style) for number in shown])
    if len(result.rows) > MOST_ROWS:
        table.caption = f"{len(result.rows) - MOST_ROWS} more in {REPORT}"
    return table


def _cells(row: RaceRow) -> list[str]:
    wer = notation.percent(row.wer).removesuffix(" %")
    if row.interval is not None:
        wer += f" [{100 * row.interval.low:.1f}, {100 * row.interval.high:.1f}]"
    against = ""
    if row.against is not None:
        low, high = notation.points(row.against.low), notation.points(row.against.high)
        against = f"{notation.points(row.against.value)} [{low}, {high}]"
    shown = row.drop is not None and row.drop.reason is not Reason.UNAFFORDABLE
    return [
        _named(row),
        row.state,
        notation.count(row.utterances),
        wer,
        against,
        _odds(row.drop.e_value) if row.drop is not None and shown else "",
        notation.factor(row.rtfx),
        notation.seconds(row.p95_seconds),
        notation.mebibytes(row.load_bytes),
        row.name[:SHORT_HASH],
    ]


def _odds(e_value: float) -> str:
    """Returns the evidence as odds.

    >>> _odds(24.3), _odds(5e30)
    ('24 : 1', '> 10⁶ : 1')
    """
    return f"{e_value:,.0f} : 1" if e_value <= MOST_ODDS else "> 10⁶ : 1"


def _named(row: RaceRow) -> str:
    return " ".join(row.overrides) or "as it stands"


def sentences(result: SearchResult) -> Iterator[str]:
    """Yields what the search found, how sure that is, what it took, and what to run next."""
    chosen = result.recommended
    if chosen is None:
        if not any(row.words for row in result.rows):
            why = "no utterance has reference words"
        elif all(row.failed == row.utterances for row in result.rows):
            why = "no utterance has a text"
        else:  # of the others' texts more than all words are wrong
            why = "the one with the fewest errors has no text at all"
        yield f"Nothing can be recommended: {why}."
        yield from _without_text(result)
        return
    yield f"Recommended: {_named(chosen)} ({chosen.name}), {_measured(chosen)}."
    yield from _without_text(result)
    yield from _evidence(result)
    hours = notation.seconds(result.audio_seconds)
    total = notation.count(len(result.rows))
    yield (
        f"Transcribed {hours} of audio in {notation.seconds(result.seconds)}: "
        f"{100 * result.share:.0f} % of running all {total} configurations over all "
        f"{notation.plural(result.utterances, 'utterance')}. {_ending(result)}"
    )
    if result.serve:
        yield f"Serve it: {result.serve}"
    yield f"Report: {result.folder / REPORT}"


def _without_text(result: SearchResult) -> Iterator[str]:
    """Yields how many utterances failed or timed out, and what became of the first."""
    failing = [row for row in result.rows if row.failed]
    if not failing:
        return
    told = ", ".join(
        f"{_named(row)} {row.failed} of {row.utterances}" for row in failing[:MOST_TOLD]
    )
    more = f" and {len(failing) - MOST_TOLD} more" if len(failing) > MOST_TOLD else ""
    yield (
        f"Utterances without a text, of which all their words count as errors: {told}{more}; the first: "
        f"{failing[0].first_failure}"
    )


def _measured(row: RaceRow) -> str:
    said = f"WER {notation.percent(row.wer)}"
    if row.interval is not None:
        said += f", 95 % interval {notation.interval(row.interval.low, row.interval.high)}"
    return f"{said}, over {notation.plural(row.utterances, 'utterance')}"


def _evidence(result: SearchResult) -> Iterator[str]:
    dropped = [row for row in result.rows if row.drop is not None]
    shown = [row for row in dropped if row.drop and row.drop.reason is not Reason.UNAFFORDABLE]
    if shown:
        yield (
            f"{notation.plural(len(shown), 'configuration')} shown to be worse or dominated; each of these "
            f"tests, however often it looks, errs with probability at most {100 * result.alpha:g} %."
        )
    if len(dropped) > len(shown):
        yield (
            f"{notation.plural(len(dropped) - len(shown), 'configuration')} set aside because the budget "
            "did not reach: behind when they left, but not shown to be worse."
        )
    others = [row for row in result.kept if not row.recommended]
    tolerance = notation.points(result.tolerance).lstrip("+")
    for row in others:
        if row.against is None:
            continue
        lead = -row.against.low
        near = "within" if lead <= result.tolerance else "beyond"
        if result.reason == "settled":
            near = "and shown to be within"
        yield (
            f"Not told apart: {_named(row)}, {notation.points(row.against.value)} points "
            f"({notation.points(row.against.low)} to {notation.points(row.against.high)}), {near} the "
            f"tolerance of {tolerance} for the recommended one."
        )


def _ending(result: SearchResult) -> str:
    return {
        "decided": "One configuration was left.",
        "settled": "The recommended one was shown to be within the tolerance of all that were left.",
        "data": "All utterances were heard.",
        "budget": "The budget ended it.",
    }[result.reason]


def write_race_report(result: SearchResult) -> Path:
    """Writes ``report.html`` into the search's folder and returns its path.

    Raises:
        WriteError: it cannot be written.
    """
    path = result.folder / REPORT
    write(path, race_page(result))
    return path


def race_page(result: SearchResult) -> str:
    """Returns the page: what was found, the chart, the table."""
    header = element(
        "header",
        element(
            "div",
            element("h1", "Search"),
            element(
                "p", f"{len(result.rows)} configurations raced, {result.folder}", class_="detail"
            ),
        ),
    )
    found = [element("p", sentence) for sentence in sentences(result)]
    body = element(
        "body",
        header,
        element(
            "main",
            element("section", element("h2", "What was found"), *found),
            element(
                "section",
                element("h2", "Error rates"),
                element(
                    "figure",
                    _chart(result),
                    element(
                        "figcaption",
                        "WER with its 95 % interval over the utterances that each heard; hollow: dropped.",
                    ),
                    class_="card",
                ),
            ),
            element("section", element("h2", "All configurations"), _page_table(result)),
        ),
    )
    return document("Search", body, styles=("report.css",))


def _page_table(result: SearchResult) -> Markup:
    head = element("tr", *[element("th", heading) for heading in HEADINGS])
    rows = [element("tr", *[element("td", cell) for cell in _cells(row)]) for row in result.rows]
    return element("table", element("thead", head), element("tbody", *rows))


def _chart(result: SearchResult) -> Markup:
    """Returns one line a configuration: a dot at its WER, a line from bound to bound."""
    drawn = [row for row in result.rows if row.wer is not None]
    highest = max(
        (row.interval.high if row.interval else row.wer or 0.0 for row in drawn), default=0.0
    )
    scale = (CHART_WIDTH - LABEL_WIDTH - 2 * MARGIN) / (highest or 1.0)
    height = ROW_HEIGHT * (len(drawn) + 1)
    parts: list[Markup] = []
    for number, row in enumerate(drawn):
        y = f"{ROW_HEIGHT * number + ROW_HEIGHT / 2 + 4:g}"
        label = _named(row)
        short = label if len(label) <= LABEL_LETTERS else f"{label[: LABEL_LETTERS - 1]}…"
        parts.append(element("text", short, x="0", y=y, font_size="12", fill="currentColor"))
        middle = f"{ROW_HEIGHT * number + ROW_HEIGHT / 2:g}"
        if row.interval is not None:
            low, high = (
                LABEL_WIDTH + scale * bound for bound in (row.interval.low, row.interval.high)
            )
            ends = {"x1": f"{low:.1f}", "x2": f"{high:.1f}", "y1": middle, "y2": middle}
            parts.append(element("line", stroke="currentColor", stroke_width="1.5", **ends))
        parts.append(
            element(
                "circle",
                element("title", f"{label}: {_measured(row)}"),
                cx=f"{LABEL_WIDTH + scale * (row.wer or 0.0):.1f}",
                cy=middle,
                r="6" if row.recommended else "4",
                fill="var(--ground)" if row.drop is not None else "var(--accent)",
                stroke="currentColor",
            )
        )
    for share in (0.0, 0.5, 1.0):
        parts.append(
            element(
                "text",
                notation.percent(highest * share),
                x=f"{LABEL_WIDTH + scale * highest * share:.1f}",
                y=f"{height - MARGIN / 2:g}",
                font_size="12",
                text_anchor=("start", "middle", "end")[int(share * 2)],
                fill="currentColor",
            )
        )
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {CHART_WIDTH} {height}",
        role="img",
        aria_label="error rates of all configurations",
    )
