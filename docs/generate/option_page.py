"""Every option of the configuration: key, type, unit, range, default, read from the typed settings.

Owns the way from conf/ and the classes that it names to one table a class. It does not know MkDocs;
``hooks.py`` puts what ``page`` returns where docs/options.md has its mark.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError

from whisperlab.app.settings import AppSettings
from whisperlab.audio import AudioLimits
from whisperlab.config.build import ORDERS
from whisperlab.config.compose import CONF_DIR
from whisperlab.config.targets import locate
from whisperlab.device import Device, Quantization
from whisperlab.engine.model import ModelSpec
from whisperlab.engine.options import DecodeOptions
from whisperlab.eval.mode import Mode
from whisperlab.experiment.settings import RunSettings
from whisperlab.search.settings import SearchRun, SearchSettings
from whisperlab.serve.settings import ServeSettings

ROOTS: Final[Mapping[str, tuple[tuple[str, type[Any]], ...]]] = {
    "transcriber": (("audio", AudioLimits),),
    "eval": (("", RunSettings),),
    "serve": (("serve", ServeSettings),),
    "app": (("app", AppSettings),),
    "search": (("", SearchRun), ("search", SearchSettings)),
}
"""What is set at the top of each file of conf/: the key before it, and its class."""

CHOICES: Final = {"order": ", ".join(f"`{one}`" for one in ORDERS)}
"""Keys at the top that are checked where they are used and have no class."""

_KINDS: Final[Mapping[type[Any], str]] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true`, `false`",
    list: "list",
    dict: "names",
    type(None): "text or null",
}

AT_THE_TOP: Final = frozenset({"serve.host", "serve.port", "serve.run"})
"""Fields of ServeSettings that stand beside the group ``serve``, not in it."""

GROUPS: Final[Mapping[str, type[Any]]] = {
    "model": ModelSpec,
    "device": Device,
    "quantization": Quantization,
    "decode": DecodeOptions,
    "mode": Mode,
}
"""Groups whose options are plain settings; the others name their class in ``_target_``."""

GIVEN: Final = frozenset({"model", "device", "quantization"})
"""Fields of an engine that come from the groups of these names."""

UNITS: Final[Mapping[str, str]] = {
    "seconds": "s",
    "ms": "ms",
    "hz": "Hz",
    "db": "dB",
    "bytes": "bytes",
    "megabytes": "MB",
    "fraction": "fraction",
    "minute": "a minute",
    "tokens": "tokens",
}
"""A quantity's unit by the last word of its name (CONVENTIONS: quantities carry their unit)."""

_KEY_LINE: Final = re.compile(r"^(?P<indent> *)(?P<key>[\w.-]+):")


@dataclass(frozen=True)
class Option:
    """One key that can be set, in words for people."""

    key: str
    kind: str
    unit: str
    default: str
    purpose: str
    listed: bool = True
    """False for a key that no yaml lists: on the command line it needs a ``+`` in front."""


@dataclass
class Section:
    """A class of settings: where it is chosen, what it says of itself, its options."""

    title: str
    words: str
    options: list[Option] = field(default_factory=list)


def page() -> str:
    """Returns the body of docs/options.md."""
    return "\n\n".join([*map(_written, roots()), *map(_written_group, groups())])


