"""The server behind a real nginx that runs docs/deploy/nginx.conf."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import httpx
import pytest
from decoder_processes import until
from nginx_proxy import nginx, served_by
from serve_calls import ROUTE, wav
from serve_process import running_server
from serve_replay import recording, spoken

SECONDS = 1.0


@dataclass(frozen=True)
class Proxied:
    """A server and its proxy."""

    url: str
    server_log: Path
    proxy_log: Path


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    folder = tmp_path_factory.mktemp("nginx")
    known = recording(folder / "recording.jsonl", {1: spoken(["one", "two", "three", "four"])})
    with (
        running_server(
            folder, "engine=replay", f"engine.path={known}", f"engine.seconds_per_utterance={SECONDS}",
            "serve.limits.decoders=1", "serve.trusted_hosts=[asr.example.org,127.0.0.1]",
            "serve.trusted_proxies=[127.0.0.1]",
        ) as running,
        nginx(folder, lambda text: served_by(text, running.port)) as url,
    ):  # fmt: skip
        yield Proxied(url, running.log, folder / "whisperlab.log")


HOST = {"Host": "asr.example.org"}


def test_a_sound_goes_through_and_both_logs_have_its_id(proxied: Proxied) -> None:
    answered = httpx.post(
        proxied.url + ROUTE,
        data={"model": "whisper-1"},
        files={"file": wav(1)},
        headers={**HOST, "X-Forwarded-For": "203.0.113.9"},
    )
    assert answered.json()["text"] == "one two three four"
    request_id = answered.headers["x-request-id"]
    until(lambda: request_id in proxied.proxy_log.read_text(encoding="utf-8"))
    until(lambda: request_id in proxied.server_log.read_text(encoding="utf-8"))
    lines = map(json.loads, proxied.server_log.read_text(encoding="utf-8").splitlines())
    (line,) = (one for one in lines if one.get("request_id") == request_id)
    assert line["caller"] == "127.0.0.1"  # nginx's word, not the client's


def test_a_stream_is_passed_on_as_it_comes(proxied: Proxied) -> None:
    came = []
    with httpx.stream(
        "POST",
        proxied.url + ROUTE,
        data={"model": "whisper-1", "stream": "true"},
        files={"file": wav(1)},
        headers=HOST,
        timeout=30,
    ) as response:
        for line in response.iter_lines():
            if line:
                came.append((perf_counter(), json.loads(line.removeprefix("data: "))))
    assert came[-1][1]["text"] == "one two three four"
    assert came[-1][0] - came[0][0] > SECONDS / 4


def test_what_nginx_refuses_is_in_the_same_envelope(proxied: Proxied) -> None:
    large = httpx.post(proxied.url + ROUTE, content=bytes(37 << 20), headers=HOST)
    assert large.status_code == 413
    assert large.json()["error"]["code"] == "file_too_large"
