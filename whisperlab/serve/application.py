"""The routes of the server, over one Service.

Owns what is where. How a transcription is made is ``transcriptions.py``'s, who may come in the
guard's, what a model is the pool's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import FastAPI
from fastapi.requests import Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from whisperlab.serve.configurations import Configuration
from whisperlab.serve.openapi import DOCS_PAGE, openapi_document
from whisperlab.serve.problems import ApiError
from whisperlab.serve.service import Service
from whisperlab.serve.transcriptions import TranscriptionRoute

_PASSWORD: Final = re.compile(r"(?<=://)[^@/]*@")
REDACTED: Final = "(redacted)"


def create_app(service: Service) -> FastAPI:
    """Returns the application without its guard; every route of SERVING.md."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    started = int(datetime.now(UTC).timestamp())
    routes = [
        Route("/v1/audio/transcriptions", TranscriptionRoute(service, "transcribe"), methods=["POST"]),
        Route("/v1/audio/translations", TranscriptionRoute(service, "translate"), methods=["POST"]),
    ]  # fmt: skip
    app.router.routes.extend(routes)

    def identified(request: Request) -> None:
        address = request.client.host if request.client is not None else "unknown"
        caller = service.keys.identify(request.headers.getlist("authorization"), address)
        request.scope.setdefault("state", {})["caller"] = caller.name

    @app.get("/v1/models")
    async def models(request: Request) -> JSONResponse:
        identified(request)
        listed = [_model(service, one, one.name, started) for one in service.offer]
        for alias, name in service.offer.aliases.items():
            target = service.offer.find(name)
            if target is not None:
                listed.append(_model(service, target, alias, started))
        return JSONResponse({"object": "list", "data": listed})

    @app.get("/v1/models/{model:path}")
    async def model(request: Request, model: str) -> JSONResponse:
        identified(request)
        found = service.offer.find(model)
        if found is None:
            raise ApiError("model_not_found", "The model does not exist here.", "model")
        return JSONResponse(_model(service, found, model, started))

    @app.get("/v1/config")
    async def config(request: Request) -> JSONResponse:
        identified(request)
        return JSONResponse(_config(service))

    @app.get("/health")
    async def health() -> JSONResponse:
        return JSONResponse({"status": "healthy"})

    @app.get("/health/live")
    async def live() -> JSONResponse:
        return JSONResponse({"status": "live"})

    @app.get("/health/ready")
    async def ready() -> JSONResponse:
        if service.draining:
            raise ApiError("draining", "The server is shutting down.")
        if service.failure is not None:
            raise ApiError("model_not_loadable", "The default configuration cannot be loaded.")
        if not service.passed_self_test:
            raise ApiError("model_loading", "The default configuration is being loaded.")
        return JSONResponse({"status": "ready"})

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        identified(request)
        content, media_type = service.metrics.render(request.headers.get("accept", ""))
        return Response(content, media_type=media_type)

    @app.get("/openapi.json")
    async def openapi() -> JSONResponse:
        return JSONResponse(openapi_document())

    @app.get("/docs")
    async def docs() -> HTMLResponse:
        return HTMLResponse(DOCS_PAGE)

    return app


def _model(
    service: Service, configuration: Configuration, name: str, started: int
) -> dict[str, Any]:
    """Returns OpenAI's description of a model, and what is known of ours."""
    lane = service.pool.lanes.get(configuration.name)
    measured = configuration.measured
    return {
        "id": name,
        "object": "model",
        "created": started,
        "owned_by": "whisperlab",
        "configuration": configuration.name,
        "configuration_hash": service.hash_of(configuration),
        "loaded": lane is not None and lane.loaded.done() and not lane.closed,
        "note": configuration.config["model"].get("note"),
        "measured": None if measured is None else asdict(measured),
    }


def _config(service: Service) -> dict[str, Any]:
    """Returns the resolved configuration; no key, password or folder of this machine."""
    settings = asdict(service.settings)
    settings["keys_file"] = settings["keys_file"] and REDACTED
    settings["run"] = settings["run"] and REDACTED
    settings["rates"]["storage"] = _PASSWORD.sub(f"{REDACTED}@", settings["rates"]["storage"])
    configurations: Mapping[str, Any] = {
        one.name: {"hash": service.hash_of(one), "config": _without_folders(one.config)}
        for one in service.offer
    }
    return {"serve": settings, "configurations": configurations}


def _without_folders(config: Any) -> Any:
    """Returns the configuration with absolute paths cut to their last part."""
    if isinstance(config, Mapping):
        return {key: _without_folders(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [_without_folders(value) for value in config]
    if isinstance(config, str) and config.startswith(("/", "~", ".")):
        return f".../{config.rstrip('/').rpartition('/')[2]}"
    return config
