"""Every mode's variants compose, and a mode that means nothing is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from whisperlab.config.build import build_dataset, validate
from whisperlab.config.compose import CONF_DIR, compose
from whisperlab.errors import ConfigError
from whisperlab.eval.mode import Mode, mode_of

NAMES = sorted(path.stem for path in (CONF_DIR / "mode").glob("*.yaml"))


def mode(name: str) -> Mode:
    return mode_of(compose("eval", [f"mode={name}"]))


@pytest.mark.parametrize("name", NAMES)
def test_a_mode_is_called_as_its_file_and_every_variant_composes(name: str) -> None:
    found = mode(name)
    assert found.name == name
    for variant, overrides in found.variants.items():
        config = compose("eval", [*found.variants[found.baseline], *overrides])
        assert len(build_dataset(config)) == 24, variant


def test_variants_of_a_mode_are_unlike_each_other() -> None:
    for name in NAMES:
        variants = mode(name).variants
        assert len({tuple(overrides) for overrides in variants.values()}) == len(variants) or (
            name == "invariance"  # its "again" is the baseline once more, on purpose
        )


def test_what_must_be_equal_hears_the_same_sound_as_the_baseline() -> None:
    found = mode("invariance")
    heard: dict[str, Any] = {}
    for variant in ("one_by_one", *found.must_equal):
        config = compose("eval", [*found.variants["one_by_one"], *found.variants[variant]])
        heard[variant] = build_dataset(config).identity().get("perturbations")
    assert set(heard.values()) == {None, "flac24 16 kHz"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": "invariance", "variants": {"a": []}}, "expected a baseline and a variant, got 1"),
        ({"name": "single", "variants": {"a": [], "b": []}}, "expected no variants in mode single"),
        ({"name": "robustness", "variants": {"a": [], "../b": []}}, "mode.variants"),
        (
            {"name": "invariance", "variants": {"a": [], "b": []}, "must_equal": ["a"]},
            "after the first",
        ),
    ],
)
def test_a_mode_that_means_nothing_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        validate(Mode, settings, "mode")


def test_a_mode_does_not_replace_perturbations_silently() -> None:
    with pytest.raises(ConfigError, match="mode=robustness perturbs by itself"):
        mode_of(compose("eval", ["mode=robustness", "perturb=[noise]"]))
    assert Path(CONF_DIR / "mode" / "single.yaml").exists()
