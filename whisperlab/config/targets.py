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
    if not _is_plugin_module(module_name):
        raise _refusal(name, key)
    found = getattr(importlib.import_module(module_name), class_name, None)
    if not isinstance(found, type) or found.__module__ != module_name:
        raise _refusal(name, key)
    if not hasattr(found, "__pydantic_fields__"):  # a component is a validated settings class
        raise _refusal(name, key)
    return found


def _is_plugin_module(module_name: str) -> bool:
    """True for an existing module of a plug-in room or of a trusted package; imports only parents."""
    package, _, rest = module_name.partition(".")
    if package == "whisperlab":
        if rest.partition(".")[0] not in PLUGIN_ROOMS or "." not in rest:
            return False
    elif package not in trusted_packages():
        return False
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


def _refusal(name: object, key: str) -> ConfigError:
    close = difflib.get_close_matches(str(name), known_targets(), n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]}?" if close else ""
    return ConfigError(
        f"{key}: target not allowed: {name!r} is not a component of whisperlab{hint} "
        f"(trust a package of your own with {TRUSTED_PACKAGES_VARIABLE}=NAME)",
        code="target_not_allowed",
    )


def known_targets() -> list[str]:
    """Returns every target that the shipped configuration names, for suggestions."""
    from whisperlab.config.compose import CONF_DIR

    found: set[str] = set()
    for path in Path(CONF_DIR).rglob("*.yaml"):
        found.update(re.findall(r"_target_:\s*([\w.]+)", path.read_text(encoding="utf-8")))
    return sorted(found)
