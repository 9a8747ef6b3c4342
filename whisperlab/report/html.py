"""The one-file report of a run: ``report.html``, which needs no network and sends nothing.

A run of many thousand utterances gets further pages beside it (`paging`).

Owns the page: its parts and their order. Style and script are ``page/report.css`` and
``page/report.js``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlencode

from whisperlab.experiment.failure_summary import Finding
from whisperlab.experiment.result import RunResult, SliceScore
from whisperlab.metric.alignment import Edit
from whisperlab.report import notation
from whisperlab.report.document import document, page_file, write
from whisperlab.report.failures import Link, failures, marks
from whisperlab.report.markup import Markup, element, joined
from whisperlab.report.paging import page_links, page_name, paged
from whisperlab.report.published import published
from whisperlab.report.rows import embedded, packed
from whisperlab.report.run_card import run_card, system
from whisperlab.report.slices import slices
from whisperlab.report.summary import spoken, summary
from whisperlab.report.time_figures import time_figures
from whisperlab.utterance import Outcome, State

REPORT = "report.html"

SORT_KEYS = {
    "errors": "worst first",
    "wer": "WER",
    "id": "id",
    "audio": "duration",
    "total": "latency",
    "state": "state",
}


def write_report(
    result: RunResult,
    alignments: Mapping[str, tuple[Edit, ...]],
    slice_scores: Sequence[SliceScore] = (),
    findings: Sequence[Finding] = (),
) -> Path:
    """Writes ``report.html`` into the run folder, further pages beside it, and returns its path.

    ``alignments`` are word alignments of normalised texts by utterance id; utterances without text
    have none. ``findings`` are marked in their rows.

    Raises:
        WriteError: the run folder cannot be written.
    """
    pages = paged(result.outcomes, alignments)
    path = result.folder / REPORT
    write(path, page(result, alignments, slice_scores, findings, pages))
    for number in range(2, len(pages) + 1):
        further = further_page(result, alignments, findings, pages, number)
        write(result.folder / page_name(REPORT, number), further)
    number = len(pages) + 1  # pages of an earlier, larger report
    while (stale := result.folder / page_name(REPORT, number)).exists() and number > 1:
        stale.unlink()
        number += 1
    return path


def page(
    result: RunResult,
    alignments: Mapping[str, tuple[Edit, ...]],
    slice_scores: Sequence[SliceScore] = (),
    findings: Sequence[Finding] = (),
    pages: Sequence[Sequence[Outcome]] | None = None,
) -> str:
    """Returns the whole first page; ``pages`` are its utterances and those of the pages behind it."""
    pages = pages or [result.outcomes]
    title = _title(result)
    parts = {
        "summary": joined(summary(result), published(result)),
        "slices": slices(slice_scores),
        "failures": failures(result.scores.failures, _addresses(pages)),
        "time": time_figures(result),
        "utterances": _utterances(result, page_links(REPORT, pages, 1)),
        "card": run_card(result),
    }
    body = element(
        "body",
        _header(result, title, sections=[name for name, part in parts.items() if part]),
        element("main", *parts.values()),
        *_scripts(pages, 1, alignments, findings),
    )
    return document(title, body, styles=("report.css",))


def further_page(
    result: RunResult,
    alignments: Mapping[str, tuple[Edit, ...]],
    findings: Sequence[Finding],
    pages: Sequence[Sequence[Outcome]],
    number: int,
) -> str:
    """Returns page ``number`` (from 2 on): utterances alone."""
    title = f"{_title(result)} · page {number}"
    back = element("nav", element("a", "summary", href=REPORT))
    body = element(
        "body",
        element("header", element("h1", title), back),
        element("main", _utterances(result, page_links(REPORT, pages, number))),
        *_scripts(pages, number, alignments, findings),
    )
    return document(title, body, styles=("report.css",))


def _addresses(pages: Sequence[Sequence[Outcome]]) -> Link:
    """Returns from an utterance's id to the address of its row, which may be on a further page."""
    page_of = {outcome.id: number for number, part in enumerate(pages, start=1) for outcome in part}

    def address(identifier: str) -> str:
        number = page_of.get(identifier, 1)
        file = "" if number == 1 else page_name(REPORT, number)
        return f"{file}#{urlencode({'id': identifier})}"

    return address


def _scripts(
    pages: Sequence[Sequence[Outcome]],
    number: int,
    alignments: Mapping[str, tuple[Edit, ...]],
    findings: Sequence[Finding],
) -> list[Markup]:
    rows = embedded(pages[number - 1], alignments, marks(findings))
    data = (
        element("script", rows, type="application/json", id="data")
        if len(pages) == 1
        else element("script", packed(rows), type="application/gzip", id="data")
    )
    return [
        data,
        *[element("script", page_file(name)) for name in ("rows.js", "report.js")],
    ]


def _title(result: RunResult) -> str:
    card = result.card
    chosen = card.config.get("dataset")
    path = chosen.get("path") if isinstance(chosen, Mapping) else None
    # english_dev/manifest.jsonl says more than the kind of dataset or a whole path
    ending = "/".join(Path(str(path)).parts[-2:]) if path else card.dataset.get("source")
    dataset = card.dataset.get("name") or ending
    named = [str(part) for part in (system(card), dataset) if part]
    return " on ".join(named) or result.folder.name


def _header(result: RunResult, title: str, *, sections: Sequence[str]) -> Markup:
    links = [
        element("a", section.replace("card", "run card"), href=f"#{section}")
        for section in sections
    ]
    profile = result.scores.profile.get("name", notation.DASH)
    heard = [one.audio_seconds for one in result.outcomes if one.audio_seconds is not None]
    audio = f"{notation.seconds(sum(heard))} of audio" if heard else "no audio decoded"
    facts = (
        f"{notation.plural(result.scores.utterances.total, 'utterance')}, "
        f"{audio} · scored under {profile} · configuration "
    )
    return element(
        "header",
        element(
            "div",
            element("h1", title),
            element("p", facts, element("code", result.card.configuration_hash), class_="detail"),
        ),
        element("nav", *links),
    )


def _utterances(result: RunResult, links: Markup) -> Markup:
    states = [
        element("option", spoken(state), value=state.value)
        for state in State
        if getattr(result.scores.utterances, state.value)
    ]
    sorts = [element("option", text, value=key) for key, text in SORT_KEYS.items()]
    controls = element(
        "form",
        element(
            "input",
            type="search",
            id="search",
            placeholder="Search id, text or error",
            aria_label="Search id, text or error",
        ),
        element(
            "select",
            element("option", "all states", value=""),
            *states,
            id="state",
            aria_label="State",
        ),
        element(
            "select", element("option", "all slices", value=""), id="slice", aria_label="Slice"
        ),
        element("select", *sorts, id="sort", aria_label="Sort by"),
        element("button", "↓", type="button", id="direction", aria_label="Reverse the order"),
        class_="controls",
    )
    pair = element("span", element("small", "said"), "heard", class_="sub")
    legend = element(
        "p",
        element("span", pair, " substitution"),
        element("span", element("ins", "added"), " insertion"),
        element("span", element("del", "missed"), " deletion"),
        class_="legend alignment",
    )
    return element(
        "section",
        element("h2", "Utterances"),
        links,
        controls,
        element("div", element("p", id="shown", role="status"), legend, class_="status"),
        element("div", id="rows"),
        element("noscript", "The rows are drawn by this page's own script, which is switched off."),
        id="utterances",
    )
