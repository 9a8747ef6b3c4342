"""What a difference between two runs amounts to, in one sentence.

Owns the wording for page, terminal and gate. It does not decide anything.
"""

from __future__ import annotations

from whisperlab.experiment.comparison import Comparison, RunDifference
from whisperlab.metric.paired import FEW_CLUSTERS, Difference
from whisperlab.report import notation


def verdict(found: RunDifference, comparison: Comparison) -> str:
    """Returns whether the run differs from A, and how small a difference could have been seen."""
    choices = comparison.choices
    name = choices.metric.upper()
    tested = found.differences[choices.metric]
    if tested is None:
        drawn = "utterances" if choices.clusters is None else f"values of {choices.clusters}"
        return f"{found.label} and A cannot be told apart: too few {drawn} with reference words."
    if tested.p <= 1 - choices.level:
        word = "lower" if tested.value < 0 else "higher"
        size = notation.points(abs(tested.value)).lstrip("+")
        return f"{found.label} has a {name} {size} points {word} than A, significantly: {bounds(tested)}."
    if not found.worse and not found.better:
        return f"{found.label} has as many errors as A in every utterance."
    seen = (
        ""
        if found.detectable is None
        else f" On these {units(tested, choices.clusters)} a difference of "
        f"{notation.points(found.detectable).lstrip('+')} points would be seen four times in five."
    )
    return f"No difference in {name} between {found.label} and A is shown: {bounds(tested)}.{seen}"


def bounds(tested: Difference) -> str:
    """Returns interval and p of a difference, in percentage points."""
    level = f"{100 * tested.level:g} %"
    return (
        f"{level} interval {notation.points(tested.low)} to {notation.points(tested.high)} points, "
        f"{notation.p_value(tested.p)}"
    )


def units(tested: Difference, clusters: str | None) -> str:
    """Returns how many of what were drawn, and a caution where that is too few to rely on.

    >>> units(Difference(0.0, 0.0, 0.0, 1.0, 0.95, 10_000, 147), "speaker")
    '147 values of speaker'
    >>> units(Difference(0.0, 0.0, 0.0, 1.0, 0.95, 10_000, 20, 9.8), "speaker")
    '20 values of speaker (worth 10 of equal size: with fewer than 30 an interval may cover less than it says)'
    """
    if clusters is None:
        return notation.plural(tested.units, "utterance")
    drawn = f"{notation.plural(tested.units, 'value')} of {clusters}"
    if not tested.has_few_clusters or tested.effective_units is None:
        return drawn
    return (
        f"{drawn} (worth {tested.effective_units:.0f} of equal size: with fewer than {FEW_CLUSTERS} an "
        "interval may cover less than it says)"
    )
