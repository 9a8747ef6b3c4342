"""The description of the API: for programs at /openapi.json, for people at /docs."""

from __future__ import annotations

from typing import Any, Final

import whisperlab

_SUMMARIES: Final = {
    "/v1/audio/transcriptions": ("post", "Transcribe a sound"),
    "/v1/audio/translations": ("post", "Translate a sound to English"),
    "/v1/models": ("get", "List configurations and what was measured of them"),
    "/v1/models/{model}": ("get", "Describe one configuration"),
    "/v1/config": ("get", "Show the resolved configuration"),
    "/health": ("get", "Say that the process answers"),
    "/health/live": ("get", "Say that the process answers"),
    "/health/ready": ("get", "Say that requests are taken"),
    "/metrics": ("get", "Give metrics for Prometheus"),
}

DOCS_PAGE: Final = (
    "<!doctype html><html lang=en><title>whisperlab</title><h1>whisperlab</h1>"
    + "".join(f"<p><code>{path}</code> {text}</p>" for path, (_, text) in _SUMMARIES.items())
    + "</html>"
)


def openapi_document() -> dict[str, Any]:
    """Returns the OpenAPI description."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "whisperlab", "version": whisperlab.__version__},
        "paths": {
            path: {method: {"summary": text, "responses": {"200": {"description": "Done"}}}}
            for path, (method, text) in _SUMMARIES.items()
        },
    }
