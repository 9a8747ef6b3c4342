"""One job of the evaluation command: build, run, report, print."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from whisperlab.config.build import (
    build_executor,
    build_metrics,
    build_profile,
)
from whisperlab.config.command import overridden, raise_if_stopped
from whisperlab.config.experiment import build_experiment, report_of, run_settings
from whisperlab.eval.batches import Workers
from whisperlab.eval.parts import run_in_parts
from whisperlab.eval.progress import TerminalProgress
from whisperlab.executor.protocol import BlockExecutor, Executor
from whisperlab.experiment.folder import LOG, read_scores
from whisperlab.experiment.loaded_engines import LoadedEngines
from whisperlab.experiment.result import RunResult
from whisperlab.experiment.runner import Experiment, run_experiment
from whisperlab.report.failures import failure_lines
from whisperlab.report.published import published_lines
from whisperlab.report.sweep import read_sweep, shown, write_sweep
from whisperlab.report.table import run_table

EXIT_DONE = 0
EXIT_TOO_MANY_FAILED = 3


def evaluate(config: Mapping[str, Any], engines: LoadedEngines) -> tuple[RunResult, int]:
    """Returns the finished run that ``config`` describes, and the command's exit code.

    An engine that an earlier job has loaded with the same settings is used again.

    Raises:
        WhisperlabError: as its parts raise; the command turns it into one line and an exit code.
    """
    settings = run_settings(config)
    experiment = build_experiment(config, settings, sys.argv[1:])
    engines.share(experiment.transcriber)
    run_dir = Path(settings.run_dir)
    print(f"run folder {run_dir}; resume with: {resume_line(run_dir)}")
    result = run_by_executor(experiment, config, overridden())
    report = report_of(result, experiment)
    Console().print(run_table(result))
    if result.card.dataset.get("skipped"):
        print(f"{result.card.dataset['skipped']} bad rows of the dataset were left out")
    if result.duration_mismatches:
        print(
            f"{result.duration_mismatches} recordings are not as long as the manifest says "
            f"(by more than 5 % or 0.5 s): see {LOG} in the run folder"
        )
    for line in (*failure_lines(result.scores.failures), *published_lines(result)):
        print(line)
    print(f"report: {report}")
    code = exit_code(result, settings.max_failed_fraction)
    if code == EXIT_TOO_MANY_FAILED:
        print(
            f"exit code {code}: more utterances failed or timed out than "
            f"max_failed_fraction={settings.max_failed_fraction} allows; docs/troubleshooting.md has every code"
        )
    return result, code


def run_by_executor(
    experiment: Experiment, config: Mapping[str, Any], overrides: Sequence[str]
) -> RunResult:
    """Returns the finished run, made where ``config["executor"]`` says; ``overrides`` compose ``config``."""
    run_dir, executor = Path(config["run_dir"]), build_executor(config)
    if isinstance(executor, BlockExecutor):
        workers = Workers(executor, config, raise_if_stopped)
        experiment = replace(experiment, elsewhere=workers)
    if isinstance(executor, Executor) and executor.parts > 1 and read_scores(run_dir) is None:
        return run_in_parts(config, executor, overrides)
    with TerminalProgress(raise_if_stopped) as progress:
        return run_experiment(experiment, run_dir, progress)


def resume_line(run_dir: Path) -> str:
    """Returns the command that goes on where this one may stop: the whole sweep for one of its jobs."""
    arguments = [
        argument for argument in sys.argv[1:] if not argument.lstrip("+").startswith("run_dir=")
    ]
    folder = run_dir.parent if {"-m", "--multirun"} & set(arguments) else run_dir
    return shlex.join(["python", "-m", "whisperlab.eval", *arguments, f"run_dir={folder}"])


def exit_code(result: RunResult, max_failed_fraction: float) -> int:
    """Returns 3 when more utterances failed or timed out than allowed, else 0."""
    tally = result.scores.utterances
    lost = tally.failed + tally.timed_out
    return EXIT_TOO_MANY_FAILED if lost > max_failed_fraction * tally.total else EXIT_DONE


def show_sweep(results: Sequence[RunResult]) -> None:
    """Prints the runs of a sweep side by side, its effects and its front, and writes its page."""
    config = results[0].card.config
    sweep = read_sweep(results, build_profile(config), build_metrics(config))
    for part in shown(sweep):
        Console().print(part)
    print(f"sweep: {write_sweep(sweep, results[0].folder.parent)}")
