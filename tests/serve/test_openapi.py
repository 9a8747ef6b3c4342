"""The description says what the code says: routes, parameters, codes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from whisperlab.languages import ENGLISH_NAMES
from whisperlab.serve.guard import EXPOSED
from whisperlab.serve.openapi import docs_page, openapi_document
from whisperlab.serve.openapi.document import INTRODUCTION
from whisperlab.serve.parameters import DIARISING, KNOWN_FIELDS
from whisperlab.serve.problems import STATUS_OF_CODE
from whisperlab.serve.service import ROUTES

DOCUMENT = openapi_document()
SCHEMAS = DOCUMENT["components"]["schemas"]


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for operation in item.values():
            yield path, operation


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for inner in node.values():
            yield from references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from references(inner)


def test_it_describes_the_routes_of_the_server_and_no_others() -> None:
    assert set(DOCUMENT["paths"]) == {route.replace(":path", "") for route in ROUTES}


def test_every_code_stands_under_its_status() -> None:
    described = set()
    for _, operation in operations():
        for status, answer in operation["responses"].items():
            if status == "200":
                continue
            codes = answer["content"]["application/json"]["schema"]["allOf"][1]["properties"]
            for code in codes["error"]["properties"]["code"]["enum"]:
                assert STATUS_OF_CODE[code] == int(status)
                described.add(code)
    # The two that no described route answers: another path, another site's preflight.
    assert set(STATUS_OF_CODE) - described == {"not_found", "forbidden"}
    assert "404 `not_found`" in INTRODUCTION
    assert "403 `forbidden`" in INTRODUCTION


@pytest.mark.parametrize("body", ["Form", "Json"])
def test_bodies_have_every_parameter(body: str) -> None:
    def parameters(name: str) -> set[str]:
        return {re.sub(r"\[.*\]$", "", key) for key in SCHEMAS[name + body]["properties"]}

    sound = "file" if body == "Form" else "audio"
    assert parameters("Transcription") == KNOWN_FIELDS - set(DIARISING) | {sound}
    assert parameters("Translation") == parameters("Transcription") - {"language"}


def test_languages_are_those_that_the_server_understands() -> None:
    languages = SCHEMAS["TranscriptionForm"]["properties"]["language"]["enum"]
    assert {"de", "german", "yue"} <= set(languages)
    assert len(languages) == 2 * len(ENGLISH_NAMES)


def test_pages_of_an_allowed_origin_can_read_every_header_of_ours() -> None:
    described = {name.lower() for name in DOCUMENT["components"]["headers"]}
    exposed = set(EXPOSED.decode().split(", "))
    assert described - exposed == {"allow", "www-authenticate"}


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for _, operation in operations()]
    assert len(ids) == len(set(ids))


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    found = set(references(DOCUMENT))
    for reference in found:
        target: Any = DOCUMENT
        for key in reference.removeprefix("#/").split("/"):
            target = target[key]
    components = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "headers", "parameters")
        for name in DOCUMENT["components"][kind]
    }
    assert components - found == set()


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_valid(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])


def test_it_is_json_without_tricks() -> None:
    assert json.loads(json.dumps(DOCUMENT, allow_nan=False)) == DOCUMENT


def test_the_page_loads_nothing_from_elsewhere() -> None:
    loaded = re.findall(
        r"""(?:src|href|action)\s*=\s*["']?([^"'\s>]+)|url\(([^)]*)\)""", docs_page()
    )
    assert {first or second for first, second in loaded} == {"data:,", "openapi.json", "#routes"}
    assert "@import" not in docs_page()
    assert "innerHTML" not in docs_page()  # what the document says stays text
