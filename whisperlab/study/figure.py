"""A figure of bars that shows itself in a notebook, whether pyplot was imported there or not.

Owns its size and its picture; matplotlib is imported with this module, so with the first plot.
"""

from __future__ import annotations

from io import BytesIO

from matplotlib.figure import Figure

ROW_INCHES = 0.35
"""Height of a bar with its label."""

WIDTH_INCHES = 7.0


class BarFigure(Figure):
    """An empty figure with room for ``rows`` bars under each other and the axis.

    IPython knows how to show matplotlib's figures only after pyplot was imported; until then a cell
    would end in ``<Figure size ...>``.
    """

    def __init__(self, rows: int) -> None:
        super().__init__(figsize=(WIDTH_INCHES, ROW_INCHES * (rows + 2)), layout="constrained")

    def _repr_png_(self) -> bytes:
        picture = BytesIO()
        self.savefig(picture, format="png")
        return picture.getvalue()
