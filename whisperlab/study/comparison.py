"""Runs set against each other in a notebook: tabulated and plotted.

Owns the faces of a comparison. What is said about a difference is `whisperlab.experiment`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whisperlab.config.build import build_metrics, build_profile
from whisperlab.config.compose import compose
from whisperlab.experiment import comparison as experiment
from whisperlab.experiment.folder import read_run
from whisperlab.experiment.pairing import Choices
from whisperlab.experiment.result import RunResult
from whisperlab.report.comparison_table import comparison_tables
from whisperlab.runs.comparing import shared_profile
from whisperlab.study.run import PERCENT
from whisperlab.study.shown import shown

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class RunComparison(experiment.Comparison):
    """Everything of `Comparison`, and how it looks in a notebook."""

    def to_pandas(self) -> pd.DataFrame:
        """Returns one row an utterance, those that changed most first.

        Columns: ``id``, ``reference``, ``words``, then each run's text and errors (``text_A``,
        ``errors_A``, ``text_B``, ...).
        """
        import pandas as pd

        metric = self.choices.metric
        rows: list[dict[str, Any]] = []
        for items in zip(*self.scored, strict=True):
            row: dict[str, Any] = {
                "id": items[0].outcome.id,
                "reference": items[0].outcome.reference,
                "words": items[0].counts[metric].reference_length,
            }
            for run, item in zip(self.runs, items, strict=True):
                row[f"text_{run.label}"] = item.outcome.text
                row[f"errors_{run.label}"] = item.counts[metric].errors
            rows.append(row)
        frame = pd.DataFrame(rows)
        errors = frame[[f"errors_{run.label}" for run in self.runs]]
        spread = errors.max(axis=1) - errors.min(axis=1)
        return frame.loc[spread.sort_values(ascending=False, kind="stable").index].reset_index(
            drop=True
        )

    def plot(self, column: str | None = None) -> Figure:
        """Returns each run's difference to the first with its interval; ``column`` adds its slices."""
        from whisperlab.study.figure import BarFigure

        bars = []
        for found in self.differences:
            bars.append((f"{found.label} − A", found.differences[self.choices.metric]))
            bars += [
                (f"{found.label} − A, {item.value}", item.difference)
                for item in found.slices
                if item.column == column
            ]
        known = [(name, tested) for name, tested in bars if tested is not None]
        figure = BarFigure(len(known))
        axes = figure.subplots()
        axes.axvline(0, color="0.5", linewidth=1)
        for place, (_, tested) in enumerate(known):
            axes.plot(PERCENT * tested.value, place, "o", color="C0")
            axes.hlines(place, PERCENT * tested.low, PERCENT * tested.high)
        axes.set_yticks(range(len(known)), [name for name, _ in known])
        axes.invert_yaxis()
        axes.set_xlabel(
            f"{self.choices.metric.upper()} points, {self.choices.level:.0%} interval; "
            "left of the line is better than A"
        )
        axes.grid(axis="x", alpha=0.3)
        return figure

    def _repr_html_(self) -> str:
        return shown(*comparison_tables(self))


def compare(
    *runs: RunResult | Path | str,
    profile: str | None = None,
    clusters: str | None = None,
    metric: str = "wer",
    shared: bool = False,
) -> RunComparison:
    """Returns the runs set against the first, as ``python -m whisperlab.runs compare`` does.

    ``profile`` names one of ``conf/profile`` (``None``: the one that all runs are scored under),
    ``clusters`` a slice column whose values are drawn whole, ``shared`` compares what the runs have
    in common where their datasets differ.

    Raises:
        ConfigError: a folder holds no finished run, or the runs cannot be compared.
    """
    read = [run if isinstance(run, RunResult) else read_run(Path(run)) for run in runs]
    scored = (
        shared_profile(read)
        if profile is None
        else build_profile(compose("eval", [f"profile={profile}"]))
    )
    choices = Choices(metric=metric, clusters=clusters, shared_only=shared)
    metrics = build_metrics(read[0].card.config if read else compose("eval"))
    found = experiment.compare(read, scored, metrics, choices)
    return RunComparison(**{field.name: getattr(found, field.name) for field in fields(found)})
