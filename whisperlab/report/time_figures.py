"""Where the time went: a scatter of time against duration, and seconds by stage.

Owns two figures. How a drawing takes the page's colours is `drawing`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whisperlab.experiment.result import RunResult
from whisperlab.report import notation
from whisperlab.report.drawing import new_axes, svg
from whisperlab.report.floor import rates_line
from whisperlab.report.markup import Markup, element
from whisperlab.report.summary import spoken
from whisperlab.utterance import Outcome, State

LARGEST_SCATTER = 5_000
"""More points than this only make the file heavy; an even subset stands for them."""

STATE_INK = {state: f"#0102{16 + index:02x}" for index, state in enumerate(State)}
"""Colours that nothing else uses: placeholders for the page's own."""

MARKERS = {
    State.OK: "o",
    State.EMPTY: "s",
    State.FAILED: "X",
    State.TRUNCATED: "^",
    State.TIMED_OUT: "D",
}
"""One shape a state: colour is never the only sign."""


def time_figures(result: RunResult) -> Markup:
    """Returns the section with both figures; without any time taken it says so."""
    timed = [
        outcome
        for outcome in result.outcomes
        if outcome.audio_seconds is not None and "total" in outcome.timings
    ]
    parts = []
    if timed:
        note = (
            "Time an utterance took in the main pass (its share of the batch) against its duration."
        )
        if len(timed) > LARGEST_SCATTER:
            note += f" An even subset of {notation.count(LARGEST_SCATTER)} is drawn."
        parts.append(
            element("figure", scatter(_subset(timed)), element("figcaption", note), class_="card")
        )
    floor = result.scores.speed.floor
    if bars := stage_bars(result.scores.speed.stages, {} if floor is None else floor.stages):
        note = "Seconds by stage, summed over the utterances."
        if floor is not None:
            note += f" The dark part is the least that it can take: {rates_line(floor)}."
        parts.append(element("figure", bars, element("figcaption", note), class_="card"))
    if not parts:
        parts.append(element("p", "No utterance has recorded times.", class_="detail"))
    return element(
        "section", element("h2", "Time"), element("div", *parts, class_="figures"), id="time"
    )


def _subset(outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
    step = -(-len(outcomes) // LARGEST_SCATTER)
    return outcomes[::step]


def scatter(outcomes: Sequence[Outcome]) -> Markup:
    """Returns an SVG of total seconds against audio seconds, coloured and shaped by state."""
    with new_axes() as axes:
        for state in State:
            points = [
                (outcome.audio_seconds, outcome.timings["total"])
                for outcome in outcomes
                if outcome.state is state
            ]
            if points:
                across, up = zip(*points, strict=True)
                axes.plot(
                    across,
                    up,
                    MARKERS[state],
                    color=STATE_INK[state],
                    markersize=4.5,
                    markeredgewidth=0,
                    alpha=0.75,
                    label=spoken(state),
                )
        axes.set_xlabel("audio, seconds")
        axes.set_ylabel("total, seconds")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        if len(axes.lines) > 1:
            axes.figure.legend(
                loc="outside upper left",
                ncols=len(State),
                frameon=False,
                handletextpad=0.1,
                columnspacing=1.2,
            )
        return svg(
            axes,
            "Scatter plot of seconds per utterance against its duration",
            {ink: state.value.replace("_", "-") for state, ink in STATE_INK.items()},
        )


def stage_bars(stages: Mapping[str, float], least: Mapping[str, float]) -> Markup:
    """Returns one bar a stage, longest first; ``total`` is the sum and not a stage.

    The stages in ``least`` show how much of their time they need at least, in seconds.
    """
    spent = sorted(
        ((name, value) for name, value in stages.items() if name != "total"),
        key=lambda item: -item[1],
    )
    whole = sum(value for _, value in spent)
    if not whole:
        return Markup("")
    longest = spent[0][1]
    rows = [
        element(
            "div",
            element("span", name.replace("_", " ")),
            element(
                "span",
                element(
                    "span",
                    *_floor_of(name, value, least),
                    style=f"width:{100 * value / longest:.2f}%",
                ),
                class_="bar",
            ),
            element("span", notation.seconds(value), class_="number"),
            element("span", f"{100 * value / whole:.1f} %", class_="number detail"),
            class_="stage",
        )
        for name, value in spent
    ]
    return element("div", *rows, class_="stages")


def _floor_of(name: str, seconds: float, least: Mapping[str, float]) -> list[Markup]:
    if name not in least:
        return []
    share = min(1.0, least[name] / seconds)
    return [element("span", class_="floor", style=f"width:{100 * share:.2f}%",
                    title=f"floor {notation.seconds(least[name])}")]  # fmt: skip
