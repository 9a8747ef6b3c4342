"""Keys, rates, log and metrics over real HTTP, against real server processes with the replay engine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import openai
import pytest
import serve_calls as calls
from decoder_processes import until
from key_files import COMMAND
from raw_http import RawClient, exchange
from redis_server import INSTALL, RedisServer, redis_server
from serve_calls import ROUTE, code, wav
from serve_process import Running, running_server
from serve_replay import recording, spoken

SAID = "sesquipedalian"
PROMPT = "perspicacious"
FILE_NAME = "grandiloquent.wav"
QUERY = "obstreperous"
CANARIES = (SAID, PROMPT, FILE_NAME, QUERY)


def engine(folder: Path, *further: str) -> tuple[str, ...]:
    known = recording(folder / "recording.jsonl", {1: spoken([SAID, "is", "said"])})
    return ("engine=replay", f"engine.path={known}", "serve.limits.decoders=1", *further)


def new_key(file: Path, name: str, *options: str) -> str:
    made = subprocess.run(
        [*COMMAND, "create", name, "--file", str(file), *options],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return made.stdout.strip()


def ask(
    running: Running, key: str | None, sound: bytes | None = None, **fields: str
) -> httpx.Response:
    encoded = wav(1) if sound is None else sound
    return calls.ask(running, encoded, key=key, name=FILE_NAME, **fields)


@dataclass(frozen=True)
class Keyed:
    """A server that asks for keys, its file of keys, a key, and the Redis it counts in, if any."""

    running: Running
    file: Path
    key: str
    redis_url: str | None

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.running.port

    def metrics(self) -> str:
        answered = httpx.get(
            f"{self.running.base_url}/metrics", headers={"Authorization": f"Bearer {self.key}"}
        )
        assert answered.status_code == 200
        return answered.text

    def reload(self) -> None:
        """Sends SIGHUP and waits until the log says that it has arrived."""
        lines = len(self.reload_lines())
        self.running.process.send_signal(signal.SIGHUP)
        until = monotonic() + 10
        while len(self.reload_lines()) == lines:
            assert monotonic() < until, "SIGHUP did nothing"
            sleep(0.02)

    def reload_lines(self) -> list[str]:
        lines = self.running.log.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if '"message": "keys ' in line]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer | None]:
    if shutil.which("redis-server") is None:
        yield None
        return
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory, redis: RedisServer | None) -> Iterator[Keyed]:
    folder = tmp_path_factory.mktemp("keyed")
    file = folder / "keys.json"
    key = new_key(file, "alice")
    settings = [f"serve.keys_file={file}"]
    if redis is not None:
        settings.append(f"serve.rates.storage={redis.url}")
    with running_server(folder, *engine(folder, *settings)) as running:
        yield Keyed(running, file, key, None if redis is None else redis.url)


def test_a_key_is_made_used_and_revoked_while_the_server_runs(keyed: Keyed) -> None:
    running = keyed.running
    assert ask(running, keyed.key).json()["text"] == f"{SAID} is said"
    bob = new_key(keyed.file, "bob")
    assert ask(running, bob).status_code == 401  # not before SIGHUP
    keyed.reload()
    assert ask(running, bob).status_code == 200
    subprocess.run(
        [*COMMAND, "revoke", "bob", "--file", str(keyed.file)], check=True, capture_output=True
    )
    keyed.reload()
    assert ask(running, bob).status_code == 401
    assert ask(running, keyed.key).status_code == 200


def test_a_broken_file_at_sighup_keeps_the_keys(keyed: Keyed) -> None:
    before = keyed.file.read_bytes()
    keyed.file.write_text('{"schema": 1, "keys": [')
    try:
        keyed.reload()
        assert "keys not read again" in keyed.reload_lines()[-1]
        assert ask(keyed.running, keyed.key).status_code == 200
    finally:
        keyed.file.write_bytes(before)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((), 401),
        (("Authorization: Bearer wl_wrong",), 401),
        (("Authorization: Basic KEY",), 401),
        (("Authorization: Bearer " + "x" * 10_240,), 401),
        (("Authorization: bearer KEY",), 200),
        (("Authorization: Bearer KEY", "Authorization: Bearer KEY"), 400),
    ],
)
def test_who_may_list_models(keyed: Keyed, headers: tuple[str, ...], status: int) -> None:
    lines = ["GET /v1/models HTTP/1.1", "Host: localhost", "Connection: close", *headers]
    request = "\r\n".join(lines).replace("KEY", keyed.key) + "\r\n\r\n"
    answered = exchange(keyed.address, request.encode(), method="GET")
    assert answered.status == status
    if status == 401:
        assert answered.code == "invalid_api_key"
        assert answered.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("name", ["key", "api_key", "access_token", "authorization"])
def test_a_key_in_the_query_is_no_key(keyed: Keyed, name: str) -> None:
    answered = httpx.get(f"{keyed.running.base_url}/v1/models", params={name: keyed.key})
    assert answered.status_code == 401


def test_a_wrong_key_is_refused_before_the_body_is_read(keyed: Keyed) -> None:
    head = (
        f"POST {ROUTE} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wl_wrong\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 20000000\r\n"
    )
    # Nothing of the body has been sent, and nothing will be until there is an answer.
    answered = exchange(keyed.address, f"{head}\r\n".encode())
    assert (answered.status, answered.code, answered.closed) == (401, "invalid_api_key", True)
    # Who asks whether to send is told no, not "100 Continue".
    answered = exchange(keyed.address, f"{head}Expect: 100-continue\r\n\r\n".encode())
    assert (answered.status, answered.code) == (401, "invalid_api_key")
    # Who sends all the same gets no further than the buffers on the way.
    with RawClient(keyed.address) as client:
        client.send(f"{head}\r\n".encode())
        assert client.send(bytes(20_000_000)) < 20_000_000


def test_health_needs_no_key_and_everything_else_does(keyed: Keyed) -> None:
    base = keyed.running.base_url
    for path in ("/health", "/health/live", "/health/ready"):
        assert httpx.get(base + path).status_code == 200
    for path in ("/v1/models", "/v1/models/default", "/v1/config", "/metrics"):
        assert httpx.get(base + path).status_code == 401
    for path in (ROUTE, "/v1/audio/translations"):
        assert httpx.post(base + path, files={"file": wav(1)}).status_code == 401


def test_nothing_that_was_said_or_sent_is_in_log_or_metrics(keyed: Keyed) -> None:
    running = keyed.running
    secret = {"Authorization": f"Bearer {keyed.key}"}
    assert SAID in ask(running, keyed.key, prompt=PROMPT).text
    assert ask(running, keyed.key, b"not a sound", prompt=PROMPT).status_code == 400
    assert ask(running, keyed.key, response_format=PROMPT).status_code == 400
    assert ask(running, keyed.key, language=PROMPT).status_code == 400
    assert ask(running, keyed.key, temperature=PROMPT).status_code == 400
    assert ask(running, keyed.key, model=PROMPT).status_code == 404
    assert ask(running, f"{PROMPT}").status_code == 401
    assert ask(running, keyed.key, perspicacious=PROMPT).status_code == 200
    for path in (f"/{QUERY}", f"/v1/models/{QUERY}", f"/v1/models?key={QUERY}"):
        httpx.get(running.base_url + path, headers=secret)
    httpx.request(QUERY.upper(), f"{running.base_url}/v1/models", headers=secret)
    streamed = ask(running, keyed.key, stream="true", prompt=PROMPT)
    assert SAID in streamed.text
    body = json.dumps({"audio": PROMPT, "model": PROMPT})
    for content in (body, body[:-3], "{" * 5000):
        last = httpx.post(
            running.base_url + ROUTE,
            content=content,
            headers={**secret, "Content-Type": "application/json"},
        ).headers["x-request-id"]
    until(lambda: any(one.get("request_id") == last for one in running.logged()))
    metrics = keyed.metrics()
    log = running.log.read_text(encoding="utf-8")
    for canary in (*CANARIES, QUERY.upper(), keyed.key, keyed.key.removeprefix("wl_")):
        assert canary not in log
        assert canary not in metrics
    assert "answered" in log
    assert 'route="/v1/audio/transcriptions"' in metrics


def test_every_line_of_the_log_is_json_and_an_answer_has_its_line(keyed: Keyed) -> None:
    answered = ask(keyed.running, keyed.key)

    def its_lines() -> list[dict[str, Any]]:
        wanted = answered.headers["x-request-id"]
        return [one for one in keyed.running.logged() if one.get("request_id") == wanted]

    until(lambda: bool(its_lines()))  # the line follows the answer
    (line,) = its_lines()
    assert (line["status"], line["caller"], line["configuration"]) == (200, "alice", "default")
    assert (line["route"], line["method"]) == (ROUTE, "POST")
    assert line["audio_seconds"] == 0.5
    assert 0 < line["seconds"] < 30


def test_metrics_count_what_was_answered(keyed: Keyed) -> None:
    def count(text: str, labels: str) -> float:
        found = [line for line in text.splitlines() if labels in line]
        return float(found[0].rpartition(" ")[2]) if found else 0.0

    served = (
        'whisperlab_http_requests_total{configuration="default",method="POST",'
        f'route="{ROUTE}",status="200"}}'
    )
    refused = 'whisperlab_rejected_total{code="invalid_api_key"}'
    model = 'route="/v1/models/{model:path}",status="404"'
    before = keyed.metrics()
    ask(keyed.running, keyed.key)
    ask(keyed.running, "wl_wrong")
    httpx.get(
        f"{keyed.running.base_url}/v1/models/no/such",
        headers={"Authorization": f"Bearer {keyed.key}"},
    )
    after = keyed.metrics()
    assert [count(after, labels) - count(before, labels) for labels in (served, refused, model)] == [1, 1, 1]  # fmt: skip
    assert 'whisperlab_loaded{configuration="default"} 1.0' in after
    assert 'whisperlab_decoders{state="alive"} 1.0' in after
    audio = 'whisperlab_audio_seconds_total{configuration="default"}'
    assert count(after, audio) - count(before, audio) == 0.5


def test_two_server_processes_share_one_rate_limit_through_redis(
    keyed: Keyed, tmp_path: Path
) -> None:
    if keyed.redis_url is None:
        pytest.skip(INSTALL)
    key = new_key(keyed.file, "shared", "--requests-per-minute", "5")
    keyed.reload()
    settings = (f"serve.keys_file={keyed.file}", f"serve.rates.storage={keyed.redis_url}")
    with running_server(tmp_path, *engine(tmp_path, *settings)) as second:
        turns = [keyed.running, second] * 6
        with ThreadPoolExecutor(4) as clients:
            answers = list(clients.map(lambda running: ask(running, key), turns))
        assert sorted(answered.status_code for answered in answers) == [200] * 5 + [429] * 7
        for answered in answers:
            assert answered.headers["x-ratelimit-limit-requests"] == "5"
            if answered.status_code == 429:
                assert code(answered) == "rate_limit_exceeded"
                assert answered.headers["x-ratelimit-remaining-requests"] == "0"
                assert 1 <= int(answered.headers["retry-after"]) <= 120
        client = openai.OpenAI(base_url=f"{second.base_url}/v1", api_key=key, max_retries=0)
        with pytest.raises(openai.RateLimitError) as refused:
            client.audio.transcriptions.create(model="whisper-1", file=wav(1))
        assert refused.value.code == "rate_limit_exceeded"


def test_the_audio_of_a_key_is_limited_by_its_length(keyed: Keyed) -> None:
    key = new_key(keyed.file, "short", "--audio-seconds-per-minute", "1.2")
    keyed.reload()
    assert ask(keyed.running, key).headers["x-ratelimit-remaining-audio-seconds"] == "0.7"
    assert ask(keyed.running, key).headers["x-ratelimit-remaining-audio-seconds"] == "0.2"
    refused = ask(keyed.running, key)
    assert (refused.status_code, code(refused)) == (429, "rate_limit_exceeded")
    assert int(refused.headers["retry-after"]) >= 1
    too_long = ask(keyed.running, key, wav(2, seconds=1.3))
    assert (too_long.status_code, code(too_long)) == (413, "audio_too_long")
    assert "retry-after" not in too_long.headers


def test_a_request_holds_its_keys_place_from_its_headers_to_its_end(keyed: Keyed) -> None:
    key = new_key(keyed.file, "single", "--in-flight", "1")
    keyed.reload()
    with RawClient(keyed.address) as client:
        client.send(
            f"POST {ROUTE} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n"
            "--b\r\n".encode()
        )
        until = monotonic() + 10
        while (refused := ask(keyed.running, key)).status_code == 200:
            assert monotonic() < until  # until the server has read those headers
        assert (refused.status_code, code(refused)) == (429, "rate_limit_exceeded")
        assert ask(keyed.running, keyed.key).status_code == 200  # another key's places are its own
    until = monotonic() + 10
    while ask(keyed.running, key).status_code != 200:  # until it has seen that the client is gone
        assert monotonic() < until


BROKEN_ENGINE = f"""
from pydantic.dataclasses import dataclass
from whisperlab.engine.replay import ReplayEngine, ReplaySettings

