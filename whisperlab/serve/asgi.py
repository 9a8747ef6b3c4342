"""The server's application for another ASGI server: a Ray Serve replica, uvicorn, hypercorn.

Owns the way from overrides to an application that starts and ends its own processes. What our own
server adds (server.py: slow clients, stalled uploads, draining) is then the other server's to do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from whisperlab.config.compose import compose
from whisperlab.serve.application import create_app
from whisperlab.serve.command import check_run_alone
from whisperlab.serve.configurations import offered
from whisperlab.serve.guard import install
from whisperlab.serve.service import Service
from whisperlab.serve.settings import serve_settings


def asgi_app(preset: str = "default", *overrides: str, config_dir: Path | None = None) -> FastAPI:
    """Returns the application that ``python -m whisperlab.serve preset=... ...`` serves.

    Nothing is loaded before the server begins the application's lifespan; at its end models and
    decoders are ended. The one process is whoever calls this: start more of them for more workers.

    Raises:
        ConfigError: a setting is wrong; the message names it.
    """
    config = compose("serve", [f"preset={preset}", *overrides], config_dir)
    settings = serve_settings(config)
    check_run_alone(settings, overrides)
    service = Service(offered(config, settings, preset, config_dir), settings)
    app = create_app(service)

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        with service:
            async with service.lifespan(app):
                yield

    app.router.lifespan_context = lifespan
    install(app, settings, service.observe)
    return app
