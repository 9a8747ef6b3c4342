"""The server where there is little: a place in the queue, a byte of body, a disk that takes nothing."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import openai
import pytest
from decoder_processes import until
from raw_http import JSON, MULTIPART, exchange, request
from redis_server import redis_server
from serve_calls import ask, code, metric, wav
from serve_process import Running, running_server

HEARD = ("engine=replay", "engine.default_text=heard", "serve.limits.decoders=1")


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One sound at a time, one may wait, on the IPv6 loopback."""
    with running_server(
        tmp_path_factory.mktemp("narrow"), *HEARD, "host='::1'", "serve.batch.mode=off",
        "engine.seconds_per_utterance=1.5", "serve.limits.queue_size=1",
        "serve.limits.max_file_bytes=100000",
    ) as running:  # fmt: skip
        yield running


def test_the_official_client_speaks_ipv6(narrow: Running) -> None:
    assert narrow.base_url.startswith("http://[::1]:")
    with openai.OpenAI(base_url=f"{narrow.base_url}/v1", api_key="none", max_retries=0) as client:
        said = client.audio.transcriptions.create(model="whisper-1", file=wav(1))
    assert said.text == "heard"


@pytest.mark.parametrize(
    ("body", "kind", "refusal"),
    [
        (b"", MULTIPART, "invalid_multipart"),
        (b"-", MULTIPART, "invalid_multipart"),
        (b"", JSON, "invalid_json"),
        (b"{", JSON, "invalid_json"),
        (b"0", JSON, "invalid_json"),
        (b"x", "audio/wav", "unsupported_media_type"),
    ],
)
def test_a_body_of_a_byte_or_none_is_refused(
    narrow: Running, body: bytes, kind: str, refusal: str
) -> None:
    assert exchange(("::1", narrow.port), request(body, kind)).code == refusal


def test_the_last_byte_that_is_allowed_is_taken_and_the_next_is_not(narrow: Running) -> None:
    sound = wav(1, 3.0)
    whole = sound + bytes(100_000 - len(sound))  # what follows the chunks of a WAV is ignored
    assert ask(narrow, whole).status_code == 200
    refused = ask(narrow, whole + b"\0")
    assert (refused.status_code, code(refused)) == (413, "file_too_large")


def test_of_many_at_once_one_is_heard_one_waits_and_the_rest_are_told_when(narrow: Running) -> None:
    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda number: ask(narrow, wav(number)), range(8)))
    heard = [answered for answered in answers if answered.status_code == 200]
    refused = [answered for answered in answers if answered.status_code != 200]
    assert 1 <= len(heard) <= 3  # the third, when the first had been heard by the time it came
    assert {answered.status_code for answered in refused} <= {429, 503}
    assert all(int(answered.headers["retry-after"]) >= 1 for answered in refused)
    assert ask(narrow, wav(1)).status_code == 200


def test_rates_hold_when_redis_is_lost_and_the_loss_is_counted(tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis, running_server(
        tmp_path, *HEARD, f"serve.rates.storage={redis.url}", "serve.rates.requests_per_minute=3"
    ) as running:  # fmt: skip
        assert [ask(running, wav(1)).status_code for _ in range(2)] == [200, 200]
        redis.stop()
        statuses = [ask(running, wav(1)).status_code for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]  # a count of its own, that starts anew
        assert metric(running, "whisperlab_rate_storage_failures_total") == 1
        assert httpx.get(f"{running.base_url}/health/ready").status_code == 200


READ_ONLY = (
    "env", "-u", "COVERAGE_PROCESS_START", "-u", "COVERAGE_PROCESS_CONFIG",  # it writes when it ends
    "unshare", "-m", "sh", "-c", 'mount -o remount,bind,ro / && exec "$@"', "sh",
)  # fmt: skip


def test_a_disk_that_takes_nothing_is_not_needed(tmp_path: Path) -> None:
    """As in a container with a read-only root."""
    tried = subprocess.run(
        [*READ_ONLY, "touch", str(tmp_path / "x")], capture_output=True, text=True, check=False
    )
    if "Read-only" not in tried.stderr:
        pytest.skip("needs a superuser and unshare: no disk can be made read-only here")
    with running_server(tmp_path, *HEARD, before=READ_ONLY) as running:
        assert ask(running, wav(1)).json()["text"] == "heard"
        started = metric(running, 'whisperlab_decoder_events_total{event="started"}')
        refused = ask(running, b"RIFF" + bytes(100))
        assert refused.status_code == 400
        until(lambda: metric(running, 'whisperlab_decoders{state="alive"}') == 1)
        assert metric(running, 'whisperlab_decoder_events_total{event="started"}') == started
    assert not re.search("Traceback|Read-only", running.log.read_text(encoding="utf-8"))
