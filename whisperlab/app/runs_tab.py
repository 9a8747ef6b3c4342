"""The tab Runs: every finished run a line; open its report, compare two, read a sweep, serve one.

Owns the tab's layout and the endpoints ``/runs``, ``/compare_runs``, ``/effects`` and ``/serve_run``. A
run is named by its folder below ``app.runs_dir``; no request carries a path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import gradio as gr

from whisperlab.app.evaluation import names_only
from whisperlab.app.layout import choice, status_line, told
from whisperlab.app.leaderboard import Found, Line, find_runs, run_folder, sweeps
from whisperlab.app.reports import compare_runs, report_address
from whisperlab.app.settings import AppSettings
from whisperlab.app.speech import Speech
from whisperlab.device import resolve
from whisperlab.report import notation
from whisperlab.report.markup import Markup, element, joined
from whisperlab.report.sweep import Sweep, findings
from whisperlab.runs.sweeping import sweep_of
from whisperlab.serve.configurations import from_run
from whisperlab.serve.problems import ApiError

FIRST: Final = ("name", "wer", "rtfx")
"""What a telephone shows without scrolling."""

COLUMNS: Final = FIRST + tuple(
    field.name
    for field in fields(Line)
    if field.name not in (*FIRST, "configuration_hash", "has_report")
)

NAME_PIXELS, NUMBER_PIXELS, TEXT_PIXELS = 160, 80, 230
"""Widths of columns; the name and two numbers fit the 340 that a telephone leaves."""

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

MOST_SWEPT: Final = 256
"""Runs read at a time, each with its ledger: four factors of four levels."""


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
        wrap=True,
        column_widths=[NAME_PIXELS, *map(_width, COLUMNS[1:])],
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
        with gr.Column(min_width=280):
            swept = choice(
                [*sweeps(found.lines), *names],
                value=next(([name] for name in sweeps(found.lines)), []),
                multiselect=True,
                label="Sweep: a folder, or runs",
            )
            effects = gr.Button("Show effects")
    result = gr.HTML(label="Result")
    with gr.Accordion("Details", open=False):
        details = gr.JSON(label="Comparison, effects, or the configuration that is served")

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
            with names_only(runs_dir):
                name, content = compare_runs(runs_dir, folders, settings.keep_seconds)
        content["report"] = f"/comparisons/{name}"
        yield _comparison(str(run), str(other), content), content

    @told(outputs=2, state=0)
    def shown_effects(
        chosen: list[str], request: gr.Request
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields what each factor of a sweep does to the error rate, and which runs nothing beats."""
        with speech.turn(request):
            names = _swept(find_runs(runs_dir).lines, chosen)
            yield status_line(f"Reading {notation.plural(len(names), 'run')} ..."), {}
            with names_only(runs_dir):
                sweep = sweep_of([runs_dir / name for name in names])
        told = element(
            "div", findings(sweep), class_="wl-card wl-sweep", tabindex="0", role="region",
            aria_label="Effects",
        )  # fmt: skip
        yield told, _facts(sweep, names)

    @told(outputs=2 + len(speech.choosers), state=0)
    def served(run: str | None, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Adds a run's configuration to what is offered, here and by the API."""
        with speech.turn(request):
            folder = _folder(runs_dir, run)
            with names_only(runs_dir):
                configuration = from_run(folder, str(run))
                kind = speech.service.pool.kind or resolve(configuration.config["device"]["kind"])
                found_hash = configuration.hash(kind)
                speech.offer(configuration)
        said = status_line(
            joined(element("b", str(run)), " can be chosen in every tab and by the API.")
        )
        facts = {"model": configuration.name, "configuration_hash": found_hash}
        yield (said, facts, *speech.chosen_anew())

    asked = [text, order, ascending]
    gr.on(
        [tab.select, refresh.click, text.submit, order.change, ascending.change],
        runs, asked, [table, status], api_name="runs",
    ).then(lambda: _names(runs_dir), None, [run, other, swept], api_visibility="private")  # fmt: skip
    run.change(_link, [run], [link], api_visibility="private")
    table.select(_picked, None, [run], api_visibility="private")
    compare.click(compared, [run, other], [result, details], api_name="compare_runs")
    effects.click(shown_effects, [swept], [result, details], api_name="effects")
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


def _width(column: str) -> int:
    letter_pixels = 11  # of a heading, which does not wrap
    return max(NUMBER_PIXELS if column in NUMBERS else TEXT_PIXELS, letter_pixels * len(column))


def _shown(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _names(runs_dir: Path) -> tuple[Any, Any, Any]:
    lines = find_runs(runs_dir).lines
    names = [line.name for line in lines]
    one = gr.update(choices=names)
    return one, one, gr.update(choices=[*sweeps(lines), *names])


def _picked(event: gr.SelectData) -> str:
    return str(event.row_value[0])


def _not_there() -> ApiError:
    return ApiError("not_found", "Choose runs of the list; press Refresh to read it again.")


def _folder(runs_dir: Path, name: str | None) -> Path:
    folder = run_folder(runs_dir, name) if isinstance(name, str) else None
    if folder is None:
        raise _not_there()
    return folder


def _swept(lines: Sequence[Line], chosen: Any) -> list[str]:
    """Returns the runs that were chosen, by their names or their folder's, each once.

    Raises:
        ApiError: none was, one is not there, or they are too many.
    """
    known = {line.name: (line.name,) for line in lines} | sweeps(lines)
    names: dict[str, None] = {}
    for name in chosen if isinstance(chosen, list) else ():
        if not isinstance(name, str) or name not in known:
            raise _not_there()
        names |= dict.fromkeys(known[name])
    if not 1 < len(names) <= MOST_SWEPT:
        raise ApiError("invalid_value", f"Expected 2 to {MOST_SWEPT} runs of one sweep; choose its folder.")  # fmt: skip
    return list(names)


def _facts(sweep: Sweep, names: Sequence[str]) -> dict[str, Any]:
    return {
        "runs": list(names),
        "effects": None if sweep.effects is None else asdict(sweep.effects),
        "why_none": sweep.why_none,
        "costs": dict(sweep.costs),
        "front": [names[number] for number in sweep.front],
    }


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
