"""The command line that describes a configuration: overrides of the shipped one.

Owns the way back from resolved values to Hydra's grammar. It does not know what they build.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

_PLAIN: Final = re.compile(r"([A-Za-z]|\.{0,2}/)[\w./-]*", re.ASCII)
"""Text that Hydra's grammar reads as itself, unless it is one of the words below."""

_WORDS: Final = frozenset({"null", "true", "false", "inf", "nan"})


def overrides_between(base: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Returns the overrides that make ``wanted`` of ``base``; both are resolved configurations.

    >>> overrides_between({"decode": {"beam_size": 1, "seed": 0}}, {"decode": {"beam_size": 5}})
    ['~decode.seed', '++decode.beam_size=5']
    >>> overrides_between({"preprocess": {}}, {"preprocess": {"trim": {"threshold_db": 40.0}}})
    ['++preprocess.trim.threshold_db=40.0']
    """
    return list(_between(base, wanted, ""))


def _between(base: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name in base:
        if name not in wanted:
            yield f"~{prefix}{name}"
    for name, value in wanted.items():
        before = base.get(name)
        if isinstance(value, Mapping) and value:
            inside = before if isinstance(before, Mapping) else {}
            yield from _between(inside, value, f"{prefix}{name}.")
        elif name not in base or before != value:
            yield f"++{prefix}{name}={written(value)}"


def quoted(text: str, mark: Literal["'", '"'] = "'") -> str:
    r"""Returns any text as Hydra's grammar reads it, between two of ``mark``.

    >>> quoted("it's"), quoted("it's", '"')
    ("'it\\'s'", '"it\'s"')
    """
    # Only in front of a quote, the closing one too, is a backslash anything but itself.
    escaped = re.sub(
        rf"(\\*)({mark}|\Z)", lambda found: 2 * found[1] + (f"\\{mark}" if found[2] else ""), text
    )
    return f"{mark}{escaped}{mark}"


def written(value: Any) -> str:
    r"""Returns a JSON value as Hydra's grammar reads it.

    >>> written("hf"), written("it's"), written(None), written([0.0, "a b"]), written("12")
    ('hf', "'it\\'s'", 'null', "[0.0,'a b']", "'12'")
    """
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
            return value
        return quoted(value)
    if isinstance(value, (list, tuple)):
        return f"[{','.join(written(one) for one in value)}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{written(key)}:{written(one)}' for key, one in value.items())}}}"
    return json.dumps(value)
