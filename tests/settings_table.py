"""The table of the server's settings in docs/operations.md, made from conf/serve.yaml and the types.

``python tests/settings_table.py`` prints it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from whisperlab.config.compose import compose
from whisperlab.serve.environment import PREFIX, environment_overrides
from whisperlab.serve.settings import ServeSettings

CONF = Path(__file__).parents[1] / "conf" / "serve.yaml"

HEAD = """\
| setting | in the environment | default | allowed | what |
|---|---|---|---|---|"""

_LINE = re.compile(r"^(?P<indent> *)(?P<key>[\w-]+):(?: (?P<value>.*))?$")


def table() -> str:
    """Returns the table, one row a setting."""
    return "\n".join([HEAD, *rows()])


def rows() -> Iterator[str]:
    composed = compose("serve", [])
    schema = TypeAdapter(ServeSettings).json_schema(mode="serialization")
    for key, words in described():
        own = key.removeprefix("serve.")
        value: Any = composed
        for part in key.split("."):
            value = value[part]
        variable = PREFIX + own.upper().replace(".", "__")
        assert environment_overrides({variable: "1"}) == [f"{key}=1"]
        cells = (f"`{key}`", f"`{variable}`", f"`{json.dumps(value)}`", allowed(schema, own), words)
        yield f"| {' | '.join(cells)} |"


def described() -> Iterator[tuple[str, str]]:
    """Yields each setting's key with the comment above it, in the order of the file."""
    text = CONF.read_text(encoding="utf-8")
    lines = text[text.index("# Address to listen on") : text.index("\nhydra:")].splitlines()
    above: list[str] = []
    comment: list[str] = []
    for line in lines:
        if line.strip().startswith("#"):
            comment.append(line.strip().removeprefix("# "))
            continue
        found = _LINE.match(line)
        if found is None:
            continue
        above = above[: len(found["indent"]) // 2]
        if comment:
            yield ".".join([*above, found["key"]]), " ".join(comment)
        else:
            assert not found["value"] or above[-1] == "aliases", f"{line}: say what it is"
        above.append(found["key"])
        comment = []


def allowed(schema: dict[str, Any], key: str) -> str:
    """Returns what the type of a setting takes, in words."""
    node = schema
    for part in key.split("."):
        node = _resolved(schema, node["properties"][part])
    return _words(schema, node)


def _resolved(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    name = node.get("$ref", "").rpartition("/")[2]
    return schema["$defs"][name] if name else node


def _words(schema: dict[str, Any], node: dict[str, Any]) -> str:
    node = _resolved(schema, node)
    if "anyOf" in node:
        return " or ".join(_words(schema, one) for one in node["anyOf"])
    if "enum" in node:
        return ", ".join(f"`{one}`" for one in node["enum"])
    if "const" in node:
        return f"`{node['const']}`"
    kind = node["type"]
    if kind == "array":
        return "list"
    if kind == "object":
        return "names"
    kinds = {"string": "text", "integer": "whole number", "boolean": "true, false"}
    words = kinds.get(kind, str(kind))
    if "exclusiveMinimum" in node:
        words += f" over {node['exclusiveMinimum']:g}"
    if "minimum" in node:
        words += f" from {node['minimum']}"
    if "maximum" in node:
        words += f" to {node['maximum']}"
    return words


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
