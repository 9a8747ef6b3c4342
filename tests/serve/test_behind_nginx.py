"""The server behind a real nginx that runs docs/deploy/nginx.conf."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import httpx
import pytest
from decoder_processes import until
from serve_calls import ROUTE, wav
from serve_process import running_server
from serve_replay import recording, spoken

CONF = Path(__file__).parents[2] / "docs" / "deploy" / "nginx.conf"
INSTALL = "needs nginx (apt-get install nginx-light)"
SECONDS = 1.0


@dataclass(frozen=True)
class Proxied:
    """A server and its proxy."""

    url: str
    server_log: Path
    proxy_log: Path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def local_conf(folder: Path, port: int, server_port: int) -> str:
    """The configuration without TLS and without what only root may do."""
    text = CONF.read_text(encoding="utf-8")
    text = re.sub(r"listen 443 ssl http2;", f"listen 127.0.0.1:{port};", text)
    text = re.sub(r"^ *ssl_.*\n", "", text, flags=re.MULTILINE)
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{server_port}")
    text = text.replace("/var/log/nginx", str(folder))
    folders = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = text.replace("http {\n", f"http {{\n{folders}", 1)
    return f"daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n{text}"


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip(INSTALL)
    folder = tmp_path_factory.mktemp("nginx")
    known = recording(folder / "recording.jsonl", {1: spoken(["one", "two", "three", "four"])})
    with running_server(
        folder, "engine=replay", f"engine.path={known}", f"engine.seconds_per_utterance={SECONDS}",
        "serve.limits.decoders=1", "serve.trusted_hosts=[asr.example.org,127.0.0.1]",
        "serve.trusted_proxies=[127.0.0.1]",
    ) as running:  # fmt: skip
        port = free_port()
        conf = folder / "nginx.conf"
        conf.write_text(local_conf(folder, port, running.port))
        with subprocess.Popen([program, "-c", str(conf), "-p", str(folder)]) as proxy:
            until(lambda: listens(port))
            yield Proxied(f"http://127.0.0.1:{port}", running.log, folder / "whisperlab.log")
            proxy.terminate()


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
