"""A comparison in the terminal: rates, differences, the worst utterances, the slices that stand out.

Owns what stands in the tables. It prints nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from whisperlab.experiment.comparison import Comparison, RunDifference, SliceDifference
from whisperlab.experiment.pairing import Choices
from whisperlab.report import notation
from whisperlab.report.difference_summary import segments_line
from whisperlab.report.run_card import system
from whisperlab.report.table import configuration_differences
from whisperlab.report.verdict import units, verdict

MOST_SLICES = 10
"""Lines of the terminal's slice table; the page has them all."""


def comparison_tables(comparison: Comparison) -> Iterator[RenderableType]:
    """Yields what the command prints, in order."""
    yield _rates(comparison)
    for found in comparison.differences:
        yield Text(verdict(found, comparison), style="bold")
        yield Text("\n".join(_facts(found, comparison.choices)))
        if found.worst:
            yield _worst(found)
        if found.slices:
            yield _slices(found)
    if len(comparison.runs) > len(("A", "B")):
        groups = " < ".join(" = ".join(group) for group in comparison.ranking)
        yield Text(f"ranking, best first, = where no difference is shown: {groups}")


def _table(*headings: str, title: str | None = None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True, title=title, title_justify="left")
    for number, heading in enumerate(headings):
        table.add_column(Text(heading), justify="right" if number else "left", overflow="fold")
    return table


def _rates(comparison: Comparison) -> Table:
    differing = configuration_differences([run.run.card.config for run in comparison.runs])
    metric = comparison.choices.metric
    table = _table("", *differing, metric.upper(), "95 % interval", "S/D/I", "no text")
    for number, run in enumerate(comparison.runs):
        rate = run.rates[metric]
        cells = (
            f"{run.label} {system(run.run.card)}",
            *[values[number] for values in differing.values()],
            notation.percent(rate.value),
            notation.interval(rate.low, rate.high),
            f"{rate.substitutions}/{rate.deletions}/{rate.insertions}",
            notation.count(len(run.lost)),
        )
        table.add_row(*[Text(cell) for cell in cells])
    left_out = [
        f"{notation.count(number)} {why}" for why, number in comparison.left_out.items() if number
    ]
    compared = f"{notation.plural(comparison.utterances, 'utterance')} compared"
    table.caption = ", ".join([compared, *left_out, f"profile {comparison.profile.name}"])
    table.caption_justify = "left"
    return table


def _facts(found: RunDifference, choices: Choices) -> Iterator[str]:
    total = found.worse + found.same + found.better
    shares = ", ".join(
        f"{notation.count(number)} {kind} ({notation.percent(number / total)})"
        for kind, number in (
            ("worse", found.worse),
            ("same", found.same),
            ("better", found.better),
        )
    )
    yield f"utterances: {shares}"
    if found.matched_pairs is not None:
        yield segments_line(found.matched_pairs)
    for name, tested in found.differences.items():
        if name == choices.metric:  # the verdict says it
            if tested is not None and choices.clusters is not None:
                yield f"paired bootstrap over {units(tested, choices.clusters)}"
            continue
        yield f"{name.upper()} {found.label} - A: " + (
            "undefined"
            if tested is None
            else f"{notation.points(tested.value)} points "
            f"[{notation.points(tested.low)}, {notation.points(tested.high)}], "
            f"{notation.p_value(tested.p)}"
        )
    if found.newly_lost:
        shown = ", ".join(found.newly_lost[:MOST_SLICES])
        yield f"no text in {found.label} but in A: {len(found.newly_lost)} utterances: {shown}"


def _worst(found: RunDifference) -> Table:
    table = _table("worst", "errors in A", f"in {found.label}", "words")
    for change in found.worst:
        table.add_row(Text(change.id), str(change.first), str(change.second), str(change.words))
    return table


def _slices(found: RunDifference) -> Table:
    def surprise(part: SliceDifference) -> tuple[float, str, str]:
        return (part.difference.p if part.difference else 2.0, part.column, part.value)

    table = _table("slice", "A", found.label, "points", "95 % interval", "p", "utterances")
    for part in sorted(found.slices, key=surprise)[:MOST_SLICES]:
        tested = part.difference
        cells = (
            f"{part.column}={part.value}",
            notation.percent(part.first),
            notation.percent(part.second),
            notation.points(tested.value if tested else None),
            f"{notation.points(tested.low)} to {notation.points(tested.high)}" if tested else "",
            notation.p_value(tested.p).removeprefix("p ") if tested else "",
            notation.count(part.utterances),
        )
        table.add_row(*[Text(cell) for cell in cells])
    if len(found.slices) > MOST_SLICES:
        table.caption = f"{MOST_SLICES} of {len(found.slices)} slices, smallest p first"
        table.caption_justify = "left"
    return table
