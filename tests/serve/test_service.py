"""What each configuration of one server may cost is its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from serve_calls import ROUTE, wav
from serve_replay import replay
from serve_settings import settings_of
from starlette.testclient import TestClient

from whisperlab.serve.application import create_app
from whisperlab.serve.configurations import Offer
from whisperlab.serve.guard import install
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
