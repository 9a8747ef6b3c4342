"""The settings of a run that are not part of a component: folder, batching, seed, sampling."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.experiment.shard import WHOLE, Shard

MAX_BATCH_SIZE = 4096


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class RunSettings:
    """The top-level keys of conf/eval.yaml; defaults stand there, ranges here."""

    run_dir: Annotated[str, Field(min_length=1)]
    batch_size: Annotated[int, Field(ge=1, le=MAX_BATCH_SIZE)] | Literal["auto"]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    latency_utterances: Annotated[int, Field(ge=0)]
    resamples: Annotated[int, Field(ge=1, le=1_000_000)]
    max_failed_fraction: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    profile_stages: bool = False
    prepare_processes: Annotated[int, Field(ge=0, le=256)] | Literal["auto"] = "auto"
    shard: Shard = WHOLE
