"""The settings of the page: the group ``app`` of conf/app.yaml. Defaults stand there, ranges here."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.serve.settings import Names


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class AppSettings:
    """Where runs are, what can be evaluated, how long uploads are kept, how many jobs run and wait.

    ``datasets`` are names of conf/dataset that need no further setting, ``manifests`` paths.
    """

    runs_dir: Annotated[str, Field(min_length=1)]
    datasets: Names
    manifests: Names
    keep_seconds: Annotated[float, Field(ge=60, le=604_800, allow_inf_nan=False)]
    concurrency: Annotated[int, Field(ge=1, le=64)]
    queue_size: Annotated[int, Field(ge=1, le=10_000)]
