"""Drawings in the page's own colours and font, so that one drawing serves light and dark.

Owns the way from matplotlib's axes to an inline SVG. It does not know what is drawn.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from typing import Any

from whisperlab.report.markup import Markup

INK = "#010203"
GRID = "#010204"
"""Colours that nothing else uses: placeholders for the page's own."""

_PAGE_COLOURS = {INK: "soft-ink", GRID: "line"}

_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "whisperlab",  # ids do not change from run to run
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
}


@contextmanager
def new_axes() -> Iterator[Any]:
    """Gives empty axes in our style; draw and call `svg` inside the block."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(4.8, 3.1), layout="constrained")
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(linewidth=0.5)
        axes.set_axisbelow(True)
        yield axes


def svg(axes: Any, label: str, colours: Mapping[str, str]) -> Markup:
    """Returns the drawing as an inline element; ``label`` says what it is to who cannot see it.

    ``colours`` are the page's colour variables by the placeholder drawn with.
    """
    drawn = io.StringIO()
    axes.figure.savefig(
        drawn, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
    )
    text = drawn.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)  # its * rule would hit the page
    text = re.sub(r'<g id="[a-zA-Z_]+\d*(?:\.\d+)?">', "<g>", text)
    text = re.sub(
        r'(<svg [^>]*?)width="[^"]*" height="[^"]*"', r"\1", text, count=1
    )  # the viewBox scales it
    text = re.sub(r"font: ([\d.]+)px [^;\"]+", r"font-size: \1px", text)
    text = re.sub(r"font-family: [^;\"]+;?", "", text)
    for ink, name in {**_PAGE_COLOURS, **colours}.items():
        text = text.replace(ink, f"var(--{name})")
    return Markup(text.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1))
