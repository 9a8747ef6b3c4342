"""The routes of the server, over one Service.

Owns what is where. How a transcription is made is ``transcriptions.py``'s, who may come in the
guard's, what a model is the pool's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from whisperlab.serve.configurations import Configuration
from whisperlab.serve.openapi import docs_page, openapi_document
from whisperlab.serve.problems import ApiError
from whisperlab.serve.rates import shown_storage
from whisperlab.serve.service import Service
from whisperlab.serve.transcriptions import TranscriptionRoute

Page = Callable[[Request], Awaitable[Response]]
REDACTED: Final = "(redacted)"

DOCS_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page of /docs loads nothing but /openapi.json."""


def create_app(service: Service) -> FastAPI:
    """Returns the application without its guard; every route of SERVING.md.

    A FastAPI application, so that pages can be mounted beside the API (``whisperlab.app``); bodies
    are read by our own bounded reader, so its routes are plain ones.
    """
    pages = _Pages(service)
    gets: Mapping[str, Page] = {
        "/v1/models": pages.models,
        "/v1/models/{model:path}": pages.model,
        "/v1/config": pages.config,
        "/health": pages.health,
        "/health/live": pages.live,
        "/health/ready": pages.ready,
        "/metrics": pages.metrics,
        "/openapi.json": pages.openapi,
        "/docs": pages.docs,
    }
    transcriptions = {
        "/v1/audio/transcriptions": TranscriptionRoute(service, "transcribe"),
        "/v1/audio/translations": TranscriptionRoute(service, "translate"),
    }
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=service.lifespan)
    app.router.routes.extend(
        [_Route(path, endpoint, methods=["POST"]) for path, endpoint in transcriptions.items()]
    )
    app.router.routes.extend(
        [_Route(path, endpoint, methods=["GET"]) for path, endpoint in gets.items()]
    )
    return app


class _Route(Route):
    """A route that tells which one it is, so that metrics count templates and not paths."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self
        await super().handle(scope, receive, send)


class _Pages:
    """What can be read of a server."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._started = int(datetime.now(UTC).timestamp())

    async def models(self, request: Request) -> Response:
        """Lists configurations and aliases, with what was measured of them."""
        self._identify(request)
        offer = self._service.offer
        named = [(one.name, one) for one in offer] + [
            (alias, one) for alias, name in offer.aliases.items() if (one := offer.find(name))
        ]
        listed = [self._described(configuration, name) for name, configuration in named]
        return JSONResponse({"object": "list", "data": listed})

    async def model(self, request: Request) -> Response:
        """Describes one configuration."""
        self._identify(request)
        name = request.path_params["model"]
        found = self._service.offer.find(name)
        if found is None:
            raise ApiError("model_not_found", "The model does not exist here.", "model")
        return JSONResponse(self._described(found, name))

    async def config(self, request: Request) -> Response:
        """Shows the resolved configuration; no key, password or folder of this machine."""
        self._identify(request)
        settings = asdict(self._service.settings)
        settings["keys_file"] = settings["keys_file"] and REDACTED
        settings["run"] = settings["run"] and REDACTED
        settings["rates"]["storage"] = shown_storage(settings["rates"]["storage"])
        configurations = {
            one.name: {
                "hash": self._service.hash_of(one),
                "config": _without_folders(one.config),
            }
            for one in self._service.offer
        }
        return JSONResponse({"serve": settings, "configurations": configurations})

    async def health(self, _: Request) -> Response:
        """Says that the process answers (the predecessor's route)."""
        return JSONResponse({"status": "healthy"})

    async def live(self, _: Request) -> Response:
        """Says that the process answers."""
        return JSONResponse({"status": "live"})

    async def ready(self, _: Request) -> Response:
        """Says that a clip has been transcribed and requests are taken."""
        self._service.check_ready()
        return JSONResponse({"status": "ready"})

    async def metrics(self, request: Request) -> Response:
        """Gives the metrics as Prometheus asks for them."""
        self._identify(request)
        content, media_type = self._service.metrics.render(request.headers.get("accept", ""))
        return Response(content, media_type=media_type)

    async def openapi(self, _: Request) -> Response:
        """Gives the description of the API for programs."""
        return JSONResponse(openapi_document())

    async def docs(self, _: Request) -> Response:
        """Gives the description of the API for people."""
        return HTMLResponse(docs_page(), headers={"content-security-policy": DOCS_POLICY})

    def _identify(self, request: Request) -> None:
        authorization = request.headers.getlist("authorization")
        caller = self._service.keys.identify(authorization, request.state.client_address)
        request.state.caller = caller.name

    def _described(self, configuration: Configuration, name: str) -> dict[str, Any]:
        """Returns OpenAI's description of a model, and what is known of ours."""
        lane = self._service.pool.lanes.get(configuration.name)
        measured = configuration.measured
        return {
            "id": name,
            "object": "model",
            "created": self._started,
            "owned_by": "whisperlab",
            "configuration": configuration.name,
            "configuration_hash": self._service.hash_of(configuration),
            "loaded": lane is not None and lane.loaded.done() and not lane.closed,
            "note": configuration.config["model"].get("note"),
            "measured": None if measured is None else asdict(measured),
        }


def _without_folders(config: Any) -> Any:
    """Returns the configuration with absolute paths cut to their last part."""
    if isinstance(config, Mapping):
        return {key: _without_folders(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [_without_folders(value) for value in config]
    if isinstance(config, str) and config.startswith(("/", "~", ".")):
        return f".../{config.rstrip('/').rpartition('/')[2]}"
    return config
