"""The one-file page of a comparison: ``comparison.html``, which needs no network and sends nothing.

Owns the page: its parts and their order. Style is the run report's and ``page/comparison.css``, the
script ``page/comparison.js``.
"""

from __future__ import annotations

from pathlib import Path

from whisperlab.experiment.comparison import ComparedRun, Comparison
from whisperlab.experiment.comparison_json import comparison_to_json
from whisperlab.report import notation
from whisperlab.report.clips import Clips
from whisperlab.report.comparison_rows import MOST_ROWS, embedded
from whisperlab.report.difference_slices import slices
from whisperlab.report.difference_summary import run_names, summary
from whisperlab.report.document import document, page_file, write_pages
from whisperlab.report.markup import Markup, element, joined, scrolled
from whisperlab.report.run_card import code_version, system
from whisperlab.report.table import configuration_differences

PAGE, JSON = "comparison.html", "comparison.json"

LENGTHS = ("1-5", "6-15", "16-30", "31-")
"""Bands of reference words to filter by: a command, a sentence, a long one, a paragraph."""

ERROR_KINDS = {
    "sub": "with a substitution",
    "ins": "with an insertion",
    "del": "with a deletion",
    "none": "without errors",
}

SORT_KEYS = {
    "change": "largest change",
    "errors": "most errors",
    "id": "id",
    "length": "length",
}


def write_comparison(comparison: Comparison, folder: Path, clips: Clips) -> Path:
    """Writes ``comparison.html`` and ``comparison.json`` into ``folder``; returns the page's path.

    Raises:
        WriteError: the folder cannot be written.
    """
    written = comparison_to_json(comparison)
    return write_pages(folder, PAGE, page(comparison, clips), JSON, written)


def page(comparison: Comparison, clips: Clips) -> str:
    """Returns the whole page."""
    names = run_names(comparison)
    labels = [run.label for run in comparison.runs]
    # two names make a heading, more make a paragraph
    title = " vs ".join(names if len(names) == len(("A", "B")) else labels)
    parts = slices(comparison)
    body = element(
        "body",
        _header(comparison, title, has_slices=bool(parts)),
        element(
            "main",
            summary(comparison),
            _settings(comparison),
            parts,
            _utterances(comparison, clips),
            _runs(comparison),
        ),
        element(
            "script",
            embedded(comparison, clips.addresses),
            type="application/json",
            id="data",
        ),
        *[element("script", page_file(name)) for name in ("rows.js", "comparison.js")],
    )
    return document(title, body, styles=("report.css", "comparison.css"))


def _header(comparison: Comparison, title: str, *, has_slices: bool) -> Markup:
    sections = ["difference", "settings", "slices", "utterances", "runs"]
    links = [
        element("a", section, href=f"#{section}")
        for section in sections
        if section != "slices" or has_slices
    ]
    facts = [
        ", ".join(dict.fromkeys(system(run.run.card) for run in comparison.runs)),
        f"{notation.plural(comparison.utterances, 'utterance')} compared",
        f"scored under {comparison.profile.name}",
        *[
            f"{notation.count(number)} {why}"
            for why, number in comparison.left_out.items()
            if number
        ],
    ]
    return element(
        "header",
        element("div", element("h1", title), element("p", " · ".join(facts), class_="detail")),
        element("nav", *links),
    )


def _settings(comparison: Comparison) -> Markup:
    differing = configuration_differences([run.run.card.config for run in comparison.runs])
    head = element("tr", element("th", ""), *[element("th", run.label) for run in comparison.runs])
    rows = [
        element("tr", element("th", key), *[element("td", value) for value in values])
        for key, values in differing.items()
    ]
    shown = (
        scrolled(
            "Settings that differ",
            element("table", element("thead", head), element("tbody", *rows), class_="slices left"),
            class_="scroll card table",
        )
        if rows
        else element("p", "The runs have the same settings.", class_="detail")
    )
    return element("section", element("h2", "Settings that differ"), shown, id="settings")


def _select(name: str, label: str, everything: str, options: dict[str, str]) -> Markup:
    first = [element("option", everything, value="")] if everything else []
    shown = [element("option", text, value=value) for value, text in options.items()]
    return element("select", *first, *shown, id=name, aria_label=label)


def _utterances(comparison: Comparison, clips: Clips) -> Markup:
    changes = {
        f"{found.label}:{kind}": f"{found.label} {kind} than A"
        if kind != "same"
        else f"{found.label} same as A"
        for found in comparison.differences
        for kind in ("worse", "better", "same")
    }
    lengths = {band: f"{band.replace('-', ' to ').removesuffix(' to ')} words" for band in LENGTHS}
    controls = element(
        "form",
        element(
            "input",
            type="search",
            id="search",
            placeholder="Search id or text",
            aria_label="Search id or text",
        ),
        _select("change", "Change", "all changes", changes),
        _select("kind", "Kind of error", "all errors", ERROR_KINDS),
        _select("slice", "Slice", "all slices", {}),
        _select("length", "Length of the reference", "all lengths", lengths),
        _select("sort", "Sort by", "", SORT_KEYS),
        class_="controls",
    )
    limit = ""
    if comparison.utterances > MOST_ROWS:
        limit = (
            f" The page holds the {notation.count(MOST_ROWS)} of "
            f"{notation.count(comparison.utterances)} utterances whose errors differ most."
        )
    how = "A word plays the recording from there; " if clips.addresses else ""
    return element(
        "section",
        element("h2", "Utterances"),
        element("p", f"{how}{clips.note}.{limit}", class_="detail note"),
        controls,
        element("div", element("p", id="shown", role="status"), _legend(), class_="status"),
        element("div", id="rows"),
        element("noscript", "The rows are drawn by this page's own script, which is switched off."),
        id="utterances",
    )


def _legend() -> Markup:
    return element(
        "p",
        element("span", element("span", "heard", class_="word sub"), " substitution"),
        element("span", element("span", "added", class_="word ins"), " insertion"),
        element("span", element("span", "missed", class_="word del"), " deletion"),
        element("span", element("span", "runs differ", class_="column differs")),
        class_="legend",
    )


def _runs(comparison: Comparison) -> Markup:
    return element(
        "section",
        element("h2", "Runs"),
        element("div", *[_run(run) for run in comparison.runs], class_="blocks"),
        id="runs",
    )


def _run(compared: ComparedRun) -> Markup:
    card = compared.run.card
    entries = (
        ("folder", element("code", str(compared.run.folder))),
        ("configuration", element("code", card.configuration_hash)),
        ("fingerprint", element("code", card.fingerprint)),
        ("code", code_version(card)),
        ("command", element("code", card.command)),
        ("no text", ", ".join(compared.lost) or "none"),
    )
    lines = [joined(element("dt", name), element("dd", value)) for name, value in entries]
    return element(
        "div",
        element("h3", f"{compared.label} {system(card)}"),
        element("dl", *lines),
        class_="card",
    )
