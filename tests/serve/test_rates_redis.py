from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest
from rate_callers import ALICE, admitted, run, settings
from redis_server import RedisServer, redis_server

from whisperlab.errors import ConfigError
from whisperlab.serve.problems import ApiError
from whisperlab.serve.rates import RateLimiter


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


def test_two_processes_share_one_count_through_redis(redis: RedisServer) -> None:
    child = [sys.executable, str(Path(__file__).parents[1] / "rate_child.py"), redis.url]
    both = [
        subprocess.Popen([*child, "25", "20"], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    passed = [int(process.communicate(timeout=60)[0]) for process in both]
    assert sum(passed) == 25  # of 40, and 20 each would have been allowed to either alone


def test_redis_counts_audio_and_requests_as_memory_does(redis: RedisServer) -> None:
    async def work(storage: str) -> list[object]:
        limiter = RateLimiter(settings(storage, requests=2, audio=10.0))
        await limiter.connect()
        said: list[object] = [await admitted(limiter, ALICE, 5)]
        for seconds in (4.0, 5.5, 1.0, 0.5, 11.0):
            try:
                headers = await limiter.charge(ALICE, seconds)
                said.append(headers["x-ratelimit-remaining-audio-seconds"])
            except ApiError as error:
                said.append(error.code)
        await limiter.close()
        return said

    expected = [2, "6", "0.5", "rate_limit_exceeded", "0", "audio_too_long"]
    assert asyncio.run(work(redis.url)) == expected
    assert asyncio.run(work("memory")) == expected


def test_after_the_time_that_redis_names_a_request_passes_again(redis: RedisServer) -> None:
    async def work() -> None:
        limiter = RateLimiter(settings(redis.url, requests=2), window_seconds=1)
        assert await admitted(limiter, ALICE, 3) == 2
        with pytest.raises(ApiError) as refused:
            await limiter.admit(ALICE)
        assert refused.value.retry_after_seconds is not None
        await asyncio.sleep(refused.value.retry_after_seconds + 0.02)
        await limiter.admit(ALICE)
        await limiter.close()

    run(work())


def test_a_redis_that_is_not_there_is_a_plain_error_without_the_password() -> None:
    async def work() -> None:
        limiter = RateLimiter(settings("redis://user:s3cret@127.0.0.1:1/0", requests=1))
        with pytest.raises(ConfigError) as refused:
            await limiter.connect()
        await limiter.close()
        message = str(refused.value)
        assert message.startswith(
            "serve.rates.storage: no answer from Redis at redis://127.0.0.1:1/0"
        )
        assert "s3cret" not in message
        assert "\n" not in message

    run(work())


def test_a_redis_that_does_not_let_us_in_is_a_plain_error(tmp_path: Path) -> None:
    async def work(url: str) -> None:
        limiter = RateLimiter(settings(url, requests=1))
        try:
            with pytest.raises(ConfigError, match=r"serve\.rates\.storage: no answer") as no:
                await limiter.connect()
            assert "wrong" not in str(no.value)
        finally:
            await limiter.close()

    with redis_server(tmp_path, "--requirepass", "right") as locked:
        run(work(locked.url))
        run(work(locked.url.replace("redis://", "redis://:wrong@")))


@pytest.mark.parametrize("url", ["redis://127.0.0.1:6379/0?db=x", "redis://h:99999/0"])
def test_a_wrong_url_is_a_plain_error(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^serve\.rates\.storage: "):
        RateLimiter(settings(url))


def test_a_missing_redis_package_names_its_install_line() -> None:
    code = (
        "import sys; sys.modules['redis'] = None\n"
        "from whisperlab.errors import MissingExtraError\n"
        "from whisperlab.serve.rates import RateLimiter\n"
        "from whisperlab.serve.settings import RateSettings\n"
        "RateLimiter(RateSettings('memory', 1, None, None))\n"
        "try: RateLimiter(RateSettings('redis://127.0.0.1:6379/0', 1, None, None))\n"
        "except MissingExtraError as error: print(error)\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "pip install 'whisperlab[redis]'" in finished.stdout


def test_a_lost_redis_leaves_each_process_its_own_count_until_it_is_back(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        losses: list[None] = []
        limiter = RateLimiter(
            settings(redis.url, requests=4),
            on_storage_failure=lambda: losses.append(None),
            redis_retry_seconds=0.2,
        )
        await limiter.connect()
        assert await admitted(limiter, ALICE, 3) == 3
        redis.stop()
        assert await admitted(limiter, ALICE, 10) == 4  # limited, by a count that starts anew
        assert len(losses) == 1
        redis.start()  # empty
        await asyncio.sleep(0.3)
        assert await admitted(limiter, ALICE, 10) == 4
        assert len(losses) == 1
        await limiter.close()

    with caplog.at_level("INFO", logger="whisperlab.serve.rates"):
        run(work())
    assert [record.message for record in caplog.records] == [
        "Redis is lost; this process counts for itself",
        "rate limits are shared through Redis again",
    ]


def test_a_redis_that_hangs_holds_up_one_request_not_all(redis: RedisServer) -> None:
    async def work() -> None:
        limiter = RateLimiter(settings(redis.url, requests=100))
        await limiter.connect()
        redis.signal(signal.SIGSTOP)
        started = monotonic()
        assert await admitted(limiter, ALICE, 50) == 50
        # One time-out of 1 s; 50 of them would be 50 s.
        assert monotonic() - started < 5
        redis.signal(signal.SIGCONT)
        await limiter.close()

    run(work())
