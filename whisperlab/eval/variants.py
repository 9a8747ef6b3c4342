"""The variants of a mode, run one after the other, and what they come to together.

Owns the order and the output. Each variant is an ordinary run in ``run_dir/NAME``; the same command
resumes: finished variants are read, the interrupted one goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from whisperlab.config.build import build_metrics, build_profile
from whisperlab.config.experiment import build_experiment, report_of, run_settings
from whisperlab.eval.evaluate import exit_code, resume_line, run_by_executor
from whisperlab.eval.mode import Mode, variant_arguments, variant_config
from whisperlab.experiment.invariance import invariance
from whisperlab.experiment.matrix import matrix
from whisperlab.experiment.pairing import Choices
from whisperlab.experiment.result import RunResult
from whisperlab.experiment.scoring import PRIMARY_METRIC
from whisperlab.report import invariance as invariance_report
from whisperlab.report import matrix as matrix_report
from whisperlab.report import notation
from whisperlab.transcriber import Transcriber

EXIT_VIOLATED = 10
"""As the gate's: what was to hold was not shown to hold."""


@dataclass(frozen=True, slots=True)
class FinishedMode:
    """The runs of one configuration's variants by name."""

    mode: Mode
    config: Mapping[str, Any]
    runs: Mapping[str, RunResult]


def run_variants(config: Mapping[str, Any], mode: Mode) -> tuple[FinishedMode, int]:
    """Returns the finished runs of all variants, and the command's exit code.

    Variants that transcribe alike (all of the shipped ones) share the loaded engine.

    Raises:
        WhisperlabError: as the parts of a run raise.
    """
    run_dir = Path(run_settings(config).run_dir)
    print(f"runs below {run_dir}; resume with: {resume_line(run_dir)}")
    shared: dict[str, Transcriber] = {}
    runs: dict[str, RunResult] = {}
    codes = []
    for number, name in enumerate(mode.variants, start=1):
        arguments = variant_arguments(mode, name, run_dir)
        wanted = variant_config(arguments, run_dir, name)
        settings = run_settings(wanted)
        experiment = build_experiment(wanted, settings, arguments)
        hash_ = experiment.card.configuration_hash
        experiment = replace(
            experiment, transcriber=shared.setdefault(hash_, experiment.transcriber)
        )
        result = run_by_executor(experiment, wanted, arguments)
        report_of(result, experiment)
        runs[name] = result
        codes.append(exit_code(result, settings.max_failed_fraction))
        print(f"{number}/{len(mode.variants)} {name}: {_rates(result)}")
    finished = FinishedMode(mode, config, runs)
    codes.append(show(finished, run_dir))
    return finished, max(codes)


def show(finished: FinishedMode, folder: Path) -> int:
    """Writes and prints what the variants come to; returns 10 for a violated invariance, else 0."""
    runs = finished.runs
    profile, metrics = build_profile(finished.config), build_metrics(finished.config)
    choices = _choices(finished.config)
    if finished.mode.name == "robustness":
        show_matrix([finished], folder)
        return 0
    found = invariance(runs, finished.mode.must_equal, profile, metrics, choices)
    written = invariance_report.write_invariance(found, folder)
    print(f"\n{invariance_report.markdown(found)}\nreport: {written}")
    return EXIT_VIOLATED if found.violated else 0


def show_matrix(finished: Sequence[FinishedMode], folder: Path) -> None:
    """Writes and prints the matrix of all these configurations' runs."""
    config = finished[0].config
    found = matrix(
        [run for one in finished for run in one.runs.values()],
        build_profile(config),
        build_metrics(config),
        _choices(config),
    )
    written = matrix_report.write_matrix(found, folder)
    print(f"\n{matrix_report.markdown(found)}\nreport: {written}")


def show_rows(finished: Sequence[FinishedMode]) -> None:
    """Shows the configurations of a sweep in one matrix, kept beside their folders."""
    show_matrix(finished, Path(finished[0].config["run_dir"]).parent)


def _choices(config: Mapping[str, Any]) -> Choices:
    metrics = [metric.name for metric in build_metrics(config)]
    primary = PRIMARY_METRIC if PRIMARY_METRIC in metrics else metrics[0]
    return Choices(metric=primary, resamples=config["resamples"], seed=config["seed"])


def _rates(result: RunResult) -> str:
    tally = result.scores.utterances
    shown = [
        f"{name.upper()} {notation.percent(rate.value)}"
        for name, rate in result.scores.scores.items()
    ]
    return f"{', '.join(shown)}, {notation.coverage(tally.scored, tally.total)} with text"
