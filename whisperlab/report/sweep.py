"""A sweep read as a whole: table, effects of its factors, Pareto front; terminal and page.

Owns what is shown of several runs over one dataset. The estimates are `whisperlab.experiment.effects`'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from whisperlab.errors import ConfigError
from whisperlab.experiment.effects import Effect, Effects, effects
from whisperlab.experiment.pareto import costs, front
from whisperlab.experiment.result import RunResult
from whisperlab.experiment.scoring import PRIMARY_METRIC, score_outcomes
from whisperlab.metric.protocol import Metric
from whisperlab.normalize.profile import Profile
from whisperlab.report import notation
from whisperlab.report.document import document, write
from whisperlab.report.markup import Markup, element, joined
from whisperlab.report.table import configuration_differences, sweep_table

REPORT = "report.html"
EFFECT_HEADINGS = ("effect", "against", "points of WER", "95 % interval")
WIDTH, HEIGHT, MARGIN = 720, 360, 56


@dataclass(frozen=True, slots=True)
class Sweep:
    """Runs side by side. ``effects`` are ``None`` where ``why_none`` says why; ``front`` are run numbers."""

    runs: tuple[RunResult, ...]
    factors: Mapping[str, tuple[str, ...]]
    effects: Effects | None
    why_none: str
    costs: Mapping[str, list[float]]
    front: tuple[int, ...]


def read_sweep(runs: Sequence[RunResult], profile: Profile, metrics: Sequence[Metric]) -> Sweep:
    """Returns the runs as a sweep, scored over the utterances for which all of them have a text."""
    factors = configuration_differences([run.card.config for run in runs])
    prices = costs([run.scores for run in runs])
    rows = list(zip(*prices.values(), strict=True))
    found, reason = None, ""
    try:
        found = _effects(runs, factors, profile, metrics)
    except ConfigError as error:
        reason = str(error)
    return Sweep(tuple(runs), factors, found, reason, prices, tuple(front(rows)))


def _effects(
    runs: Sequence[RunResult],
    factors: Mapping[str, tuple[str, ...]],
    profile: Profile,
    metrics: Sequence[Metric],
) -> Effects:
    if not factors:
        raise ConfigError("the runs differ in no setting; effects need factors")
    texts = [{one.id for one in run.outcomes if one.state.scored} for run in runs]
    shared = set.intersection(*texts)
    counts = [
        [
            item.counts[PRIMARY_METRIC]
            for item in score_outcomes(
                [one for one in run.outcomes if one.id in shared], profile, metrics
            )
        ]
        for run in runs
    ]
    card = runs[0].card
    return effects(factors, counts, resamples=int(card.config["resamples"]), seed=card.seed)


def shown(sweep: Sweep) -> list[RenderableType]:
    """Returns what the terminal shows, from top to bottom."""
    parts: list[RenderableType] = [sweep_table(sweep.runs)]
    if sweep.effects is None:
        parts.append(Text(f"No effects: {sweep.why_none}"))
    else:
        parts.append(_effects_table(sweep.effects))
    parts.append(
        Text(f"Pareto front of {', '.join(sweep.costs) or 'nothing'}: {', '.join(_front(sweep))}")
    )
    return parts


def _front(sweep: Sweep) -> list[str]:
    return [_name(sweep, number) for number in sweep.front]


def _name(sweep: Sweep, number: int) -> str:
    settings = [f"{key}={values[number]}" for key, values in sweep.factors.items()]
    return " ".join(settings) or sweep.runs[number].folder.name


def _effects_table(found: Effects) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        title="Effects on WER: each level against the first, the mean over the other factors",
        title_justify="left",
    )
    for number, heading in enumerate(EFFECT_HEADINGS):
        table.add_column(heading, justify="right" if number > 1 else "left", overflow="fold")
    for one in found.found:
        table.add_row(*[Text(cell) for cell in _effect_cells(one)])
    return table


def _effect_cells(one: Effect) -> tuple[str, str, str, str]:
    pairs = zip(one.factors, one.levels, strict=True)
    bounds = (
        notation.DASH
        if one.low is None
        else f"{notation.points(one.low)} to {notation.points(one.high)}"
    )
    return (
        " with ".join(f"{name}={value}" for name, value in pairs),
        " with ".join(one.references),
        notation.points(one.value),
        bounds,
    )


def write_sweep(sweep: Sweep, folder: Path) -> Path:
    """Writes ``report.html`` into the sweep's folder and returns its path.

    Raises:
        WriteError: it cannot be written.
    """
    path = folder / REPORT
    write(path, sweep_page(sweep, folder))
    return path


def sweep_page(sweep: Sweep, folder: Path) -> str:
    """Returns the page: runs, effects, Pareto front."""
    body = element(
        "body",
        element("header", element("h1", "Sweep"), element("p", str(folder), class_="detail")),
        element(
            "main", element("section", element("h2", "Runs"), _runs_table(sweep)), findings(sweep)
        ),
    )
    return document("Sweep", body, styles=("report.css",))


def findings(sweep: Sweep) -> Markup:
    """Returns the sections about effects and the Pareto front, for this page and others."""
    found = sweep.effects
    told = (
        element("p", f"No effects: {sweep.why_none}")
        if found is None
        else _page_table(EFFECT_HEADINGS, [_effect_cells(one) for one in found.found])
    )
    return joined(
        element(
            "section",
            element("h2", "Effects on WER"),
            element(
                "p",
                "Each level against the first one, the mean over the other factors; with a second "
                "factor: how much more it does there. Bootstrap over utterances.",
                class_="detail",
            ),
            told,
        ),
        element(
            "section",
            element("h2", "Pareto front"),
            element("p", f"Nothing beats these in all of {', '.join(sweep.costs)}:"),
            element("ul", *[element("li", name) for name in _front(sweep)]),
            *[_scatter(sweep, name) for name in sweep.costs if name != "WER"],
        ),
    )


def _runs_table(sweep: Sweep) -> Markup:
    headings = ("run", "WER", "95 % interval", "coverage", "RTFx", "p95", "on the front")
    rows = []
    for number, run in enumerate(sweep.runs):
        scores, rate = run.scores, run.scores.scores.get(PRIMARY_METRIC)
        rows.append(
            (
                _name(sweep, number),
                notation.percent(None if rate is None else rate.value),
                notation.DASH if rate is None else notation.interval(rate.low, rate.high),
                notation.coverage(scores.utterances.scored, scores.utterances.total),
                notation.factor(scores.speed.rtfx),
                notation.seconds(scores.speed.latency_seconds.p95),
                "yes" if number in sweep.front else "",
            )
        )
    return _page_table(headings, rows)


def _page_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    return element(
        "table",
        element("thead", element("tr", *[element("th", one) for one in headings])),
        element("tbody", *[element("tr", *[element("td", cell) for cell in row]) for row in rows]),
    )


def _scatter(sweep: Sweep, cost: str) -> Markup:
    """Returns WER against one cost; filled points are on the front."""
    if "WER" not in sweep.costs:
        return Markup("")
    across, up = sweep.costs[cost], sweep.costs["WER"]
    right, top = max(across) or 1.0, max(up) or 1.0
    points = []
    for number, (x, y) in enumerate(zip(across, up, strict=True)):
        points.append(
            element(
                "circle",
                element(
                    "title", f"{_name(sweep, number)}: {cost} {x:.3g}, WER {notation.percent(y)}"
                ),
                cx=f"{MARGIN + x / right * (WIDTH - 2 * MARGIN):.1f}",
                cy=f"{HEIGHT - MARGIN - y / top * (HEIGHT - 2 * MARGIN):.1f}",
                r="6",
                fill="var(--accent)" if number in sweep.front else "var(--ground)",
                stroke="currentColor",
            )
        )
    left, base = str(MARGIN), str(HEIGHT - MARGIN)
    ink = {"stroke": "currentColor"}
    axes = [
        element("line", x1=left, y1=base, x2=str(WIDTH - MARGIN), y2=base, **ink),
        element("line", x1=left, y1=base, x2=left, y2=str(MARGIN), **ink),
        _label(f"{cost}, to {right:.3g}", WIDTH - MARGIN, HEIGHT - MARGIN // 2, "end"),
        _label(f"WER, to {notation.percent(top)}", MARGIN, MARGIN // 2, "start"),
    ]
    drawing = element(
        "svg", *axes, *points, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img",
        aria_label=f"WER against {cost}",
    )  # fmt: skip
    return element("figure", drawing, class_="card")


def _label(text: str, x: int, y: int, anchor: str) -> Markup:
    return element(
        "text", text, x=str(x), y=str(y), font_size="13", fill="currentColor", text_anchor=anchor
    )
