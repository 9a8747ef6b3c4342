"""The head of a comparison: each run minus A, how sure that is, and the rates it comes from."""

from __future__ import annotations

from whisperlab.experiment.comparison import Comparison, RunDifference
from whisperlab.metric.matched_pairs import NORMAL_SEGMENTS, MatchedPairs
from whisperlab.report import notation
from whisperlab.report.markup import Markup, element, joined, scrolled
from whisperlab.report.run_card import system
from whisperlab.report.summary import METRIC_TITLES
from whisperlab.report.table import configuration_differences
from whisperlab.report.verdict import units, verdict

MOST_NAMED = 2
"""Differing settings that a run is named by."""


def run_names(comparison: Comparison) -> list[str]:
    """Returns each run's letter with what recognised, or with what tells equal recognisers apart."""
    systems = [system(run.run.card) for run in comparison.runs]
    if len(set(systems)) == 1:
        differing = configuration_differences([run.run.card.config for run in comparison.runs])
        named = [
            [f"{key}={value}" for value in values]
            for key, values in list(differing.items())[:MOST_NAMED]
        ]
        systems = [" ".join(settings) for settings in zip(*named, strict=True)] or systems
    return [f"{run.label} {name}" for run, name in zip(comparison.runs, systems, strict=True)]


def summary(comparison: Comparison) -> Markup:
    """Returns the section."""
    ranking = Markup("")
    if len(comparison.runs) > len(("A", "B")):
        groups = [" = ".join(group) for group in comparison.ranking]
        ranking = element(
            "p",
            "Ranking, best first; runs joined by = are not shown to differ (Holm's correction for "
            "all pairs): ",
            element("b", " < ".join(groups) or notation.DASH),
            class_="ranking",
        )
    return element(
        "section",
        element("h2", "Difference"),
        element(
            "div", *[_card(found, comparison) for found in comparison.differences], class_="cards"
        ),
        ranking,
        _rates(comparison),
        id="difference",
    )


def _card(found: RunDifference, comparison: Comparison) -> Markup:
    metric = comparison.choices.metric
    tested = found.differences[metric]
    title, _ = METRIC_TITLES.get(metric, (metric, ""))
    lines = [verdict(found, comparison), segments_line(found.matched_pairs)]
    if tested is not None:
        lines.append(f"paired bootstrap over {units(tested, comparison.choices.clusters)}")
    if found.newly_lost:
        lost = notation.plural(len(found.newly_lost), "utterance")
        lines.append(f"{found.label} has no text for {lost} that A transcribed")
    value = notation.points(None if tested is None else tested.value)
    return element(
        "div",
        element("h3", f"{title}: {found.label} minus A"),
        element("p", value, element("small", " points"), class_="value"),
        *[element("p", line, class_="detail") for line in lines if line],
        _changes(found),
        class_="card hero",
    )


def segments_line(tested: MatchedPairs | None) -> str:
    """Returns MAPSSWE's result in one line; nothing where it was not made."""
    if tested is None:
        return ""
    if tested.z is None:
        return "MAPSSWE: undefined, the segments with errors do not vary"
    few = "" if tested.segments >= NORMAL_SEGMENTS else " (few: its p tends to be too small)"
    utterances = (
        ""
        if tested.p_by_utterance is None
        else f"; {notation.p_value(tested.p_by_utterance)} with utterances for units"
    )
    return (
        f"MAPSSWE: Z {tested.z:.2f}, {notation.p_value(tested.p)} over "
        f"{notation.plural(tested.segments, 'segment')} with errors{few}{utterances}"
    )


def _changes(found: RunDifference) -> Markup:
    """Returns the shares of worse, equal and better utterances as one bar with its numbers."""
    total = found.worse + found.same + found.better
    numbers = (("worse", found.worse), ("same", found.same), ("better", found.better))
    bar = [
        element("span", class_=f"change-{kind}", style=f"flex:{number} 0 3px")
        for kind, number in numbers
        if number
    ]
    legend = [
        element(
            "button",
            f"{notation.count(number)} {kind} ({notation.percent(number / total)})",
            type="button",
            class_=f"badge change-{kind}",
            data_change=f"{found.label}:{kind}",
            title="Show these utterances",
        )
        for kind, number in numbers
    ]
    return joined(
        element("p", element("span", *bar, class_="states")), element("p", *legend, class_="badges")
    )


RATE_HEADINGS = ("", "", "rate", "95 % interval", "S", "I", "D", "reference", "no text")


def _rates(comparison: Comparison) -> Markup:
    rows = []
    for shown, run in zip(run_names(comparison), comparison.runs, strict=True):
        for name, rate in sorted(
            run.rates.items(), key=lambda item: item[0] != comparison.choices.metric
        ):
            counts = (rate.substitutions, rate.insertions, rate.deletions, rate.reference_words)
            rows.append(
                element(
                    "tr",
                    element("th", shown),
                    element("td", name.upper()),
                    element("td", notation.percent(rate.value), class_="wer"),
                    element("td", notation.interval(rate.low, rate.high)),
                    *[element("td", notation.count(number)) for number in (*counts, len(run.lost))],
                )
            )
    head = element("tr", *[element("th", heading) for heading in RATE_HEADINGS])
    table = element("table", element("thead", head), element("tbody", *rows), class_="slices")
    return scrolled("Rates", table, class_="scroll card table")
