"""From a search's configuration to the plan of a race; loads no model.

Owns which configurations are raced and over what.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from whisperlab.config.build import (
    build_dataset,
    build_executor,
    build_profile,
    build_transcriber,
    configuration_hash,
    validate,
)
from whisperlab.config.compose import compose
from whisperlab.device import default_batch_size, resolve
from whisperlab.errors import ConfigError
from whisperlab.executor.here import Here
from whisperlab.experiment.race_plan import Budget, Candidate, RacePlan
from whisperlab.experiment.racing import Objective, RaceRules
from whisperlab.experiment.shard import Shard
from whisperlab.metric.wer import WordErrorRate
from whisperlab.search.settings import SearchRun, SearchSettings
from whisperlab.search.space import combinations, drawn, listed

POINTS_PER_UNIT: Final = 100.0
"""Percentage points in a rate of 1."""


def plan_of(
    config: Mapping[str, Any], overrides: Sequence[str], config_dir: Path | None
) -> tuple[RacePlan, SearchRun, SearchSettings]:
    """Returns the race that ``config`` describes, and its settings.

    ``overrides`` are those that ``config`` was composed with: every candidate starts from them.

    Raises:
        ConfigError: a setting or a candidate is wrong; names the key, or the candidate's overrides.
        DatasetError: the dataset is wrong.
    """
    values = {key: config[key] for key in SearchRun.__dataclass_fields__}
    run = validate(SearchRun, values | {"shard": validate(Shard, values["shard"], "shard")}, "")
    settings = validate(SearchSettings, config["search"], "search")
    kind = resolve(config["device"]["kind"])
    batch_size = default_batch_size(kind) if run.batch_size == "auto" else run.batch_size
    if "p95" in settings.objectives and batch_size != 1:
        raise ConfigError(
            f"search.objectives: p95 is the latency of one utterance at a time, got batch_size="
            f"{batch_size}; set batch_size=1 or leave p95 out"
        )
    if "memory" in settings.objectives and kind != "cuda":
        raise ConfigError(
            f"search.objectives: memory of engines in one process can be told apart on cuda alone, got "
            f"device {kind}; leave memory out, or compare runs of `whisperlab.eval -m`"
        )
    at_once, parts = (config["executor"].get(key) for key in ("workers", "part_count"))
    if parts is not None and parts > at_once:
        raise ConfigError(
            f"executor.part_count: a search's parts wait for each other, so all must run at once, got {parts} for "
            f"executor.workers={at_once}; leave part_count out"
        )
    if "memory" in settings.objectives and not isinstance(build_executor(config), Here):
        raise ConfigError(
            "search.objectives: memory is measured in one process, got another executor; "
            "leave memory out, or take executor=here"
        )
    dataset = build_dataset(config)
    plan = RacePlan(
        candidates=tuple(
            _candidate(extra, overrides, config_dir)
            for extra in _lines(config["space"], settings, run.seed)
        ),
        utterances=tuple(dataset),
        dataset=dict(dataset.identity()),
        profile=build_profile(config),
        metrics=(WordErrorRate(),),
        rules=RaceRules(
            tolerance=settings.tolerance / POINTS_PER_UNIT,
            alpha=settings.alpha,
            objectives=tuple(Objective(name) for name in settings.objectives),
        ),
        budget=Budget(settings.audio_hours, settings.minutes),
        block_size=settings.block_size,
        batch_size=batch_size,
        seed=run.seed,
    )
    return plan, run, settings


def _lines(space: Mapping[str, Any], settings: SearchSettings, seed: int) -> list[tuple[str, ...]]:
    """Returns the overrides of all candidates: product of space and draws, then those listed."""
    combined = combinations(space)
    draws = drawn(settings.ranges, settings.samples, seed)
    product = [(*one, *other) for one, other in itertools.product(combined or [()], draws or [()])]
    return [*(line for line in product if line), *listed(settings.candidates)]


def _candidate(
    extra: tuple[str, ...], overrides: Sequence[str], config_dir: Path | None
) -> Candidate:
    try:
        config = compose("search", [*overrides, *extra], config_dir)
        transcriber = build_transcriber(config)
    except ConfigError as error:
        raise ConfigError(f"{' '.join(extra)}: {error}", code=error.code) from error
    return Candidate(configuration_hash(config), extra, config, transcriber)
