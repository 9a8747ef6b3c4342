"""A run's stages beside the least that they can take on its machine, in words and signs.

Owns the lines of the terminal and the sentence that both faces show. It measures nothing.
"""

from __future__ import annotations

from whisperlab.experiment.result import Floor, Speed
from whisperlab.report import notation

STAGE_BAR = 24
"""Characters of the longest stage's bar."""

GIGA = 1e9


def rates_line(floor: Floor) -> str:
    """Returns what the floors come from."""
    return (
        f"floors at {floor.operations_per_second / GIGA:,.0f} GFLOP/s and "
        f"{floor.bytes_per_second / GIGA:,.1f} GB/s, measured after the run"
    )


def stage_lines(speed: Speed) -> list[tuple[str, str]]:
    """Returns the stages of a run beside their floor, the longest first: name, bar and figures.

    Nothing without a floor: it is measured on request. ``█`` is the floor, ``░`` what lies above it.
    """
    if speed.floor is None:
        return []
    spent = sorted(
        ((name, value) for name, value in speed.stages.items() if name != "total" and value > 0),
        key=lambda item: -item[1],
    )
    lines = []
    for name, seconds in spent:
        least = speed.floor.stages.get(name)
        length = max(1, round(STAGE_BAR * seconds / spent[0][1]))
        solid = 0 if least is None else min(length, round(length * least / seconds))
        figures = notation.seconds(seconds)
        if least is not None:
            figures += f", floor {notation.seconds(least)} ({notation.percent(least / seconds)})"
        lines.append((name.replace("_", " "), f"{'█' * solid}{'░' * (length - solid)} {figures}"))
    return lines
