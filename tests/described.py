"""Whether an answer is one that the OpenAPI document describes: status, headers, type, body."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator

from whisperlab.serve.openapi import openapi_document

DOCUMENT = openapi_document()


def violations(
    method: str, path: str, status: int, headers: Mapping[str, str], body: str
) -> list[str]:
    """Returns what of an answer is not described; ``headers`` by lower-case name."""
    operation = _operation(method, path)
    if operation is None:
        codes = {404: "not_found", 405: "method_not_allowed", 403: "forbidden"}
        return [] if f'"code": "{codes.get(status)}"' in body else [f"{method} {path}: {status}"]
    answer = operation["responses"].get(str(status))
    if answer is None:
        return [f"{method} {path}: status {status} is not described"]
    wrong = []
    for name, header in answer["headers"].items():
        wrong += _header_faults(name, _resolved(header), headers.get(name.lower()))
    kind = headers.get("content-type", "").partition(";")[0]
    content = answer["content"].get(kind)
    if content is None:
        wrong.append(f"{method} {path} {status}: content type {kind!r} is not described")
    elif kind == "application/json":
        wrong += _faults(content["schema"], json.loads(body))
    elif kind == "text/event-stream":
        described = _resolved(content["schema"])["properties"]["data"]["contentSchema"]
        for line in filter(None, body.splitlines()):
            assert line.startswith("data: ")
            wrong += _faults(described, json.loads(line.removeprefix("data: ")))
    return wrong


def _operation(method: str, path: str) -> dict[str, Any] | None:
    for template, item in DOCUMENT["paths"].items():
        if re.fullmatch(re.sub(r"\\{.*?\\}", ".+", re.escape(template)), path):
            found: dict[str, Any] | None = item.get(method.lower())
            return found
    return None


def _resolved(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        target: Any = DOCUMENT
        for key in node["$ref"].removeprefix("#/").split("/"):
            target = target[key]
        node = target
    return node


def _header_faults(name: str, described: dict[str, Any], value: str | None) -> list[str]:
    if value is None:
        return [f"{name} is missing"] if described["required"] else []
    schema = described["schema"]
    number = schema["type"] in ("integer", "number")
    return [f"{name}: {fault}" for fault in _faults(schema, json.loads(value) if number else value)]


def _faults(schema: dict[str, Any], value: Any) -> list[str]:
    rooted = {**schema, "components": DOCUMENT["components"]}
    return [error.message for error in Draft202012Validator(rooted).iter_errors(value)]