def roots() -> Iterator[Section]:
    """Yields what each file at the top of conf/ sets itself."""
    for path in sorted(CONF_DIR.glob("*.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        notes = comments(path)
        words = [first_comment(path)]
        found: list[Option] = []
        for prefix, settings in ROOTS.get(path.stem, ()):
            words.append(prose(settings))
            found += _options(settings, prefix, {path.stem: content}, notes)
        known = {option.key for option in found}
        found += [option for option in _untyped(content, notes) if option.key not in known]
        yield Section(f"conf/{path.name}", "\n\n".join(words), found)


def _untyped(content: Mapping[str, Any], notes: Mapping[str, str]) -> Iterator[Option]:
    """Yields the keys of a file as it writes them; a class, where there is one, knows more."""
    for key, value in _leaves(content, ""):
        kind = CHOICES[key] if key in CHOICES else _KINDS[type(value)]
        unit = UNITS.get(key.rpartition("_")[2], "")
        yield Option(key, kind, unit, _shown(value), notes.get(key, ""))


def _leaves(content: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        key = f"{prefix}{name}"
        if key in ("defaults", "hydra"):
            continue
        if (CONF_DIR / key).is_dir() and not value:  # an empty group; its choices stand apart
            continue
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{key}.")
        else:
            yield key, value


def groups() -> Iterator[tuple[str, list[tuple[str, str]], list[Section]]]:
    """Yields each group with its choices (name, first comment) and their classes."""
    for folder in sorted(path for path in CONF_DIR.iterdir() if path.is_dir()):
        files = sorted(folder.glob("*.yaml"))
        choices = [(path.stem, first_comment(path)) for path in files]
        yield folder.name, choices, list(_sections(folder.name, files))


def _sections(group: str, files: list[Path]) -> Iterator[Section]:
    used: dict[tuple[str, type[Any]], dict[str, Any]] = {}
    notes: dict[tuple[str, type[Any]], dict[str, str]] = {}
    for path in files:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        said = comments(path)
        if path.read_text(encoding="utf-8").startswith("# @package _global_"):
            content = {group: content[group]} if group in content else {}
        else:
            content = {group: content}
            said = {f"{group}.{key}": words for key, words in said.items()}
        found = [
            (key, locate(node["_target_"], key))
            for key, node in _targets(content.get(group), group)
        ]
        for kind in [*([(group, GROUPS[group])] if group in GROUPS else []), *found]:
            used.setdefault(kind, {})[path.stem] = content
            notes[kind] = said | notes.get(kind, {})
    if not used:  # a group of plain values, such as space
        plain: dict[str, Option] = {}
        for path in files:
            if not path.read_text(encoding="utf-8").startswith("# @package _global_"):
                content = {group: yaml.safe_load(path.read_text(encoding="utf-8")) or {}}
                said = {f"{group}.{key}": words for key, words in comments(path).items()}
                plain |= {option.key: option for option in _untyped(content, said)}
        if plain:
            words = "Values as each choice gives them; the defaults are the last one's."
            yield Section(f"{group}: values", words, list(plain.values()))
    for (key, settings), contents in used.items():
        title = f"{key}: {settings.__name__}"
        words = f"{_chosen(group, contents)}\n\n{prose(settings)}"
        found_options = list(_options(settings, key, contents, notes[key, settings]))
        yield Section(title, words, found_options)


def _chosen(group: str, choices: Mapping[str, Any]) -> str:
    return "With " + ", ".join(f"`{group}={choice}`" for choice in choices) + "."


def _targets(node: Any, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields each mapping with a ``_target_`` and its key; the place in a list is left out."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield key, node
        for name, value in node.items():
            yield from _targets(value, f"{key}.{name}")
    elif isinstance(node, list):
        for value in node:
            yield from _targets(value, f"{key}[i]")


def _options(
    settings: type[Any], prefix: str, contents: Mapping[str, Any], notes: Mapping[str, str]
) -> Iterator[Option]:
    """Yields the options of a class, nested settings in their place."""
    for name, info in settings.__pydantic_fields__.items():
        key = f"{prefix}.{name}" if prefix else name
        if prefix.partition(".")[0] == "engine" and name in GIVEN:
            continue
        if isinstance(info.annotation, type) and hasattr(info.annotation, "__pydantic_fields__"):
            yield from _options(info.annotation, key, contents, notes)
            continue
        key = name if key in AT_THE_TOP else key
        values = {choice: _at(content, key) for choice, content in contents.items()}
        given = {choice: value for choice, value in values.items() if value is not _NOTHING}
        default = info.get_default(call_default_factory=True) if not info.is_required() else "???"
        yield Option(
            key,
            _allowed(info),
            UNITS.get(name.rpartition("_")[2], ""),
            _default(given, default),
            notes.get(key.replace("[i]", ""), ""),
            listed=bool(given),
        )


_NOTHING: Final = object()


def _at(content: Any, key: str) -> Any:
    """Returns the value at a key of a file's content, ``_NOTHING`` where it does not set it."""
    for part in key.split("."):
        name, _, in_list = part.partition("[")
        if not isinstance(content, Mapping) or name not in content:
            return _NOTHING
        content = content[name]
        if in_list and content:
            content = content[0]
    return content


def _default(given: Mapping[str, Any], default: object) -> str:
    """Returns the value that the files give, by choice where they differ; the class's if none does."""
    written = {choice: _shown(value) for choice, value in given.items()}
    if not written:
        return _shown(default)
    if len(set(written.values())) == 1:
        return next(iter(written.values()))
    return ", ".join(f"{value} ({choice})" for choice, value in written.items())


def _shown(value: Any) -> str:
    if value == "???":
        return "must be given"
    if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        return ", ".join(f"`{item['_target_'].rpartition('.')[2]}`" for item in value)
    return f"`{json.dumps(value, default=str)}`"


def _allowed(info: Any) -> str:
    """Returns the type and range of a field in words."""
    try:
        schema = TypeAdapter(info.rebuild_annotation()).json_schema()
    except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError):
        return "list of components" if "tuple" in str(info.annotation) else "component"
    return allowed(schema, schema)


def allowed(schema: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    """Returns what a JSON schema's node takes, in words."""
    name = node.get("$ref", "").rpartition("/")[2]
    node = schema["$defs"][name] if name else node
    if "anyOf" in node:
        return " or ".join(allowed(schema, one) for one in node["anyOf"])
    if "enum" in node:
        return ", ".join(f"`{one}`" for one in node["enum"])
    if "const" in node:
        return f"`{node['const']}`"
    kind = node["type"]
    if kind == "array":
        inside = node.get("items", {})
        return f"list of {allowed(schema, inside)}" if inside else "list"
    kinds = {"string": "text", "integer": "whole number", "boolean": "`true`, `false`"}
    words = "path" if node.get("format") == "path" else kinds.get(kind, str(kind))
    return words.replace("object", "names") + _range(node)


def _range(node: Mapping[str, Any]) -> str:
    words = ""
    for bound, before in (
        ("exclusiveMinimum", "over"),
        ("minimum", "from"),
        ("maximum", "to"),
        ("exclusiveMaximum", "below"),
    ):
        if bound in node:
            words += f" {before} {node[bound]}"
    if "pattern" in node:
        words += f" matching `{node['pattern'].replace('|', chr(92) + '|')}`"
    return words


def prose(settings: type[Any]) -> str:
    """Returns a class's docstring up to its examples, as Markdown."""
    text = inspect.cleandoc(settings.__doc__ or "")
    text = re.split(r"\n(?:>>>|Raises:)", text)[0].strip()
    return re.sub(r":\w+:`([^`]+)`", r"`\1`", text).replace("``", "`")


def first_comment(path: Path) -> str:
    """Returns the comment at the top of a yaml, which says what it is."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return lines[1 if lines[0].startswith("# @package") else 0].removeprefix("# ")


def comments(path: Path) -> dict[str, str]:
    """Returns the comment above or behind each key of a file by its dotted key.

    The first comment, which says what the file is, belongs to no key; an item of a list has the
    list's key.
    """
    found: dict[str, str] = {}
    above: list[str] = []
    parents: list[tuple[int, str]] = []
    lines = path.read_text(encoding="utf-8").splitlines()
    for line in lines[2 if lines[0].startswith("# @package") else 1 :]:
        if line.strip().startswith("# "):
            above.append(line.strip().removeprefix("# "))
            continue
        key = _KEY_LINE.match(line.replace("- ", "  "))
        if key is None:
            above = []
            continue
        depth = len(key["indent"])
        parents = [parent for parent in parents if parent[0] < depth]
        parents.append((depth, key["key"]))
        behind = line.partition(" # ")[2].strip()
        if above or behind:
            dotted = ".".join(name for _, name in parents)
            found[dotted] = " ".join([*above, *([behind] if behind else [])])
        above = []
    return found


def _written(section: Section) -> str:
    return f"## {section.title}\n\n{section.words}\n\n{_table(section.options)}"


def _written_group(group: tuple[str, list[tuple[str, str]], list[Section]]) -> str:
    name, choices, sections = group
    parts = [f"## {name}", "| choice | what |\n|---|---|"]
    parts[-1] += "".join(f"\n| `{name}={choice}` | {words} |" for choice, words in choices)
    for section in sections:
        heading = f"### {section.title}"
        parts += [heading, section.words, *([_table(section.options)] if section.options else [])]
    return "\n\n".join(parts)


def _table(options: list[Option]) -> str:
    rows = ["| key | takes | unit | default | what |", "|---|---|---|---|---|"]
    for one in options:
        key = one.key if one.listed else f"+{one.key}"
        rows.append(f"| `{key}` | {one.kind} | {one.unit} | {one.default} | {one.purpose} |")
    return "\n".join(rows)
