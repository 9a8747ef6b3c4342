"""The tab Runs: every finished run a line; open its report, compare two, serve one.

Owns the tab's layout and the endpoints ``/runs``, ``/compare_runs`` and ``/serve_run``. A run is named
by its folder below ``app.runs_dir``; no request carries a path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import gradio as gr

from whisperlab.app.evaluation import without_folders
from whisperlab.app.layout import choice, status_line, told
from whisperlab.app.leaderboard import Found, Line, find_runs, run_folder
from whisperlab.app.reports import compare_runs, report_address
from whisperlab.app.settings import AppSettings
from whisperlab.app.speech import Speech
from whisperlab.device import resolve
from whisperlab.errors import ConfigError, WhisperlabError
from whisperlab.report import notation
from whisperlab.report.markup import Markup, element, joined
from whisperlab.serve.configurations import from_run
from whisperlab.serve.problems import ApiError

COLUMNS: Final = tuple(
    field.name for field in fields(Line) if field.name not in ("configuration_hash", "has_report")
)

NUMBERS: Final = frozenset(
    [
        "utterances",
        "coverage",
        "wer",
        "wer_low",
        "wer_high",
        "cer",
        "rtfx",
        "p95_seconds",
        "peak_memory_bytes",
    ]
)

EMPTY: Final = (
    "No runs yet: evaluate something in the tab Evaluate, or start the page with "
    "app.runs_dir=FOLDER where runs of the command are."
)

UPLOADED_FILTER_CHARACTERS: Final = 200
"""More of a filter is not looked at."""


def build(speech: Speech, settings: AppSettings) -> None:
    """Lays the tab out; to be built after the tabs that let people choose a configuration."""
    tab = gr.context.Context.block  # the one that this is laid out in
    runs_dir = Path(settings.runs_dir)
    found = find_runs(runs_dir)
    names = [line.name for line in found.lines]
    with gr.Row(elem_classes="wl-find"):
        text = gr.Textbox(label="Filter", placeholder="model, dataset, machine ...", min_width=260)
        order = choice(COLUMNS, value="date", label="Sort by", min_width=140)
        ascending = gr.Checkbox(label="Smallest first", min_width=180)
        refresh = gr.Button("Refresh", min_width=120)
    status = gr.HTML(_state(found, len(found.lines)), label="State")
    table = gr.Dataframe(
        _rows(found.lines),
        headers=list(COLUMNS),
        datatype=["number" if name in NUMBERS else "str" for name in COLUMNS],
        interactive=False,
        max_height=420,
        elem_classes="wl-runs",
        label="Finished runs: rates are fractions; click a line to choose it",
    )
    with gr.Row(equal_height=False):
        with gr.Column(min_width=280):
            run = choice(names, value=next(iter(names), None), label="Run")
            serve = gr.Button("Serve this one")
            link = gr.HTML(_link(next(iter(names), None)), label="Report")
        with gr.Column(min_width=280):
            other = choice(names, value=None, label="Against the run")
            compare = gr.Button("Compare", variant="primary")
    result = gr.HTML(label="Result")
    with gr.Accordion("Details", open=False):
        details = gr.JSON(label="Comparison, or the configuration that is served")

    @told(outputs=2, state=1)
    def runs(
        text: str, order: str, ascending: bool, request: gr.Request
    ) -> Iterator[tuple[list[list[Any]], str]]:
        """Yields the runs that hold every word of ``text``, by a column, and how many there are."""
        if order not in COLUMNS:
            raise ApiError("invalid_value", f"Expected one of {', '.join(COLUMNS)}.")
        with speech.turn(request):
            there = find_runs(runs_dir)
        chosen = filtered(there.lines, text or "")
        yield _rows(ordered(chosen, order, ascending=ascending)), _state(there, len(chosen))

    @told(outputs=2, state=0)
    def compared(
        run: str | None, other: str | None, request: gr.Request
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields what differs between two runs, and whether it is real; ``other`` is the baseline."""
        with speech.turn(request):
            folders = [_folder(runs_dir, name) for name in (other, run)]
            yield status_line("Comparing ..."), {}
            try:
                name, content = compare_runs(runs_dir, folders, settings.keep_seconds)
            except WhisperlabError as error:
                said = str(error).replace(f"{runs_dir}/", "")
                raise ApiError("invalid_request", without_folders(said)) from error
        content["report"] = f"/comparisons/{name}"
        yield _comparison(str(run), str(other), content), content

    @told(outputs=2 + len(speech.choosers), state=0)
    def served(run: str | None, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Adds a run's configuration to what is offered, here and by the API."""
        with speech.turn(request):
            folder = _folder(runs_dir, run)
            try:
                configuration = from_run(folder, str(run))
                kind = speech.service.pool.kind or resolve(configuration.config["device"]["kind"])
                found_hash = configuration.hash(kind)
                speech.offer(configuration)
            except ConfigError as error:
                raise ApiError("invalid_request", without_folders(str(error))) from error
        said = status_line(
            joined(element("b", str(run)), " can be chosen in every tab and by the API.")
        )
        facts = {"model": configuration.name, "configuration_hash": found_hash}
        yield (said, facts, *speech.chosen_anew())

    asked = [text, order, ascending]
    gr.on(
        [tab.select, refresh.click, text.submit, order.change, ascending.change],
        runs, asked, [table, status], api_name="runs",
    ).then(lambda: _names(runs_dir), None, [run, other], api_visibility="private")  # fmt: skip
    run.change(_link, [run], [link], api_visibility="private")
    table.select(_picked, None, [run], api_visibility="private")
    compare.click(compared, [run, other], [result, details], api_name="compare_runs")
    serve.click(served, [run], [result, details, *speech.choosers], api_name="serve_run")


def filtered(lines: Sequence[Line], text: str) -> list[Line]:
    """Returns the lines in which every word of ``text`` stands somewhere."""
    words = text[:UPLOADED_FILTER_CHARACTERS].casefold().split()
    return [
        line
        for line in lines
        if all(word in " ".join(map(str, asdict(line).values())).casefold() for word in words)
    ]


def ordered(lines: Sequence[Line], column: str, *, ascending: bool) -> list[Line]:
    """Returns the lines by a column; those without a value are last either way."""
    known = [line for line in lines if getattr(line, column) is not None]
    rest = [line for line in lines if getattr(line, column) is None]
    known.sort(key=lambda line: getattr(line, column), reverse=not ascending)
    return known + rest


def _rows(lines: Sequence[Line]) -> list[list[Any]]:
    return [[_shown(getattr(line, column)) for column in COLUMNS] for line in lines]


def _shown(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def _names(runs_dir: Path) -> tuple[Any, Any]:
    names = [line.name for line in find_runs(runs_dir).lines]
    return gr.update(choices=names), gr.update(choices=names)


def _picked(event: gr.SelectData) -> str:
    return str(event.row_value[0])


def _folder(runs_dir: Path, name: str | None) -> Path:
    folder = run_folder(runs_dir, name) if isinstance(name, str) else None
    if folder is None:
        raise ApiError("not_found", "Choose runs of the list; press Refresh to read it again.")
    return folder


def _state(found: Found, shown: int) -> str:
    if not found.lines and not found.unreadable:
        return element("p", EMPTY, class_="wl-empty")
    said = [f"{shown:,} of {notation.plural(len(found.lines), 'finished run')}."]
    if found.unreadable:
        said.append(f"Cannot be read: {', '.join(found.unreadable)}.")
    return status_line(joined(" ".join(said)))


def _link(name: str | None) -> str:
    if not name:
        return ""
    return element("a", f"Open the report of {name}", href=report_address(name), target="_blank")


def _comparison(run: str, other: str, content: dict[str, Any]) -> str:
    (found,) = content["differences"]
    wer = found["scores"].get(content["metric"]) or {}
    matched = content["utterances"]
    shares = ", ".join(
        f"{100 * found[key] / matched:.1f} % {key}" for key in ("worse", "same", "better")
    )
    bounds = (
        f"95 % interval {notation.points(wer.get('low'))} to {notation.points(wer.get('high'))} points, "
        f"{notation.p_value(wer.get('p'))}"
    )
    return element(
        "section",
        element("h2", f"{run} against {other}"),
        element(
            "p", element("b", f"WER {notation.points(wer.get('value'))} points"), f", {bounds}"
        ),
        element("p", f"Of {notation.plural(matched, 'utterance')}: {shares}.", class_="wl-status"),
        Markup(element("a", "Open the comparison", href=content["report"], target="_blank")),
        class_="wl-card",
    )