class Engine(ReplayEngine):
    def transcribe(self, batch, options, watch):
        if batch[0].duration_seconds == 0.5:  # the self-test's clip is longer
            raise AttributeError("{SAID}")
        return super().transcribe(batch, options, watch)

@dataclass(frozen=True)
class Settings(ReplaySettings):
    def load(self):
        return Engine(dict())
"""


@pytest.mark.slow
def test_a_bug_in_an_engine_puts_no_words_into_the_log(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "__init__.py").touch()
    (tmp_path / "lab" / "broken.py").write_text(BROKEN_ENGINE)
    environment = {
        "WHISPERLAB_TRUSTED_PACKAGES": "lab",
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    overrides = ("engine=replay", "engine._target_=lab.broken.Settings")
    with running_server(tmp_path, *overrides, environment=environment) as running:
        answered = ask(running, None)
        assert (answered.status_code, code(answered)) == (500, "internal_error")
        assert SAID not in answered.text
        assert SAID not in running.log.read_text(encoding="utf-8")
        died = [line for line in running.logged() if "exceptions" in line]
        assert died
        assert {line["exceptions"][0]["type"] for line in died} == {"builtins.AttributeError"}
        assert all(line["exceptions"][0]["frames"][-1].endswith(":transcribe") for line in died)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("open", "chmod 600"),
        pytest.param("missing", "no such file", marks=pytest.mark.slow),
        pytest.param("redis", "no answer from Redis", marks=pytest.mark.slow),
    ],
)
def test_a_server_that_cannot_check_or_count_does_not_start(
    tmp_path: Path, fault: str, said: str
) -> None:
    file = tmp_path / "keys.json"
    settings = [f"serve.keys_file={file}"]
    match fault:
        case "open":
            new_key(file, "alice")
            file.chmod(0o644)
        case "redis":
            settings = ["serve.rates.storage=redis://:s3cret@127.0.0.1:1/0"]
    finished = subprocess.run(
        [COMMAND[0], "-m", "whisperlab.serve", "port=0", *engine(tmp_path, *settings)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert finished.returncode == 2, finished.stderr
    last = finished.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert said in last
    assert "s3cret" not in finished.stderr
