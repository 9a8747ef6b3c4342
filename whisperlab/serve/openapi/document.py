"""The OpenAPI 3.1 document: routes, what each takes, every answer it can give.

Owns which codes a route can answer. Bodies are described in requests.py and answers.py, examples in
samples.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final

import whisperlab
from whisperlab.serve.form import MAX_FIELD_BYTES, MAX_FIELDS
from whisperlab.serve.openapi import headers
from whisperlab.serve.openapi.answers import answer_schemas, closed, reference
from whisperlab.serve.openapi.requests import request_schemas
from whisperlab.serve.openapi.samples import samples
from whisperlab.serve.problems import STATUS_OF_CODE

EVERYWHERE: Final = (
    "invalid_request",
    "invalid_host",
    "method_not_allowed",
    "request_timeout",
    "unsupported_encoding",
    "headers_too_large",
    "overloaded",
    "draining",
    "internal_error",
)
"""Codes that any route can answer: the connection and the guard stand before all of them."""

KEYED: Final = ("invalid_api_key",)

LOADING: Final = ("model_loading", "model_not_loadable")

AUDIO: Final = (
    *KEYED,
    # the body
    "unsupported_media_type",
    "invalid_multipart",
    "invalid_json",
    "invalid_base64",
    "missing_file",
    "file_too_large",
    # the parameters
    "missing_required_parameter",
    "duplicate_parameter",
    "invalid_value",
    "invalid_language",
    "unsupported_value",
    "model_not_found",
    # the sound
    "empty_file",
    "audio_too_short",
    "audio_too_long",
    "invalid_audio",
    "invalid_samples",
    "invalid_sample_rate",
    "too_many_channels",
    "no_audio_stream",
    "unsupported_format",
    "unsupported_codec",
    "decode_timeout",
    "decode_memory",
    "preprocess_failed",
    # the turn
    "rate_limit_exceeded",
    "queue_full",
    *LOADING,
    "inference_timeout",
)

INTRODUCTION: Final = """\
OpenAI's audio API, answered by configurations that were measured before. Base URL for clients: this
server's address and `/v1`.

**Keys.** A server with `serve.keys_file` wants `Authorization: Bearer wl_...` on every route below
`/v1` and on `/metrics`; without the file any key, or none, will do.

**Everywhere.** Each answer has `x-request-id`; send your own (up to 64 letters, digits, hyphens) and
it comes back. Every error, whatever its status, is `{"error": {"message", "type", "param", "code"}}`;
code is one of a fixed list. A path that is not described here is answered 404 `not_found`. Every GET
is answered to HEAD as well.

**Browsers.** Pages of the origins in `serve.cors_origins` may call; the preflight of any other is
answered 403 `forbidden`.
"""


def openapi_document() -> dict[str, Any]:
    """Returns the document, ready for JSON."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "whisperlab",
            "version": whisperlab.__version__,
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "Audio", "description": "Sound to text."},
            {
                "name": "Models",
                "description": "What can be asked for, and what was measured of it.",
            },
            {"name": "Server", "description": "How the server is."},
        ],
        "paths": _paths(),
        "components": {
            "schemas": {**request_schemas(), **answer_schemas()},
            "headers": headers.header_components(),
            "parameters": {"RequestId": _REQUEST_ID},
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key of serve.keys_file.",
                }
            },
        },
    }


_REQUEST_ID: Final = {
    "name": "x-request-id",
    "in": "header",
    "schema": {"type": "string"},
    "description": "Comes back with the answer and stands in the server's log, if it is 1 to 64 "
    "letters, digits or hyphens; anything else is replaced.",
}


