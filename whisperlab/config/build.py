"""Building components from resolved configuration: one function each, and the configuration's hash.

Every value is validated by the component's own types; a wrong one fails here, with its full key,
before anything is loaded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from whisperlab.audio import AudioLimits
from whisperlab.config.targets import check_targets, locate
from whisperlab.dataset.perturb.protocol import Perturbation
from whisperlab.dataset.perturbed import PerturbedDataset
from whisperlab.dataset.protocol import Dataset
from whisperlab.dataset.shuffled import ShuffledDataset
from whisperlab.device import Device, Quantization, ResolvedKind, resolve
from whisperlab.engine.model import ModelSpec
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import EngineSettings
from whisperlab.errors import ConfigError
from whisperlab.executor.protocol import BlockExecutor, Executor
from whisperlab.languages import language_code
from whisperlab.metric.protocol import Metric
from whisperlab.normalize.profile import Profile
from whisperlab.preprocess.protocol import Preprocessor
from whisperlab.segmentation.protocol import Segmentation
from whisperlab.transcriber import Transcriber

Settings = TypeVar("Settings")

HASHED_GROUPS = (
    "model",
    "engine",
    "device",
    "quantization",
    "preprocess",
    "segmentation",
    "decode",
)
"""The transcriber part of a configuration, in the order of INTERFACES."""

AS_IT_IS = "dataset"
ORDERS = (AS_IT_IS, "shuffled")
"""In which order the utterances go through: the dataset's own, or one that the seed draws."""


def build_transcriber(config: Mapping[str, Any]) -> Transcriber:
    """Returns the Transcriber that ``config`` describes; loads nothing.

    Evaluation, notebook, app and endpoint all call this one function: what was measured is what is
    served.

    Raises:
        ConfigError: a value is wrong (full key named), or the engine cannot honour an option.
    """
    check_targets({group: _group(config, group) for group in HASHED_GROUPS})
    engine = build_component(
        _group(config, "engine"),
        "engine",
        model=validate(ModelSpec, _group(config, "model"), "model"),
        device=validate(Device, _group(config, "device"), "device"),
        quantization=validate(Quantization, _group(config, "quantization"), "quantization"),
    )
    options = validate(DecodeOptions, _group(config, "decode"), "decode")
    settings = cast("EngineSettings", engine)
    settings.check(options)
    return Transcriber(
        engine=settings,
        preprocessors=tuple(
            cast("Preprocessor", build_component(step, f"preprocess.{name}"))
            for name, step in _group(config, "preprocess").items()
        ),
        segmentation=cast(
            "Segmentation", build_component(_group(config, "segmentation"), "segmentation")
        ),
        options=options,
        limits=validate(AudioLimits, _group(config, "audio"), "audio"),
    )


def build_dataset(config: Mapping[str, Any]) -> Dataset:
    """Returns the dataset of ``config["dataset"]``, perturbed and in the order asked for; reads nothing.

    A configuration without ``perturb`` and ``order`` (an older run's) means the dataset as it is.
    """
    dataset = cast("Dataset", build_component(_group(config, "dataset"), "dataset"))
    steps = config.get("perturb") or {}
    if steps:
        dataset = PerturbedDataset(
            dataset,
            tuple(
                cast("Perturbation", build_component(step, f"perturb.{name}"))
                for name, step in _group(config, "perturb").items()
            ),
            config["seed"],
        )
    order = config.get("order", AS_IT_IS)
    if order not in ORDERS:
        raise ConfigError(f"order: expected one of {', '.join(ORDERS)}, got {order!r}")
    return dataset if order == AS_IT_IS else ShuffledDataset(dataset, config["seed"])


def build_executor(config: Mapping[str, Any]) -> Executor | BlockExecutor:
    """Returns the executor of ``config["executor"]``; starts nothing."""
    return cast("Executor | BlockExecutor", build_component(_group(config, "executor"), "executor"))


def build_profile(config: Mapping[str, Any]) -> Profile:
    """Returns the scoring profile of ``config["profile"]``."""
    return cast("Profile", build_component(_group(config, "profile"), "profile"))


