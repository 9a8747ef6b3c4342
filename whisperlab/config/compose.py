"""Composing configurations with Hydra, from files that are checked before Hydra reads them.

Owns CONF_DIR, the composition and what a configuration file may contain. It does not know what the
configuration builds.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from whisperlab.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parents[1]
CONF_DIR: Path = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"
"""The shipped configuration: inside the wheel, or beside the package in a checkout."""

MAX_CONFIG_BYTES = 1 << 20
"""A configuration file of more than 1 MiB is a mistake or an attack."""

ALLOWED_RESOLVERS = frozenset({"now"})
"""Interpolation functions a configuration may call; ``oc.env`` would copy secrets into run.json."""

MAX_CONFIG_DEPTH = 40
"""Levels of a configuration file; the deepest of ours has 5, and a parser recurses on each."""

_composing = threading.Lock()
"""Hydra composes through a singleton of the process; a server's threads take turns."""

_STEP_LISTS = ("preprocess", "perturb")
"""Groups whose choices are a list of steps in order; Hydra keeps the first of two equal ones."""
_LIST = re.compile(r"\[([^\[\]]*)\]")

_RESOLVER = re.compile(r"\$\{\s*([A-Za-z_][\w.]*)\s*:")
_NESTED = re.compile(r"\$\{[^{}]*\$\{")
"""``${oc.${x}:HOME}``: a resolver's name can itself be an interpolation, so none may hold another."""


def compose(
    config_name: str, overrides: Sequence[str] = (), config_dir: Path | None = None
) -> Mapping[str, Any]:
    """Returns the resolved configuration ``config_name`` of CONF_DIR as plain JSON values.

    ``config_dir`` adds options of one's own, as ``--config-dir`` does.

    Raises:
        ConfigError: an override or a value is wrong; the message names the key.
    """
    from hydra.errors import HydraException

    if any(override.lstrip("+~").startswith("hydra") for override in overrides):
        # Hydra's own section can name packages to import (hydra.searchpath=[pkg://...]).
        raise ConfigError("hydra's own settings are not allowed here; use --config-dir")
    check_steps(overrides)
    own = []
    if config_dir is not None:
        check_config_dir(config_dir)
        own = [f"hydra.searchpath=['file://{config_dir.resolve()}']"]
    try:
        with _composing:
            GlobalHydra.instance().clear()
            with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
                composed = hydra_compose(config_name=config_name, overrides=[*own, *overrides])
    except (
        HydraException,
        OmegaConfBaseException,
        ValueError,  # Hydra's, for a group's choice that is neither name nor list
        RecursionError,  # its parser's, for 10^4 brackets
    ) as error:
        from whisperlab.config.suggestions import explained

        raise ConfigError(explained(error)) from error
    return resolve(composed)


def check_steps(overrides: Sequence[str]) -> None:
    """Raises for a list that names a step twice: Hydra would leave the second out without a word.

    Raises:
        ConfigError: naming the override and the step.
    """
    for override in overrides:
        key, _, value = override.partition("=")
        if key.lstrip("+") not in _STEP_LISTS:
            continue
        for steps in _LIST.findall(value):
            names = [name.strip() for name in steps.split(",")]
            for repeated in (name for name in names if name and names.count(name) > 1):
                raise ConfigError(
                    f"{override}: expected each step once, got {repeated} twice; for a second one copy "
                    f"conf/{key.lstrip('+')}/{repeated}.yaml, with its key, under another name into --config-dir DIR"
                )


def resolve(composed: DictConfig) -> Mapping[str, Any]:
    """Returns ``composed`` with its interpolations resolved, as plain JSON values.

    Raises:
        ConfigError: a resolver that is not allowed, a cycle, or a missing mandatory value.
    """
    raw = OmegaConf.to_container(composed, resolve=False)
    for key, text in _strings(raw):
        if _NESTED.search(text):
            raise ConfigError(
                f"{key}: an interpolation inside an interpolation is not allowed; write it out"
            )
        for resolver in _RESOLVER.findall(text):
            if resolver not in ALLOWED_RESOLVERS:
                raise ConfigError(
                    f"{key}: interpolation ${{{resolver}:...}} is not allowed; write the value itself "
                    "or pass it as an override"
                )
    try:
        resolved = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise ConfigError(
            f"{error.full_key}: expected a value, got none; give {error.full_key}=VALUE"
        ) from error
    except OmegaConfBaseException as error:
        raise ConfigError(one_line(error)) from error
    except RecursionError as error:
        raise ConfigError(
            "the configuration's interpolations refer to each other in a cycle"
        ) from error
    return cast("Mapping[str, Any]", resolved)


def check_config_dir(folder: Path) -> None:
    """Raises unless every YAML file below a user's ``--config-dir`` is safe to hand to Hydra.

    Linked folders are looked through too: Hydra follows them. Anchors and aliases are refused (a
    nine-level chain of them expands to a billion nodes), as are tags (they can name Python objects),
    second documents, files over 1 MiB or 40 levels deep and files that are not UTF-8.

    Raises:
        ConfigError: naming the file, and the line where there is one.
    """
    if not folder.is_dir():
        raise ConfigError(
            f"--config-dir {folder}: not a folder; give the folder that holds your groups"
        )
    for path in sorted(_yaml_files(folder)):
        if not path.is_file():
            raise ConfigError(f"{path}: expected a file, found a folder or a device")
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ConfigError(
                f"{path}: larger than {MAX_CONFIG_BYTES} bytes; a configuration is small"
            )
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: not UTF-8 text; save the file as UTF-8") from error
        _check_events(path, text)
        _check_defaults(path, text)


def _check_defaults(path: Path, text: str) -> None:
    """Raises for a defaults list that reaches outside the folders that were checked."""
    content = yaml.safe_load(text)
    chosen = content.get("defaults") if isinstance(content, Mapping) else None
    if any(".." in value for _, value in _strings(chosen)):
        raise ConfigError(
            f"{path}: a defaults list cannot reach outside its folder; leave '..' out"
        )


def _yaml_files(folder: Path) -> Iterator[Path]:
    """Yields what Hydra could read as ``*.yaml`` below ``folder``; each real folder once."""
    seen: set[str] = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        for name in (*names, *folders):
            if name.endswith(".yaml"):
                yield Path(root, name)


def _check_events(path: Path, text: str) -> None:
    depth = documents = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            where = path if event.start_mark is None else f"{path}:{event.start_mark.line + 1}"
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise ConfigError(f"{where}: YAML anchors are not allowed; use ${{key}} instead")
            if tag := getattr(event, "tag", None):  # only where one is written
                raise ConfigError(f"{where}: tag {tag} is not allowed; write plain values")
            documents += isinstance(event, yaml.DocumentStartEvent)
            if documents > 1:
                raise ConfigError(f"{where}: expected one document, found '---'; use two files")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_CONFIG_DEPTH:
                raise ConfigError(f"{where}: more than {MAX_CONFIG_DEPTH} levels; flatten it")
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {one_line(error)}") from error


def _strings(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, str):
        yield key, node
    elif isinstance(node, Mapping):
        for name, value in node.items():
            yield from _strings(value, f"{key}.{name}" if key else str(name))
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from _strings(value, f"{key}[{index}]")


def one_line(error: BaseException) -> str:
    """Returns an error's text folded into one line."""
    return " ".join(str(error).split())
