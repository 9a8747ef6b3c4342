"""The run card: everything needed to trace a number or to run it again, on the page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from whisperlab.experiment.result import RunCard, RunResult
from whisperlab.report import notation
from whisperlab.report.markup import Markup, element, joined


def run_card(result: RunResult) -> Markup:
    """Returns the section with configuration, data, code, machine and the command that repeats it."""
    card = result.card
    return element(
        "section",
        element("h2", "Run card"),
        element("p", "The command that repeats it", class_="detail"),
        element("pre", card.command, class_="command"),
        element(
            "div",
            _block("Identity", _identity(result)),
            _block("Recogniser", _recogniser(card)),
            _card("Preprocessing, in order", _chain(card)),
            _block("Decoding", _entries(card.config.get("decode"))),
            _block("Data", _data(card)),
            _block("Machine", _entries(card.hardware)),
            _block("Versions", _entries(card.versions)),
            _block("Attempts", _attempts(card)),
            class_="blocks",
        ),
        element(
            "details",
            element("summary", "Resolved configuration"),
            element("pre", json.dumps(card.config, indent=2, ensure_ascii=False, default=str)),
        ),
        id="card",
    )


def _identity(result: RunResult) -> Iterator[tuple[str, str]]:
    card, profile = result.card, result.scores.profile
    yield "configuration", code(card.configuration_hash)
    yield "fingerprint", code(card.fingerprint)
    yield (
        "scoring profile",
        joined(profile.get("name", notation.DASH), " ", code(profile.get("hash", ""))),
    )
    yield "code", code_version(card)
    yield "seed", str(card.seed)
    yield "run folder", code(str(result.folder))


def code_version(card: RunCard) -> str:
    """Returns the commit that ran, and whether it was changed."""
    commit = card.git.get("commit")
    if not commit:
        return "unknown: not run from a git checkout"
    return f"{commit} with uncommitted changes" if card.git.get("dirty") else str(commit)


def _recogniser(card: RunCard) -> Iterator[tuple[str, str]]:
    for name, value in _entries(card.model):
        yield f"model {name}" if name != "name" else "model", value
    for group in ("engine", "device", "quantization", "segmentation"):
        yield group, described(card.config.get(group))


def _data(card: RunCard) -> Iterator[tuple[str, str]]:
    chosen = card.config.get("dataset")
    if isinstance(chosen, Mapping) and chosen.get("path"):
        yield "path", str(chosen["path"])
    yield from _entries(card.dataset)


def _chain(card: RunCard) -> Markup:
    steps = preprocessing(card.config)
    if not steps:
        return element("p", "none")
    return element(
        "ol",
        *[
            element("li", element("b", name), " ", element("span", settings, class_="detail"))
            for name, settings in steps
        ],
        class_="chain",
    )


def preprocessing(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns name and settings of each preprocessing step, in the order of execution.

    >>> preprocessing({"preprocess": {"trim": {"_target_": "x.Trim", "threshold_db": 40.0}}})
    [('trim', 'threshold_db 40.0')]
    """
    steps = config.get("preprocess") or {}
    return [(str(name), _settings(node)) for name, node in steps.items()]


def described(node: Any) -> str:
    """Returns a configuration group in one line: what it is, then its settings.

    >>> described({"_target_": "whisperlab.engine.hf.HfSettings", "length_sort": False})
    'hf, length_sort false'
    """
    if not isinstance(node, Mapping):
        return plain(node)
    return ", ".join(part for part in (kind(node), _settings(node)) if part) or notation.DASH


def kind(node: Mapping[str, Any]) -> str:
    """Returns what a group is: its name, or its target's module, which is what a user chose it by.

    >>> kind({"_target_": "whisperlab.engine.hf.HfSettings"}), kind({"kind": "cpu"})
    ('hf', '')
    """
    module = str(node.get("_target_") or "").rpartition(".")[0]
    return str(node.get("name") or module.rpartition(".")[2])


def system(card: RunCard) -> str:
    """Returns what transcribed: the model, or the engine where it brings its own; "" if unknown."""
    if card.model.get("source"):
        return str(card.model.get("name"))
    engine = card.config.get("engine")
    return kind(engine) if isinstance(engine, Mapping) else str(card.model.get("name") or "")


def _settings(node: Any) -> str:
    if not isinstance(node, Mapping):
        return "" if node is None else plain(node)
    return ", ".join(
        f"{key} {plain(value)}" for key, value in node.items() if key not in ("_target_", "name")
    )


def _entries(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            if str(name).endswith("_bytes") and isinstance(value, int):
                yield str(name).removesuffix("_bytes"), notation.mebibytes(value)
            else:
                yield str(name), plain(value)


def _attempts(card: RunCard) -> Iterator[tuple[str, str]]:
    for number, attempt in enumerate(card.attempts, start=1):
        ended = attempt.get("ended") or "not ended"
        reason = attempt.get("end_reason")
        yield (
            f"{number}",
            f"{attempt.get('started')} to {ended}" + (f", {reason}" if reason else ""),
        )


def plain(value: Any) -> str:
    """Returns a JSON value as a person writes it.

    >>> plain(None), plain("cpu"), plain(["a", 1]), plain(True)
    ('–', 'cpu', 'a, 1', 'true')
    """
    if value is None:
        return notation.DASH
    if isinstance(value, list):
        return ", ".join(map(plain, value)) or "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def code(text: str) -> Markup:
    """Returns text to be copied whole, such as a hash."""
    return element("code", text)


def _block(title: str, entries: Iterator[tuple[str, str]] | list[tuple[str, str]]) -> Markup:
    lines = [joined(element("dt", name), element("dd", value)) for name, value in entries]
    nothing = element("p", "nothing recorded", class_="detail")
    return _card(title, element("dl", *lines) if lines else nothing)


def _card(title: str, body: Markup) -> Markup:
    return element("div", element("h3", title), body, class_="card")
