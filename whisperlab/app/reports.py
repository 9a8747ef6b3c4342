"""The reports of runs, served beside the page.

Owns the routes ``/runs/{name}/report.html``, only names that are below the runs' folder right now, and
``/comparisons/{name}``, only names that were made here.
"""

from __future__ import annotations

import re
import secrets
import shutil
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from whisperlab.app.leaderboard import run_folder
from whisperlab.errors import WriteError
from whisperlab.experiment.comparison_json import comparison_to_json
from whisperlab.experiment.folder import REPORT
from whisperlab.report.comparison import PAGE, write_comparison
from whisperlab.runs.compare import add_arguments
from whisperlab.runs.comparing import compare_folders, recordings
from whisperlab.serve.problems import ApiError

POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "media-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "sandbox allow-scripts"
)
"""A report loads nothing, and its script has an origin of its own: it cannot call this server."""


COMPARISONS: Final = ".comparisons"
"""The folder of comparisons below the runs': hidden, so that it is never taken for a run."""

NAME_BYTES: Final = 16

_MADE: Final = re.compile(r"[0-9a-f]{32}")


def report_address(name: str) -> str:
    """Returns where the report of a run is.

    >>> report_address("sweep/0"), report_address("50 % off")
    ('/runs/sweep/0/report.html', '/runs/50%20%25%20off/report.html')
    """
    return f"/runs/{quote(name)}/{REPORT}"


def add_reports(application: FastAPI, runs_dir: Path) -> None:
    """Adds the route; to be called before anything is mounted at ``/``."""

    async def report(request: Request) -> Response:
        folder = run_folder(runs_dir, request.path_params["name"])
        return _page(None if folder is None else folder / REPORT)

    async def comparison(request: Request) -> Response:
        name = request.path_params["name"]
        path = runs_dir / COMPARISONS / name / PAGE
        return _page(path if _MADE.fullmatch(name) else None)

    application.router.routes.append(Route(f"/runs/{{name:path}}/{REPORT}", report))
    application.router.routes.append(Route("/comparisons/{name}", comparison))


def compare_runs(
    runs_dir: Path, folders: Sequence[Path], keep_seconds: float
) -> tuple[str, dict[str, Any]]:
    """Writes the comparison of runs with the first; returns its name and its content as JSON.

    Comparisons made more than ``keep_seconds`` before are deleted.

    Raises:
        ConfigError: the runs cannot be compared.
        WriteError: the page cannot be written.
    """
    parser = ArgumentParser()
    add_arguments(parser)
    given = parser.parse_args([str(folder) for folder in folders])
    compared = compare_folders(folders, given)
    name = secrets.token_hex(NAME_BYTES)
    folder = runs_dir / COMPARISONS / name
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise WriteError(f"{runs_dir}: cannot write there ({error.strerror})") from error
    _forget_older(folder, keep_seconds)
    write_comparison(compared, folder, recordings(compared, folder, given.audio))
    content = comparison_to_json(compared)
    for run in content["runs"]:
        run["folder"] = Path(run["folder"]).relative_to(runs_dir).as_posix()
    return name, content


def _forget_older(made: Path, keep_seconds: float) -> None:
    """Deletes what lies beside ``made`` and is so much older; ages are the file system's own."""
    now = made.stat().st_mtime
    for old in made.parent.iterdir():
        if now - old.stat().st_mtime > keep_seconds:
            shutil.rmtree(old, ignore_errors=True)


def _page(path: Path | None) -> Response:
    if path is None or path.is_symlink() or not path.is_file():
        raise ApiError("not_found", "There is no such report here.")
    return FileResponse(
        path,
        media_type="text/html; charset=utf-8",
        headers={"content-security-policy": POLICY, "cache-control": "no-store"},
    )
