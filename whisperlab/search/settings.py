"""The settings of a search; defaults stand in conf/search.yaml, ranges here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from whisperlab.experiment.settings import MAX_BATCH_SIZE
from whisperlab.experiment.shard import Shard

Limit = Annotated[float, Field(gt=0, allow_inf_nan=False)]
MOST_POINTS = 100.0


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class SearchSettings:
    """The keys of ``search`` in conf/search.yaml; ``tolerance`` is in percentage points of WER."""

    candidates: list[str]
    ranges: Mapping[str, Any]
    samples: Annotated[int, Field(ge=0, le=10_000)]
    tolerance: Annotated[float, Field(ge=0, le=MOST_POINTS, allow_inf_nan=False)]
    alpha: Annotated[float, Field(gt=0, lt=1)]
    objectives: Annotated[list[Literal["wer", "p95", "rtfx", "memory"]], Field(min_length=1)]
    audio_hours: Limit | None
    minutes: Limit | None
    block_size: Annotated[int, Field(ge=1)]
    keep_loaded: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _wer_leads(self) -> SearchSettings:
        if self.objectives[0] != "wer" or len(set(self.objectives)) != len(self.objectives):
            raise ValueError(f"expected wer first and nothing twice, got {self.objectives}")
        if bool(self.ranges) != bool(self.samples):
            raise ValueError(
                f"expected ranges and samples together, got {len(self.ranges)} ranges and "
                f"samples={self.samples}"
            )
        return self


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class SearchRun:
    """The top-level keys that are the search's own."""

    search_dir: Annotated[str, Field(min_length=1)]
    batch_size: Annotated[int, Field(ge=1, le=MAX_BATCH_SIZE)] | Literal["auto"]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    resamples: Annotated[int, Field(ge=1, le=1_000_000)]
    shard: Shard