def _paths() -> dict[str, Any]:
    model = {
        "name": "model",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "minLength": 1},
        "description": "Name or alias; a slash in it is written %2F.",
        "example": "whisper-1",
    }
    lines = _text("One sample a line.")
    metrics = {"text/plain": lines, "application/openmetrics-text": lines}
    transcribed = "Text of what is said, in its language."
    translated = (
        "English text of what is said in any language. Takes what transcriptions take, but no "
        "language; 400 unsupported_value where the configuration cannot translate."
    )
    listed, described = "List configurations, with what was measured", "Describe one configuration"
    shown = "Show the resolved configuration"
    operations = {
        "/v1/audio/transcriptions": _audio("Transcription", "Transcribe a sound", transcribed),
        "/v1/audio/translations": _audio("Translation", "Translate a sound to English", translated),
        "/v1/models": _read("Models", "listModels", listed, _json("ModelList"), KEYED),
        "/v1/models/{model}": _read("Models", "retrieveModel", described, _json("Model"), (*KEYED, "model_not_found")),
        "/v1/config": _read("Models", "showConfig", shown, _json("Config"), KEYED),
        "/health": _read("Server", "health", "Say that the process answers", _state("healthy")),
        "/health/live": _read("Server", "live", "Say that the process answers", _state("live")),
        "/health/ready": _read("Server", "ready", "Say that requests are taken", _state("ready"), LOADING),
        "/metrics": _read("Server", "metrics", "Give metrics for Prometheus", metrics, KEYED),
        "/openapi.json": _read("Server", "openapi", "Describe the API to programs", _json("OpenApi")),
        "/docs": _read("Server", "docs", "Describe the API to people", {"text/html": _text("A page.")}),
    }  # fmt: skip
    operations["/v1/models/{model}"]["parameters"].append(model)
    return {
        path: {
            "post" if "requestBody" in operation else "get": {
                **operation,
                "x-codeSamples": samples(path),
            }
        }
        for path, operation in operations.items()
    }


def _audio(name: str, summary: str, description: str) -> dict[str, Any]:
    timing = headers.header_components()["Server-Timing"]
    return {
        "tags": ["Audio"],
        "operationId": f"create{name}",
        "summary": summary,
        "description": f"{description} Fields that nobody knows are ignored and named in "
        "x-whisperlab-warning (serve.strict_fields: refused).",
        "parameters": [{"$ref": "#/components/parameters/RequestId"}],
        "requestBody": {
            "required": True,
            "description": "Lists may be repeated or comma separated, with or without []. At most "
            f"{MAX_FIELDS} fields of {MAX_FIELD_BYTES} bytes.",
            "content": {
                "multipart/form-data": {"schema": reference(f"{name}Form")},
                "application/json": {"schema": reference(f"{name}Json")},
            },
        },
        "responses": {
            "200": {
                "description": "The text, in the form that response_format and stream ask for.",
                "headers": headers.headers(*headers.ALWAYS, *headers.AUDIO)
                | {"Server-Timing": {**timing, "required": True}},
                "content": _transcripts(),
            },
            **_errors((*EVERYWHERE, *AUDIO), headers.AUDIO),
        },
        "security": [{"key": []}, {}],
    }


def _transcripts() -> dict[str, Any]:
    json_forms = [reference("Transcription"), reference("VerboseTranscription")]
    return {
        "application/json": {"schema": {"oneOf": json_forms}},
        "text/plain": _text("The text and a line break."),
        "application/x-subrip": _text("Numbered cues (SubRip)."),
        "text/vtt": _text("WEBVTT, an empty line, cues."),
        "text/tab-separated-values": _text("A row of names; start and end in milliseconds, text."),
        "text/event-stream": {"schema": reference("StreamEvent")},
    }


def _read(
    tag: str, name: str, summary: str, content: dict[str, Any], codes: Sequence[str] = ()
) -> dict[str, Any]:
    return {
        "tags": [tag],
        "operationId": name,
        "summary": summary,
        "parameters": [{"$ref": "#/components/parameters/RequestId"}],
        "responses": {
            "200": {
                "description": "Done.",
                "headers": headers.headers(*headers.ALWAYS),
                "content": content,
            },
            **_errors((*EVERYWHERE, *codes)),
        },
        "security": [{"key": []}, {}] if KEYED[0] in codes else [],
    }


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": reference(name)}}


def _state(word: str) -> dict[str, Any]:
    return {"application/json": {"schema": closed({"status": {"const": word}})}}


def _text(description: str) -> dict[str, Any]:
    return {"schema": {"type": "string", "description": description}}


def _errors(codes: Iterable[str], more_headers: Sequence[str] = ()) -> dict[str, Any]:
    """Returns the answers of a route that can fail with these codes, by status."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(STATUS_OF_CODE[code], []).append(code)
    return {
        str(status): _failure(status, by_status[status], more_headers)
        for status in sorted(by_status)
    }


def _failure(status: int, codes: list[str], more_headers: Sequence[str]) -> dict[str, Any]:
    narrowed = {"properties": {"error": {"properties": {"code": {"enum": codes}}}}}
    own = headers.OF_STATUS.get(status, ())
    return {
        "description": f"{HTTPStatus(status).phrase}: {', '.join(codes)}.",
        "headers": headers.headers(*headers.ALWAYS, *own, *more_headers),
        "content": {"application/json": {"schema": {"allOf": [reference("Error"), narrowed]}}},
    }
