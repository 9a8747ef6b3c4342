"""The application for somebody else's server: the same answers, and nothing left behind."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest
from decoder_processes import ended, until
from serve_calls import ROUTE, wav
from starlette.testclient import TestClient

from whisperlab.errors import ConfigError
from whisperlab.serve.asgi import asgi_app


def own_processes() -> set[psutil.Process]:
    """This process's own children, without multiprocessing's tracker, which stays."""
    found = set()
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if not any("resource_tracker" in part for part in child.cmdline()):
                found.add(child)
    return found


def test_another_server_serves_the_same_and_ends_what_was_started() -> None:
    before = own_processes()
    app = asgi_app(
        "default", "engine=replay", "engine.default_text=one two", "serve.limits.decoders=1"
    )
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        until(lambda: client.get("/health/ready").status_code == httpx.codes.OK)
        answer = client.post(ROUTE, data={"model": "whisper-1"}, files={"file": wav(1)})
        assert answer.json()["text"] == "one two"
        assert answer.headers["x-request-id"]
        assert answer.headers["x-whisperlab-config"]
        assert answer.headers["x-content-type-options"] == "nosniff"  # the guard is around it
        refused = client.post(ROUTE, data={"model": "no-such"}, files={"file": wav(1)})
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
        (listed, _) = client.get("/v1/models").json()["data"]
        assert listed["id"] == "default"
        started = own_processes() - before
        assert len(started) >= 2  # a worker and a decoder
    until(lambda: all(map(ended, started)))


def test_a_wrong_setting_and_a_run_with_overrides_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no_such_key"):
        asgi_app("default", "serve.no_such_key=1")
    with pytest.raises(ConfigError, match="run= serves exactly what was measured"):
        asgi_app("default", f"run={tmp_path}", "engine=replay")
