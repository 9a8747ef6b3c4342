"""Two server processes behind nginx with one Redis, set up as docs/scale.md says."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from decoder_processes import until
from nginx_proxy import nginx, served_by
from redis_server import redis_server
from serve_calls import ROUTE, wav
from serve_process import Running, running_server

SECONDS = 1.0
"""What a request takes, and a server takes one at a time."""

ALLOWED = 6
"""Requests a minute of one caller, over both servers."""


@dataclass(frozen=True)
class Pair:
    url: str
    servers: tuple[Running, Running]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pytest.importorskip("redis", reason="needs redis: pip install 'whisperlab[redis]'")
    folders = [tmp_path / name for name in ("one", "two", "redis", "nginx")]
    for folder in folders:
        folder.mkdir()
    with redis_server(folders[2]) as redis:
        options = (
            "engine=replay", "engine.default_text=one", f"engine.seconds_per_utterance={SECONDS}",
            "serve.batch.mode=off", "serve.limits.decoders=1", "serve.trusted_proxies=[127.0.0.1]",
            f"serve.rates.storage={redis.url}", f"serve.rates.requests_per_minute={ALLOWED}",
        )  # fmt: skip
        with (
            running_server(folders[0], *options) as one,
            running_server(folders[1], *options) as two,
            nginx(folders[3], lambda text: balanced(text, one.port, two.port)) as url,
        ):
            yield Pair(url, (one, two))


def balanced(text: str, *ports: int) -> str:
    text = served_by(text, *ports).replace("keepalive 32;", "least_conn;\n        keepalive 32;")
    return text.replace("proxy_next_upstream off;", "proxy_next_upstream error;")


def ask(url: str, caller: str) -> int:
    with httpx.Client(transport=httpx.HTTPTransport(local_address=caller), timeout=120) as client:
        return client.post(
            url + ROUTE, data={"model": "whisper-1"}, files={"file": wav(1)}
        ).status_code


def answered(server: Running) -> int:
    """How many transcriptions the server has answered with 200."""
    return sum((line.get("route"), line.get("status")) == (ROUTE, 200) for line in server.logged())


def accepted(server: Running) -> float:
    """How many requests the server has taken and not yet answered."""
    lines = httpx.get(f"{server.base_url}/metrics").text.splitlines()
    return sum(float(one.split()[-1]) for one in lines if one.startswith("whisperlab_requests_in_"))


def test_two_servers_share_load_and_limit_and_one_can_leave(pair: Pair) -> None:
    with ThreadPoolExecutor(8) as callers:
        # One caller asks more than a minute allows: both servers count into one.
        burst = Counter(callers.map(lambda _: ask(pair.url, "127.0.0.2"), range(8)))
        assert burst == {200: ALLOWED, 429: 8 - ALLOWED}
        until(
            lambda: sum(map(answered, pair.servers)) == ALLOWED
        )  # a log's line follows its answer
        assert min(map(answered, pair.servers)) >= 1
        # One server leaves with requests under way: none that it has taken is lost, the other
        # takes what comes.
        leaving = [callers.submit(ask, pair.url, "127.0.0.3") for _ in range(ALLOWED)]
        until(lambda: sum(map(accepted, pair.servers)) + sum(map(Future.done, leaving)) >= ALLOWED)
        pair.servers[0].process.send_signal(signal.SIGTERM)
        assert [one.result() for one in leaving] == [200] * ALLOWED
        pair.servers[0].process.wait(60)
        assert [ask(pair.url, "127.0.0.4") for _ in range(3)] == [200] * 3
