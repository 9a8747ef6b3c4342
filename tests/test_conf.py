"""Every yaml composes, builds offline, and is what its folder says."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from whisperlab.audio import AudioLimits
from whisperlab.config.build import (
    build_component,
    build_transcriber,
    configuration_hash,
    validate,
)
from whisperlab.config.compose import CONF_DIR, compose
from whisperlab.dataset.perturb.protocol import Perturbation
from whisperlab.dataset.protocol import Dataset
from whisperlab.device import Device, Quantization
from whisperlab.engine.model import ModelSpec
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import EngineSettings
from whisperlab.errors import ConfigError, UnsupportedOptionError
from whisperlab.executor.protocol import BlockExecutor, Executor
from whisperlab.metric.protocol import Metric
from whisperlab.normalize.profile import Profile
from whisperlab.preprocess.protocol import Preprocessor
from whisperlab.segmentation.protocol import Segmentation
from whisperlab.transcriber import Transcriber

LIST_GROUPS: dict[str, Any] = {
    "preprocess": Preprocessor,
    "metric": Metric,
    "perturb": Perturbation,
}
PROTOCOLS: dict[str, Any] = {
    "dataset": Dataset,
    "executor": (Executor, BlockExecutor),
    "engine": EngineSettings,
    "segmentation": Segmentation,
    "profile": Profile,
}
SETTINGS: dict[str, type[Any]] = {
    "model": ModelSpec,
    "device": Device,
    "quantization": Quantization,
    "decode": DecodeOptions,
}
MANDATORY = {"revision": "0" * 40}
"""A valid value for a key that a yaml leaves to the user; any other key takes a path."""


def options(*groups: str) -> list[tuple[str, str]]:
    return [
        (group, path.stem if path.suffix == ".yaml" else path.name)
        for group in groups
        for path in sorted((CONF_DIR / group).glob("*.yaml"))
    ]


def raw(group: str, name: str) -> Any:
    return yaml.safe_load((CONF_DIR / group / f"{name}.yaml").read_text(encoding="utf-8"))


def test_every_folder_of_conf_is_tested_here() -> None:
    found = {path.parent.relative_to(CONF_DIR).as_posix() for path in CONF_DIR.rglob("*.yaml")}
    known = {*LIST_GROUPS, *PROTOCOLS, *SETTINGS, ".", "mode", "preset", "experiment", "space"}
    assert found <= known


@pytest.mark.parametrize("path", sorted(CONF_DIR.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_yaml_says_in_its_first_comment_what_it_is(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    first = lines[1] if lines[0].startswith("# @package") else lines[0]
    assert first.startswith("# ")
    assert len(first) > len("# a word")


@pytest.mark.parametrize(("group", "name"), options(*LIST_GROUPS))
def test_a_list_option_stands_under_its_own_name_and_keeps_its_protocol(
    group: str, name: str
) -> None:
    content = raw(group, name)
    assert list(content) == [name]
    built = build_component(content[name], f"{group}.{name}")
    assert isinstance(built, LIST_GROUPS[group])


@pytest.mark.parametrize(("group", "name"), options(*PROTOCOLS))
def test_an_option_builds_offline_and_keeps_its_protocol(group: str, name: str) -> None:
    content = raw(group, name)
    choice = [f"{group}={name}"]
    choice += [
        f"{group}.{key}={MANDATORY.get(key, 'some/where')}"
        for key, value in content.items()
        if value == "???"
    ]
    config = compose("eval", choice)
    if group == "engine":
        built: object = build_transcriber(config).settings
    else:
        built = build_component(config[group], group)
    assert isinstance(built, PROTOCOLS[group])


@pytest.mark.parametrize(("group", "name"), options(*SETTINGS))
def test_a_settings_option_composes_and_is_valid(group: str, name: str) -> None:
    config = compose("transcriber", [f"{group}={name}"])
    assert isinstance(validate(SETTINGS[group], config[group], group), SETTINGS[group])


@pytest.mark.parametrize(("group", "name"), options("model"))
def test_a_model_of_the_hub_is_pinned_and_says_its_licence_and_size(group: str, name: str) -> None:
    model = validate(ModelSpec, raw(group, name), group)
    assert model.name == name
    if model.source is not None and "/" in model.source:
        assert model.revision is not None
        assert model.licence is not None
        assert model.size_megabytes is not None


@pytest.mark.parametrize(
    ("group", "settings"), [("decode/default", DecodeOptions), ("audio", AudioLimits)]
)
def test_the_yaml_s_defaults_are_the_class_s(group: str, settings: type[Any]) -> None:
    config = compose("transcriber")
    written = config[group.partition("/")[0]]
    assert list(written) == [field.name for field in dataclasses.fields(settings)]
    assert validate(settings, written, group) == settings()


def test_a_choice_that_the_engine_cannot_do_fails_at_build_and_says_what_it_can() -> None:
    with pytest.raises(UnsupportedOptionError, match="choose quantization=bnb_int8"):
        build_transcriber(compose("transcriber", ["engine=hf", "quantization=int8"]))


def test_the_order_of_preprocessing_is_the_list_s_and_changes_the_hash() -> None:
    one = compose("transcriber", ["preprocess=[loudness,trim]", "device=cpu"])
    other = compose("transcriber", ["preprocess=[trim,loudness]", "device=cpu"])
    assert list(one["preprocess"]) == ["loudness", "trim"]
    assert list(other["preprocess"]) == ["trim", "loudness"]
    assert configuration_hash(one) != configuration_hash(other)


def test_the_hash_names_the_transcriber_part_alone() -> None:
    plain = compose("eval", ["device=cpu"])
    assert len(configuration_hash(plain)) == 16
    for override in ("dataset=demo_digits", "profile=raw", "batch_size=7", "run_dir=elsewhere"):
        assert configuration_hash(compose("eval", ["device=cpu", override])) == configuration_hash(
            plain
        )
    for override in ("model=base", "quantization=bfloat16", "decode.beam_size=5"):
        assert configuration_hash(compose("eval", ["device=cpu", override])) != configuration_hash(
            plain
        )


def test_auto_is_hashed_as_the_device_that_it_means() -> None:
    from whisperlab.device import resolve

    auto, named = (compose("transcriber", [f"device={kind}"]) for kind in ("auto", resolve("auto")))
    assert configuration_hash(auto) == configuration_hash(named)


def test_a_wrong_value_is_named_with_its_full_key() -> None:
    config = compose("transcriber", ["preprocess=[trim]", "preprocess.trim.threshold_db=-1"])
    with pytest.raises(ConfigError, match=r"^preprocess\.trim\.threshold_db"):
        build_transcriber(config)


def test_one_function_builds_every_face_s_transcriber() -> None:
    from whisperlab.config.experiment import build_experiment
    from whisperlab.experiment.settings import RunSettings

    config = compose("eval", ["engine=replay"])
    settings = RunSettings("run", 2, 0, 0, 10, 0.0)
    experiment = build_experiment(config, settings, [])
    built = build_transcriber(compose("transcriber", ["engine=replay"]))
    assert type(experiment.transcriber) is Transcriber
    assert experiment.transcriber.settings == built.settings
    assert experiment.transcriber.options == built.options
