"""A run in a notebook: measured, opened, tabulated, plotted.

Owns the faces of one run. What a run is and how it comes about is `whisperlab.experiment`'s and
`whisperlab.eval`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whisperlab.config.build import (
    build_executor,
    build_metrics,
    build_profile,
    build_transcriber,
)
from whisperlab.config.compose import compose
from whisperlab.config.experiment import build_experiment, report_of, run_settings
from whisperlab.errors import ConfigError
from whisperlab.eval.mode import mode_of
from whisperlab.eval.progress import TerminalProgress
from whisperlab.executor.here import Here
from whisperlab.experiment.folder import read_run
from whisperlab.experiment.result import RunResult
from whisperlab.experiment.runner import run_experiment
from whisperlab.experiment.scoring import (
    PRIMARY_METRIC,
    ScoredUtterance,
    rates,
    score_outcomes,
    slice_scores,
)
from whisperlab.report.html import REPORT
from whisperlab.report.table import run_table
from whisperlab.study.shown import shown
from whisperlab.transcriber import Transcriber

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

PERCENT = 100

FRAME_COLUMNS = (
    "id", "state", "reference", "text", "errors", "words", "audio_seconds", "seconds", "error",
)  # fmt: skip
"""Of every run's frame, before the columns of its dataset."""


@dataclass(frozen=True, slots=True)
class Run(RunResult):
    """A finished run: everything of `RunResult`, and how it looks in a notebook."""

    @property
    def report(self) -> Path:
        """The page of the run: every utterance with its alignment and sound."""
        return self.folder / REPORT

    def scored(self) -> list[ScoredUtterance]:
        """Returns the utterances with their counts by metric, sorted by id."""
        config = self.card.config
        return score_outcomes(self.outcomes, build_profile(config), build_metrics(config))

    def transcriber(self) -> Transcriber:
        """Returns the Transcriber that was measured, built anew from the run's configuration."""
        return build_transcriber(self.card.config)

    def to_pandas(self) -> pd.DataFrame:
        """Returns one row an utterance, worst first.

        Columns: ``id``, ``state``, ``reference``, ``text``, ``errors`` and ``words`` (reference
        words) under the run's profile, ``audio_seconds``, ``seconds`` (its share of the main pass),
        ``error`` (a code), then a column a slice, ``slice_NAME`` where its name is one of these.
        ``errors`` of an utterance without text is missing.
        """
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for item in self.scored():
            outcome, words = item.outcome, item.counts[PRIMARY_METRIC]
            row: dict[str, Any] = {
                "id": outcome.id,
                "state": outcome.state.value,
                "reference": outcome.reference,
                "text": outcome.text,
                "errors": words.errors if outcome.state.scored else None,
                "words": words.reference_length,
                "audio_seconds": outcome.audio_seconds,
                "seconds": outcome.timings.get("total"),
                "error": outcome.error.code if outcome.error else None,
            }
            slices = outcome.slices.items()
            rows.append(
                row | {f"slice_{name}" if name in row else name: value for name, value in slices}
            )
        columns = None if rows else FRAME_COLUMNS  # a part of a run can be empty
        frame = pd.DataFrame(rows, columns=columns).astype({"errors": "Int64"})
        return frame.sort_values(["errors", "id"], ascending=[False, True], ignore_index=True)

    def plot(self, column: str | None = None) -> Figure:
        """Returns the WER with its interval: of the whole run, or of each value of a slice column.

        Raises:
            ValueError: no utterance has this column.
        """
        from whisperlab.study.figure import BarFigure

        scored, resamples = self.scored(), self.card.config["resamples"]
        metrics = build_metrics(self.card.config)
        whole = rates(scored, metrics, resamples=resamples, seed=self.card.seed)[PRIMARY_METRIC]
        found = [("all", whole)]
        if column is not None:
            slices = slice_scores(scored, resamples=resamples, seed=self.card.seed)
            chosen = [(item.value, item.rate) for item in slices if item.column == column]
            if not chosen:
                known = ", ".join(sorted({item.column for item in slices})) or "none"
                raise ValueError(f"column {column!r}: expected one of the run's slices: {known}")
            found += chosen
        bars = [(name, rate) for name, rate in found if rate.value is not None]
        figure = BarFigure(len(bars))
        axes = figure.subplots()
        for place, (name, rate) in enumerate(bars):
            value = PERCENT * (rate.value or 0.0)
            axes.plot(value, place, "o", color="C0" if name != "all" else "C1")
            if rate.low is not None and rate.high is not None:
                axes.hlines(place, PERCENT * rate.low, PERCENT * rate.high)
        axes.set_yticks(range(len(bars)), [name for name, _ in bars])
        axes.invert_yaxis()
        axes.set_xlabel("WER, % with 95 % interval")
        axes.set_xlim(left=0)
        axes.grid(axis="x", alpha=0.3)
        return figure

    def _repr_html_(self) -> str:
        return shown(run_table(self))


def evaluate(*overrides: str, run_dir: Path | str | None = None) -> Run:
    """Returns the finished run of these overrides, measured now or gone on with.

    The overrides are those of ``python -m whisperlab.eval``; the same ``run_dir`` resumes or opens
    the run, as it does there. A progress bar shows how long it takes.

    Raises:
        WhisperlabError: as the command; the message says what to change.
    """
    chosen = [*overrides]
    config = compose("eval", overrides)
    if run_dir is not None:
        config = {**config, "run_dir": str(run_dir)}
        chosen.append(f"run_dir={run_dir}")
    if mode_of(config).variants or not isinstance(build_executor(config), Here):
        raise ConfigError(
            f"evaluate() makes one run in this process, got mode={config['mode']['name']} and executor "
            f"{config['executor']['_target_'].rpartition('.')[2]}; use python -m whisperlab.eval, then open_run"
        )
    settings = run_settings(config)
    experiment = build_experiment(config, settings, chosen)
    with TerminalProgress(lambda: None) as progress:
        result = run_experiment(experiment, Path(settings.run_dir), progress)
    report_of(result, experiment)
    return _shown(result)


def open_run(folder: Path | str) -> Run:
    """Returns the finished run in ``folder``.

    Raises:
        ConfigError: there is none.
    """
    return _shown(read_run(Path(folder)))


def _shown(result: RunResult) -> Run:
    return Run(**{field.name: getattr(result, field.name) for field in fields(result)})
