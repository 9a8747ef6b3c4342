"""What each configuration of one server may cost is its own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest
from serve_calls import ROUTE, wav
from serve_replay import replay
from serve_settings import settings_of
from starlette.testclient import TestClient

from whisperlab.errors import AudioError
from whisperlab.serve import service as served
from whisperlab.serve.application import create_app
from whisperlab.serve.configurations import Offer
from whisperlab.serve.guard import install
from whisperlab.serve.problems import ApiError
from whisperlab.serve.service import Service


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    """Two configurations; the default hears a second, the other one ten."""
    heard = "engine.default_text=heard"
    offer = Offer(
        [
            replay("short", heard, "audio.max_seconds=1"),
            replay("long", heard, "audio.max_seconds=10"),
        ],
        {},
    )
    settings = settings_of("serve.limits.decoders=1")
    with Service(offer, settings) as service:
        app = create_app(service)
        install(app, settings, service.observe)
        yield TestClient(app, base_url="http://localhost")


@pytest.mark.parametrize(
    ("model", "seconds", "status"), [("short", 2.0, 413), ("long", 2.0, 200), ("long", 11.0, 413)]
)
def test_a_sound_has_the_limits_of_the_configuration_that_hears_it(
    client: TestClient, model: str, seconds: float, status: int
) -> None:
    answered = client.post(ROUTE, data={"model": model}, files={"file": wav(1, seconds)})
    assert answered.status_code == status, answered.text
    if status != 200:
        assert answered.json()["error"]["code"] == "audio_too_long"


@pytest.mark.parametrize(
    ("raised", "said", "exit_code"),
    [
        (AudioError("the clip is damaged"), "the clip is damaged", 3),
        (OSError(28, "No space left"), "the self-test ended in OSError(28, 'No space left')", 1),
    ],
)
def test_a_self_test_that_cannot_be_made_stops_the_server_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, raised: Exception, said: str, exit_code: int
) -> None:
    def fails(_: object) -> None:
        raise raised

    stopped: list[tuple[int, int]] = []
    monkeypatch.setattr(served, "decode", fails)
    monkeypatch.setattr(os, "kill", lambda *to: stopped.append(to))
    settings = settings_of("serve.limits.decoders=1")
    offer = Offer([replay("only", "engine.default_text=heard")], {})
    with (
        Service(offer, settings) as service,
        TestClient(create_app(service)),  # begins the application's life
    ):
        deadline = time.monotonic() + 30
        while not stopped and time.monotonic() < deadline:
            time.sleep(0.02)
        assert stopped == [(os.getpid(), signal.SIGTERM)]
        assert (service.failure, service.exit_code) == (said, exit_code)
        with pytest.raises(ApiError) as refused:
            service.check_ready()
        assert refused.value.code == "model_not_loadable"
