"""The reports of runs, served beside the page.

Owns the route ``/runs/{name}/report.html``: only names that are below the runs' folder right now.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import quote

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from whisperlab.app.leaderboard import run_folder
from whisperlab.experiment.folder import REPORT
from whisperlab.serve.problems import ApiError
from whisperlab.serve.service import Service

POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "media-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "sandbox allow-scripts"
)
"""A report loads nothing, and its script has an origin of its own: it cannot call this server."""


def report_address(name: str) -> str:
    """Returns where the report of a run is.

    >>> report_address("sweep/0"), report_address("50 % off")
    ('/runs/sweep/0/report.html', '/runs/50%20%25%20off/report.html')
    """
    return f"/runs/{quote(name)}/{REPORT}"


def add_reports(application: FastAPI, service: Service, runs_dir: Path) -> None:
    """Adds the route; to be called before anything is mounted at ``/``."""

    async def report(request: Request) -> Response:
        authorization = request.headers.getlist("authorization")
        caller = service.keys.identify(authorization, request.state.client_address)
        request.state.caller = caller.name
        folder = run_folder(runs_dir, request.path_params["name"])
        path = None if folder is None else folder / REPORT
        if path is None or path.is_symlink() or not path.is_file():
            raise ApiError("not_found", "There is no such report here.")
        return FileResponse(
            path,
            media_type="text/html; charset=utf-8",
            headers={"content-security-policy": POLICY, "cache-control": "no-store"},
        )

    application.router.routes.append(Route(f"/runs/{{name:path}}/{REPORT}", report))
