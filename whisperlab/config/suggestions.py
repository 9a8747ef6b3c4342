"""What was probably meant: a mistyped key or choice, in place of what Hydra says.

Owns the names that a configuration knows, read from conf/ without composing it. It does not know
what a key takes.
"""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import yaml
from hydra.errors import MissingConfigException, OverrideParseException

from whisperlab.config.arguments import nearest
from whisperlab.config.compose import CONF_DIR, one_line
from whisperlab.config.overrides import quoted

_MISTYPED_KEY: Final = re.compile(r"Could not override '(?P<key>[^']+)'")
_NO_EQUALS: Final = re.compile(r"Error parsing override '(?P<written>.*)' missing EQUAL")
_KEY_AND_VALUE: Final = re.compile(r"(?P<key>[+~]*[A-Za-z_][\w./@-]*)=(?P<value>.+)", re.DOTALL)
_MISSING_CHOICE: Final = re.compile(r"Could not (?:find|load) '(?P<choice>[^']+)'")


def explained(error: BaseException) -> str:
    """Returns an error of Hydra's in one line, with what was probably meant."""
    said = one_line(error)
    if isinstance(error, MissingConfigException):
        found = _MISSING_CHOICE.search(said)
        if found is not None and "/" in found["choice"]:
            return _missing_choice(found["choice"], error.options)
    bare = _NO_EQUALS.search(said)
    if bare is not None:
        return f"expected key=value, got {bare['written']!r}; --help lists the keys"
    if isinstance(error, OverrideParseException):
        return _unreadable_value(error.override) or said
    mistyped = _MISTYPED_KEY.search(said)
    if mistyped is not None:
        return _mistyped_key(mistyped["key"], said)
    return said


def _unreadable_value(override: str) -> str | None:
    """Returns how to write a value outside Hydra's grammar; ``None`` where the key is at fault."""
    written = _KEY_AND_VALUE.fullmatch(override)
    if written is None:
        return None
    key, value = written["key"], written["value"]
    folded = " ".join(override.split())
    if value.startswith("~"):
        home = f': {key}="$HOME{value[1:]}"' if value[1:2] in ("", "/") else ""
        return f"{folded}: ~ is not expanded here; write the folder out{home}"
    if value[0] in "[{":
        return (
            f"{folded}: Hydra cannot read the value; close the brackets, and write a text in it that "
            "has more than letters, digits and . _ - / in quotes"
        )
    in_quotes = quoted(value, '"')  # single ones are the shell's
    return (
        f"{folded}: Hydra cannot read the value; in quotes it is taken as it stands: "
        f"{shlex.quote(f'{key}={in_quotes}')}"
    )


def _missing_choice(choice: str, offered: Sequence[str] | None) -> str:
    group, _, name = choice.rpartition("/")
    options = sorted(offered or choices(group))
    if not options:
        return f"no group {group} in conf/; --help lists the groups"
    close = nearest(name, options)
    hint = f"did you mean {close}? There" if close else "there"
    return (
        f"{group}={name}: no such choice; {hint} are: {', '.join(options)} "
        "(--config-dir DIR adds your own)"
    )


def _mistyped_key(key: str, said: str) -> str:
    close = nearest_key(key)
    if close == key:
        group = key.partition(".")[0]
        return (
            f"{key}: no such key in what was chosen for {group}; choose another {group}, or write "
            f"+{key}=VALUE if it takes one (--help lists all of them)"
        )
    if close is None:
        return said
    return f"{key}: no such key; did you mean {close}? (--help lists all of them)"


def nearest_key(key: str) -> str | None:
    """Returns the key or group of the configuration that is spelled most like ``key``."""
    return nearest(key, known_keys())


def choices(group: str) -> list[str]:
    """Returns the choices of a group of the shipped configuration, sorted."""
    return sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml"))


@functools.cache
def known_keys() -> frozenset[str]:
    """Returns every group and every key that a shipped yaml writes, in full."""
    found: set[str] = set()
    for path in CONF_DIR.rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        group = path.parent.relative_to(CONF_DIR).as_posix()
        prefix = "" if group == "." or text.startswith("# @package _global_") else f"{group}."
        found.update(f"{prefix}{key}" for key in _keys(yaml.safe_load(text)))
        if group != ".":
            found.add(group)
    return frozenset(found)


def _keys(node: Any) -> Iterator[str]:
    if not isinstance(node, Mapping):
        return
    for name, value in node.items():
        if name in ("defaults", "hydra", "_target_"):
            continue
        yield str(name)
        yield from (f"{name}.{inner}" for inner in _keys(value))
