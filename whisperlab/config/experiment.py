"""From a composed configuration to an Experiment that can run, and its report.

Owns what a run card says. It does not know how a run goes on or what a command prints.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from whisperlab.config.build import (
    build_dataset,
    build_metrics,
    build_profile,
    build_transcriber,
    configuration_hash,
    validate,
)
from whisperlab.device import (
    Quantization,
    ResolvedKind,
    default_batch_size,
    default_prepare_processes,
    hardware,
    resolve,
)
from whisperlab.engine.model import ModelSpec
from whisperlab.experiment.failure_settings import FailureSettings
from whisperlab.experiment.failures import analyse_run
from whisperlab.experiment.floor import measured_floor
from whisperlab.experiment.folder import fingerprint
from whisperlab.experiment.provenance import git_state, versions
from whisperlab.experiment.result import Floor, RunCard, RunResult
from whisperlab.experiment.runner import Experiment
from whisperlab.experiment.scoring import score_outcomes, slice_scores
from whisperlab.experiment.settings import RunSettings
from whisperlab.experiment.shard import WHOLE, Shard
from whisperlab.report.html import write_report
from whisperlab.utterance import Outcome

SETTINGS_KEYS = tuple(RunSettings.__dataclass_fields__)


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
    processes = settings.prepare_processes
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
        floor=_floor(config, kind, batch_size) if settings.profile_stages else None,
        shard=settings.shard,
        prepare_processes=default_prepare_processes(kind) if processes == "auto" else processes,
    )


def _floor(
    config: Mapping[str, Any], kind: ResolvedKind, batch_size: int
) -> Callable[[Sequence[Outcome]], Floor | None]:
    """Returns what measures the floor of this configuration's stages."""
    model = validate(ModelSpec, config["model"], "model")
    quantization = validate(Quantization, config["quantization"], "quantization")
    return partial(measured_floor, model, kind, quantization.name, batch_size)