def build_metrics(config: Mapping[str, Any]) -> tuple[Metric, ...]:
    """Returns the metrics of ``config["metric"]`` in their order."""
    return tuple(
        cast("Metric", build_component(node, f"metric.{name}"))
        for name, node in _group(config, "metric").items()
    )


def _group(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Returns a group's settings; a file of one's own can leave a group out or overwrite it."""
    group = config.get(name)
    if not isinstance(group, Mapping):
        came = "none" if group is None else repr(group)
        raise ConfigError(f"{name}: expected the settings of this group, got {came:.80}")
    return group


def configuration_hash(config: Mapping[str, Any]) -> str:
    """Returns 16 hex digits that name the transcriber part of ``config`` (INTERFACES: hash).

    SHA-256 over canonical JSON: keys sorted, lists in order, the device by its resolved kind, the
    preprocessing chain as an ordered list of ``{name, settings}``.
    """
    device = validate(Device, config["device"], "device")
    return configuration_hash_on(config, resolve(device.kind))


def configuration_hash_on(config: Mapping[str, Any], kind: ResolvedKind) -> str:
    """Returns the hash of ``config`` on a device that need not be this machine's."""
    part: dict[str, Any] = {group: config[group] for group in HASHED_GROUPS}
    part["device"] = {"kind": kind}
    part["preprocess"] = [
        {"name": name, "settings": settings} for name, settings in config["preprocess"].items()
    ]
    canonical = json.dumps(part, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def build_component(node: Any, key: str, **given: object) -> object:
    """Returns the component that ``node`` (a mapping with ``_target_``) describes.

    Nested mappings with a ``_target_``, also in lists, are built first. ``given`` are keyword arguments that other
    groups supply.

    Raises:
        ConfigError: the target is not allowed or a value is wrong; names the full key.
    """
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise ConfigError(f"{key}: expected a mapping with _target_, got {node!r}")
    component = locate(node["_target_"], f"{key}._target_")
    settings = {
        name: _build_value(value, f"{key}.{name}")
        for name, value in node.items()
        if name != "_target_"
    }
    for name in set(settings) & set(given):
        raise ConfigError(f"{key}.{name}: comes from the {name} group; set it there")
    try:
        return component(**settings, **given)
    except ValidationError as error:
        raise invalid(error, key) from error


def _build_value(value: Any, key: str) -> object:
    if isinstance(value, Mapping) and "_target_" in value:
        return build_component(value, key)
    if isinstance(value, list):
        return [_build_value(item, f"{key}[{index}]") for index, item in enumerate(value)]
    return value


def validate(settings: type[Settings], values: Any, key: str) -> Settings:
    """Returns ``settings`` built from ``values``; names the full key of the first wrong value.

    Raises:
        ConfigError: unknown key, wrong type or out of range.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{key}: expected a mapping of settings, got {values!r}")
    check_targets(values, key)
    try:
        return settings(**values)
    except ValidationError as error:
        raise invalid(error, key) from error


def invalid(error: ValidationError, key: str) -> ConfigError:
    """Returns pydantic's first finding as one line that starts with the full key."""
    first = error.errors(include_url=False, include_context=False)[0]
    # pydantic puts the branches of a union ("constrained-int") among the keys
    steps = [str(step) for step in first["loc"] if str(step).replace("_", "").isalnum()]
    where = ".".join([*([key] if key else []), *steps])
    got = first.get("input")
    shown = f", got {got!r}" if isinstance(got, str | int | float | None) else ""
    said = first["msg"].removeprefix("Value error, ")
    return ConfigError(f"{where}: {said}{shown}{_meant(first['type'], where, got)}")


def _meant(kind: str, where: str, got: object) -> str:
    """Returns which key or language was probably meant, as the end of a sentence."""
    if kind == "string_pattern_mismatch" and where.endswith("language"):
        code = language_code(str(got))
        return f"; write {code}" if code else "; write a code as en or de, null detects it"
    if kind != "unexpected_keyword_argument":
        return ""
    from whisperlab.config.suggestions import nearest_key  # reads all of conf/

    close = nearest_key(where)
    return f"; did you mean {close}?" if close and close != where else ""
