"""Answers against OpenAI's published description of its API (github.com/openai/openai-openapi).

The file is not part of this project: ``WHISPERLAB_OPENAI_OPENAPI`` names it (openapi.json or .yaml).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conformance_server import conforming_server
from jsonschema import Draft202012Validator, ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from whisperlab.conformance.server import TRANSLATIONS, Reply, Server

VARIABLE = "WHISPERLAB_OPENAI_OPENAPI"
ADDRESS = "urn:openai"

Check = Callable[[Any, str], None]


@pytest.fixture(scope="module")
def conforms() -> Check:
    """Raises when a value is not what OpenAI's schema of this name says."""
    path = os.environ.get(VARIABLE)
    if path is None:
        pytest.skip(f"set {VARIABLE} to openapi.json of github.com/openai/openai-openapi")
    document = yaml.load(Path(path).read_text("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # fmt: skip
    registry: Registry[Any] = Registry().with_resource(
        ADDRESS, Resource.from_contents(document, default_specification=DRAFT202012)
    )

    def check(value: Any, schema: str) -> None:
        reference = {"$ref": f"{ADDRESS}#/components/schemas/{schema}"}
        Draft202012Validator(reference, registry=registry).validate(value)

    return check


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, conforms: Check) -> Iterator[Server]:
    with conforming_server(tmp_path_factory.mktemp("server")) as keyed:
        yield Server(keyed.base_url, "whisper-1", keyed.key)


def verbose(server: Server, route: str = "/audio/transcriptions") -> Reply:
    return server.ask(("response_format", "verbose_json"), route=route).ok()


def test_json_and_verbose_json(server: Server, conforms: Check) -> None:
    conforms(server.ask().ok().json(), "CreateTranscriptionResponseJson")
    words = [("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment")]
    body = server.ask(("response_format", "verbose_json"), *words).ok().json()
    assert body["words"]
    conforms(body, "CreateTranscriptionResponseVerboseJson")


def test_translations(server: Server, conforms: Check) -> None:
    conforms(server.ask(route=TRANSLATIONS).ok().json(), "CreateTranslationResponseJson")
    body = verbose(server, TRANSLATIONS).json()
    conforms(body, "CreateTranslationResponseVerboseJson")


def test_events_of_a_stream(server: Server, conforms: Check) -> None:
    lines = server.ask(("stream", "true")).ok().text.splitlines()
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    assert len(events) >= 2
    for event in events[:-1]:
        conforms(event, "TranscriptTextDeltaEvent")
    conforms(events[-1], "TranscriptTextDoneEvent")


def test_models(server: Server, conforms: Check) -> None:
    conforms(server.get("/models").ok().json(), "ListModelsResponse")
    conforms(server.get("/models/whisper-1").ok().json(), "Model")


def test_errors(server: Server, conforms: Check) -> None:
    for reply in (
        server.ask(content=b"no sound"),
        server.ask(("model", "none")),
        server.ask(("temperature", "9")),
        server.get("/nowhere"),
        server.send("GET", "/v1/models", {"Authorization": "Bearer wrong"}),
    ):
        assert reply.status >= 400
        conforms(reply.json(), "ErrorResponse")


def test_the_oracle_can_fail(server: Server, conforms: Check) -> None:
    body = verbose(server).json()
    changes: list[dict[str, Any]] = [
        {"duration": "3.4"},
        {"segments": [{}]},
        {"usage": {"type": "duration"}},
    ]
    for wrong in changes:
        with pytest.raises(ValidationError):
            conforms({**body, **wrong}, "CreateTranscriptionResponseVerboseJson")
