"""Which classes a configuration may name in ``_target_``, and nothing else.

Hydra's own block-list still lets ``shutil.copy``, ``pip.main`` or ``pandas.read_pickle`` run (1.3.8),
so nothing here uses it: a target is an exact class of one of the plug-in rooms, found without
importing anything else, and its identity is checked on the object, not on the name
(``whisperlab.engine.protocol.Sequence`` would resolve, but it is not ours).

A third party's plug-ins are trusted by the environment variable ``WHISPERLAB_TRUSTED_PACKAGES``
(comma-separated top-level packages), never by the configuration under check.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from whisperlab.errors import ConfigError

PLUGIN_ROOMS = (
    "dataset",
    "engine",
    "executor",
    "metric",
    "normalize",
    "preprocess",
    "segmentation",
)
TRUSTED_PACKAGES_VARIABLE = "WHISPERLAB_TRUSTED_PACKAGES"

_DOTTED_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*){2,}")
_HYDRA_KEYS = ("_args_", "_partial_", "_recursive_", "_convert_")


def check_targets(config: Any, key: str = "") -> None:
    """Raises unless every ``_target_`` in ``config`` (nested mappings and lists) is allowed.

    Raises:
        ConfigError: ``target_not_allowed``, naming the full key and what to do.
    """
    for where, name in _targets(config, key):
        locate(name, where)


def locate(name: object, key: str) -> type[Any]:
    """Returns the allowed class called ``name``; ``key`` is where it stood, for the message.

    Raises:
        ConfigError: the name is not an exact class of a plug-in room or a trusted package.
    """
    if not isinstance(name, str) or not _DOTTED_NAME.fullmatch(name):
        raise _refusal(name, key)
    module_name, _, class_name = name.rpartition(".")
    if not _may_be_imported(module_name):
        raise _refusal(name, key)
    if not _exists(module_name):
        where = f"no module {module_name} is installed or lies in {Path.cwd()}"
        raise _refusal(name, key, "" if module_name.startswith("whisperlab.") else where)
    own = _classes(importlib.import_module(module_name))
    found = own.get(class_name)
    if found is None:
        close = difflib.get_close_matches(class_name, own, n=1)
        hint = f"; did you mean {module_name}.{close[0]}?" if close else ""
        raise _refusal(name, key, f"{module_name} has no class {class_name} of its own{hint}")
    if not hasattr(found, "__pydantic_fields__"):  # a component is a validated settings class
        raise _refusal(
            name,
            key,
            f"{class_name} is no pydantic dataclass; decorate it with pydantic.dataclasses.dataclass",
        )
    return found


def _classes(module: ModuleType) -> dict[str, type[Any]]:
    """Returns the classes that a module defines itself, by name; what it imports is another's."""
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__
    }


def _may_be_imported(module_name: str) -> bool:
    """True for a module of a plug-in room or of a trusted package, whether it exists or not."""
    package, _, rest = module_name.partition(".")
    if package == "whisperlab":
        return rest.partition(".")[0] in PLUGIN_ROOMS and "." in rest
    return package in trusted_packages()


def _exists(module_name: str) -> bool:
    """True for a module that can be found; imports only its parents."""
    try:
        return importlib.util.find_spec(module_name) is not None
    except ModuleNotFoundError:
        return False


def trusted_packages() -> frozenset[str]:
    """Returns the third-party packages that the user trusts by environment variable."""
    named = os.environ.get(TRUSTED_PACKAGES_VARIABLE, "")
    return frozenset(package.strip() for package in named.split(",") if package.strip())


def _targets(node: Any, key: str) -> Iterator[tuple[str, object]]:
    """Yields ``(full key, value)`` of every target; refuses Hydra's instantiate directives."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            where = f"{key}.{name}" if key else str(name)
            if name == "_target_":
                yield where, value
            elif name in _HYDRA_KEYS:
                raise ConfigError(
                    f"{where}: {name} is not allowed; write the settings as plain keys",
                    code="target_not_allowed",
                )
            else:
                yield from _targets(value, where)
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from _targets(value, f"{key}[{index}]")


def _refusal(name: object, key: str, why: str = "") -> ConfigError:
    """Returns the error for a target; ``why`` where its package is allowed and something else is wrong."""
    if not why:
        close = difflib.get_close_matches(str(name), known_targets(), n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]}?" if close else ""
        why = (
            f"{name!r} is not a component of whisperlab{hint} "
            f"(trust a package of your own with {TRUSTED_PACKAGES_VARIABLE}=NAME)"
        )
    return ConfigError(f"{key}: target not allowed: {why}", code="target_not_allowed")


def known_targets() -> list[str]:
    """Returns every target that the shipped configuration names, for suggestions."""
    from whisperlab.config.compose import CONF_DIR

    found: set[str] = set()
    for path in Path(CONF_DIR).rglob("*.yaml"):
        found.update(re.findall(r"_target_:\s*([\w.]+)", path.read_text(encoding="utf-8")))
    return sorted(found)
