"""A page that asks for keys, as a real process: who comes in, how much they may ask, how they stop."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from app_calls import CLIP, PATIENCE_SECONDS, in_engine, long_silence, transcribe, until
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from key_files import stored, write
from serve_process import Running, running_server

KEY, SCANTY = "wl_" + "k" * 43, "wl_" + "s" * 43


@pytest.fixture(scope="session")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A page that asks for keys and takes a hundredth of a second for a second of sound."""
    folder = tmp_path_factory.mktemp("keyed")
    keys = write(
        folder / "keys.json",
        stored("alice", KEY),
        stored("bob", SCANTY, requests_per_minute=2, audio_seconds_per_minute=5.0),
    )
    with running_server(
        folder,
        "engine=replay", "engine.default_text=heard", "engine.seconds_per_audio_second=0.01",
        f"serve.keys_file={keys}", f"app.runs_dir={folder / 'runs'}",
        module="whisperlab.app",
    ) as running:  # fmt: skip
        yield running


def with_key(running: Running, key: str) -> Client:
    headers = {"Authorization": f"Bearer {key}"}
    return Client(running.base_url, verbose=False, headers=headers)


def test_cancelling_stops_the_work(keyed: Running, tmp_path: Path) -> None:
    client = with_key(keyed, KEY)
    running = partial(in_engine, keyed, authorization=f"Bearer {KEY}")
    path = long_silence(tmp_path / "long.flac", 1500.0)  # a quarter of a minute in the engine
    for name, given in (
        ("/transcribe", ()),
        ("/compare", (["default"], "")),
        ("/preprocess", ([],)),
    ):
        job = client.submit(handle_file(path), *given, api_name=name)
        until(running, PATIENCE_SECONDS, "never began")
        job.cancel()
        until(lambda: not running(), 5.0, f"{name} goes on after its end")


def test_without_a_key_nothing_of_the_page_works(keyed: Running) -> None:
    paths = ("/", "/config", "/theme.css", "/gradio_api/info", "/gradio_api/heartbeat/x",
             "/gradio_api/queue/data?session_hash=x", "/gradio_api/startup-events",
             "/assets/x.js", "/gradio_api/file=x", "/gradio_api/runs", "/gradio_api/app_id",
             "/runs/x/report.html", "/comparisons/x", "/gradio_api/token", "/monitoring")  # fmt: skip
    with httpx.Client(base_url=keyed.base_url) as stranger:
        for path in paths:
            assert stranger.get(path).status_code == 401, path
        for path in ("/gradio_api/queue/join", "/gradio_api/upload", "/gradio_api/cancel",
                     "/gradio_api/call/transcribe", "/gradio_api/run/transcribe",
                     "/gradio_api/component_server", "/gradio_api/reset"):  # fmt: skip
            assert stranger.post(path, json={}).status_code == 401, path
        assert stranger.get("/health/live").status_code == 200
        asked = stranger.get("/", headers={"accept": "text/html"})
        assert (asked.status_code, "Key" in asked.text) == (401, True)
        assert stranger.post("/login", data={"key": KEY}).status_code == 303
        assert "whisperlab" in stranger.get("/", headers={"accept": "text/html"}).text
        assert stranger.get("/gradio_api/info").status_code == 200
    with pytest.raises(ValueError, match="credentials"):
        with_key(keyed, "wl_" + "x" * 43)
    assert transcribe(with_key(keyed, KEY), CLIP)[0] == "heard"


def ask_often(client: Client, name: str, *given: Any) -> None:
    """Asks five times: where calls are slow two may pass in every minute."""
    for _ in range(5):
        client.predict(*given, api_name=name)


def test_the_page_counts_in_the_rates_of_its_caller(keyed: Running, tmp_path: Path) -> None:
    client = with_key(keyed, SCANTY)
    with pytest.raises(AppError, match="may send 5 s a minute"):
        transcribe(client, long_silence(tmp_path / "six.flac", 6.0))
    transcribe(client, CLIP)
    for name, given in (
        ("/transcribe", (handle_file(CLIP), "default")),
        ("/runs", ("", "date", False)),
        ("/evaluate", ("demo_digits", ["default"], 1, 0, "basic")),
    ):
        with pytest.raises(AppError, match="2 requests a minute for this key"):
            ask_often(client, name, *given)


def test_a_revoked_key_is_shut_out_at_once(keyed: Running) -> None:
    file = keyed.log.parent / "keys.json"
    before = file.read_text("utf-8")
    gone = "wl_" + "g" * 43
    content = json.loads(before)
    write(file, *content["keys"], stored("carol", gone))
    keyed.process.send_signal(signal.SIGHUP)
    with httpx.Client(base_url=keyed.base_url) as browser:
        until(
            lambda: browser.post("/login", data={"key": gone}).status_code == 303, 5.0, "no new key"
        )
        assert browser.get("/gradio_api/info").status_code == 200
        write(file, *content["keys"])
        keyed.process.send_signal(signal.SIGHUP)
        until(lambda: browser.get("/gradio_api/info").status_code == 401, 5.0, "still let in")
