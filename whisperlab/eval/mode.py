"""One evaluation as several runs: the variants of a mode, each a run of its own in a folder of its own.

Owns which runs a mode stands for. It does not know what is made of them.

A variant is the command's configuration with further overrides, so each of its runs can be repeated
and resumed by itself: ``python -m whisperlab.eval ... batch_size=8 run_dir=PATH/batch_8``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from whisperlab.config.build import validate
from whisperlab.config.command import overridden, recompose
from whisperlab.errors import ConfigError

VariantName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
"""Also the name of the run's folder."""

FEWEST_VARIANTS = 2


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class Mode:
    """What ``conf/mode/NAME.yaml`` says: overrides by variant; the first is the baseline of all.

    The baseline's overrides hold for every variant. ``must_equal`` names those whose texts must be
    the baseline's.
    """

    name: Literal["single", "invariance", "robustness"]
    variants: dict[VariantName, list[str]] = field(default_factory=dict)
    must_equal: list[str] = field(default_factory=list)

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        unknown = [name for name in self.must_equal if name not in list(self.variants)[1:]]
        if unknown:
            raise ValueError(f"expected variants after the first in must_equal, got {unknown[0]}")
        if self.name == "single" and self.variants:
            raise ValueError("expected no variants in mode single; choose another name")
        if self.name != "single" and len(self.variants) < FEWEST_VARIANTS:
            raise ValueError(f"expected a baseline and a variant, got {len(self.variants)}")
        return self

    @property
    def baseline(self) -> str:
        """Name of the variant that the others are set against."""
        return next(iter(self.variants))


def mode_of(config: Mapping[str, Any]) -> Mode:
    """Returns the mode of a composed configuration.

    Raises:
        ConfigError: a wrong setting, or perturbations where the mode brings its own.
    """
    mode = validate(Mode, config["mode"], "mode")
    if mode.variants and config["perturb"]:
        raise ConfigError(
            f"mode={mode.name} perturbs by itself, got perturb={list(config['perturb'])}; leave it "
            "empty, or write a mode of your own with them in its first variant"
        )
    return mode


def variant_arguments(mode: Mode, name: str, run_dir: Path) -> list[str]:
    """Returns the arguments of the command that is this variant alone, kept below ``run_dir``."""
    kept = [
        override
        for override in overridden()
        if not re.match(r"[+~]*(mode|run_dir)(=|\.|$)", override)
    ]
    overrides = dict.fromkeys([*mode.variants[mode.baseline], *mode.variants[name]])
    return [*kept, *overrides, f"run_dir={_quoted(run_dir / name)}"]


def variant_config(arguments: Sequence[str], run_dir: Path, name: str) -> Mapping[str, Any]:
    """Returns the configuration that the arguments of a variant compose."""
    return {**recompose(arguments), "run_dir": str(run_dir / name)}


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
