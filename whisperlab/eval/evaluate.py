"""One job of the evaluation command: build, run, report, print."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from whisperlab.config.build import (
    build_dataset,
    build_metrics,
    build_profile,
    build_transcriber,
    configuration_hash,
    validate,
)
from whisperlab.config.command import raise_if_stopped
from whisperlab.device import default_batch_size, hardware, resolve
from whisperlab.eval.progress import TerminalProgress
from whisperlab.experiment.failure_settings import FailureSettings
from whisperlab.experiment.failures import analyse_run
from whisperlab.experiment.folder import LOG, fingerprint
from whisperlab.experiment.provenance import git_state, versions
from whisperlab.experiment.result import RunCard, RunResult
from whisperlab.experiment.runner import Experiment, run_experiment
from whisperlab.experiment.scoring import score_outcomes, slice_scores
from whisperlab.experiment.settings import RunSettings
from whisperlab.experiment.shard import WHOLE, Shard
from whisperlab.report.failures import failure_lines
from whisperlab.report.html import write_report
from whisperlab.report.published import published_lines
from whisperlab.report.table import run_table, sweep_table

EXIT_DONE = 0
EXIT_TOO_MANY_FAILED = 3

SETTINGS_KEYS = tuple(RunSettings.__dataclass_fields__)


def evaluate(config: Mapping[str, Any]) -> tuple[RunResult, int]:
    """Returns the finished run that ``config`` describes, and the command's exit code.

    Raises:
        WhisperlabError: as its parts raise; the command turns it into one line and an exit code.
    """
    settings = run_settings(config)
    experiment = build_experiment(config, settings, sys.argv[1:])
    run_dir = Path(settings.run_dir)
    print(f"run folder {run_dir}; resume with: {resume_line(run_dir)}")  # noqa: T201 - a command's face
    with TerminalProgress(raise_if_stopped) as progress:
        result = run_experiment(experiment, run_dir, progress)
    report = report_of(result, experiment)
    Console().print(run_table(result))
    if result.card.dataset.get("skipped"):
        print(f"{result.card.dataset['skipped']} bad rows of the dataset were left out")  # noqa: T201
    if result.duration_mismatches:
        print(  # noqa: T201 - a command's face
            f"{result.duration_mismatches} recordings are not as long as the manifest says "
            f"(by more than 5 % or 0.5 s): see {LOG} in the run folder"
        )
    for line in (*failure_lines(result.scores.failures), *published_lines(result)):
        print(line)  # noqa: T201 - a command's face
    print(f"report: {report}")  # noqa: T201 - a command's face
    return result, exit_code(result, settings.max_failed_fraction)


def run_settings(config: Mapping[str, Any]) -> RunSettings:
    """Returns the settings of the run itself.

    Raises:
        ConfigError: names the key of the first wrong value.
    """
    values = {key: config[key] for key in SETTINGS_KEYS if key in config}
    if "shard" in values:
        values["shard"] = validate(Shard, values["shard"], "shard")
    return validate(RunSettings, values, "")


def report_of(result: RunResult, experiment: Experiment) -> Path:
    """Writes the report of a finished run into its folder and returns its path."""
    scored = score_outcomes(result.outcomes, experiment.profile, experiment.metrics)
    return write_report(
        result,
        {item.outcome.id: item.edits for item in scored if item.outcome.state.scored},
        slice_scores(scored, resamples=experiment.resamples, seed=experiment.card.seed),
        analyse_run(scored, experiment.profile, experiment.card.config).findings,
    )


def build_experiment(
    config: Mapping[str, Any], settings: RunSettings, arguments: Sequence[str]
) -> Experiment:
    """Returns the experiment that ``config`` describes; loads no model.

    ``arguments`` are those of the command that repeats it.

    Raises:
        ConfigError, DatasetError: a setting or the dataset is wrong.
    """
    validate(FailureSettings, config["failures"], "failures")
    transcriber = build_transcriber(config)
    dataset = build_dataset(config)
    profile, metrics = build_profile(config), build_metrics(config)
    kind = resolve(config["device"]["kind"])
    batch_size = default_batch_size(kind) if settings.batch_size == "auto" else settings.batch_size
    identity = dict(dataset.identity())
    hash_ = configuration_hash(config)
    # The limits of the sound door decide which utterances have a text at all.
    options = {"batch_size": batch_size, "seed": settings.seed, "audio": config["audio"]}
    model = config["model"]
    card = RunCard(
        fingerprint=fingerprint(hash_, identity, options),
        configuration_hash=hash_,
        config={**config, "batch_size": batch_size},
        dataset=identity,
        seed=settings.seed,
        command=shlex.join(["python", "-m", "whisperlab.eval", *arguments]),
        git=git_state(),
        versions=versions(),
        model={key: model.get(key) for key in ("name", "source", "revision", "licence", "note")},
        hardware=dict(hardware()),
        shard=None if settings.shard == WHOLE else asdict(settings.shard),
    )
    return Experiment(
        transcriber=transcriber,
        dataset=dataset,
        profile=profile,
        metrics=metrics,
        card=card,
        batch_size=batch_size,
        latency_utterances=settings.latency_utterances,
        resamples=settings.resamples,
        shard=settings.shard,
    )


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
    """Prints the runs of a sweep side by side."""
    Console().print(sweep_table(results))
