from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Coroutine, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis_server import RedisServer, redis_server

from whisperlab.errors import ConfigError
from whisperlab.serve.keys import Caller
from whisperlab.serve.problems import ApiError
from whisperlab.serve.rates import RateLimiter, Window, duration
from whisperlab.serve.settings import RateSettings

ALICE = Caller("alice", anonymous=False)
BOB = Caller("bob", anonymous=False)


def settings(
    storage: str = "memory",
    requests: int | None = None,
    audio: float | None = None,
    in_flight: int | None = None,
) -> RateSettings:
    return RateSettings(storage, requests, audio, in_flight)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


async def admitted(limiter: RateLimiter, caller: Caller, tries: int) -> int:
    passed = 0
    for _ in range(tries):
        try:
            await limiter.admit(caller)
        except ApiError as error:
            assert error.code == "rate_limit_exceeded"
        else:
            passed += 1
    return passed


async def start_of_a_window(window_seconds: int) -> None:
    """Waits for the first tenth of a window of memory's count, which are cut from the clock."""
    while (into := datetime.now(UTC).timestamp() % window_seconds) > window_seconds / 10:
        await asyncio.sleep(window_seconds - into)


@pytest.fixture(autouse=True)
def _not_at_the_turn_of_a_minute() -> None:
    """A count of memory that goes over the turn of a minute is another than a test writes down."""
    left = 60 - datetime.now(UTC).timestamp() % 60
    if left < 2:
        sleep(left)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


# Requests a minute


def test_the_request_after_the_last_allowed_one_is_a_429_that_says_when() -> None:
    async def work() -> None:
        limiter = RateLimiter(settings(requests=3))
        remaining = [
            (await limiter.admit(ALICE))["x-ratelimit-remaining-requests"] for _ in range(3)
        ]
        assert remaining == ["2", "1", "0"]
        with pytest.raises(ApiError) as refused:
            await limiter.admit(ALICE)
        assert refused.value.status == 429
        assert refused.value.code == "rate_limit_exceeded"
        headers = refused.value.all_headers()
        assert 1 <= int(headers["Retry-After"]) <= 120
        assert headers["x-ratelimit-limit-requests"] == "3"
        assert headers["x-ratelimit-remaining-requests"] == "0"
        assert re.fullmatch(r"(1m)?[\d.]+s", headers["x-ratelimit-reset-requests"])

    run(work())


def test_without_a_limit_everything_passes_and_no_header_is_sent() -> None:
    async def work() -> None:
        limiter = RateLimiter(settings())
        headers: list[Mapping[str, str]] = [await limiter.admit(ALICE) for _ in range(100)]
        headers.append(await limiter.charge(ALICE, 1e9))
        assert headers == [{}] * 101

    run(work())


def test_after_the_time_that_a_refusal_names_one_request_passes_again() -> None:
    async def work() -> None:
        limiter = RateLimiter(settings(requests=2), window_seconds=1)
        await start_of_a_window(1)
        assert await admitted(limiter, ALICE, 3) == 2
        with pytest.raises(ApiError) as refused:
            await limiter.admit(ALICE)
        assert refused.value.retry_after_seconds is not None
        await asyncio.sleep(refused.value.retry_after_seconds + 0.02)
        await limiter.admit(ALICE)

    run(work())


def test_a_refused_request_costs_nothing() -> None:
    async def work() -> None:
        limiter = RateLimiter(settings(requests=2), window_seconds=1)
        await start_of_a_window(1)
        assert await admitted(limiter, ALICE, 50) == 2
        await asyncio.sleep(2)  # after which the window is empty, whatever was refused
        assert await admitted(limiter, ALICE, 50) == 2

    run(work())


def test_requests_at_the_same_time_are_counted_one_by_one() -> None:
    async def work() -> None:
        limiter = RateLimiter(settings(requests=10))
        passed = await asyncio.gather(*(admitted(limiter, ALICE, 1) for _ in range(40)))
        assert sum(passed) == 10

    run(work())


def test_a_keys_own_limit_goes_before_the_servers() -> None:
    async def work() -> None:
        limiter = RateLimiter(settings(requests=5, audio=5.0))
        assert await admitted(limiter, Caller("vip", False, requests_per_minute=8), 20) == 8
        assert await admitted(limiter, Caller("low", False, requests_per_minute=2), 20) == 2
        await limiter.charge(Caller("vip", False, audio_seconds_per_minute=60.0), 50.0)
        with limiter.in_flight(one := Caller("one", False, in_flight=1)), pytest.raises(ApiError):
            limiter.in_flight(one).__enter__()

    run(work())


def test_callers_do_not_use_up_each_others_limit() -> None:
    async def work() -> None:
        limiter = RateLimiter(settings(requests=2))
        assert await admitted(limiter, ALICE, 5) == 2
        assert await admitted(limiter, BOB, 5) == 2
        # a key that is called like an address
        assert await admitted(limiter, Caller("192.0.2.7", anonymous=True), 5) == 2
        assert await admitted(limiter, Caller("192.0.2.7", anonymous=False), 5) == 2

    run(work())


# Audio seconds a minute


def test_audio_is_counted_by_its_length_and_a_refused_sound_costs_nothing() -> None:
    async def work() -> None:
        limiter = RateLimiter(settings(audio=10.0))
        assert (await limiter.charge(ALICE, 6.5))["x-ratelimit-remaining-audio-seconds"] == "3.5"
        with pytest.raises(ApiError) as refused:
            await limiter.charge(ALICE, 3.6)
        assert (refused.value.code, refused.value.status) == ("rate_limit_exceeded", 429)
        assert refused.value.retry_after_seconds is not None
        assert refused.value.headers["x-ratelimit-limit-audio-seconds"] == "10"
        assert (await limiter.charge(ALICE, 3.5))["x-ratelimit-remaining-audio-seconds"] == "0"

    run(work())


def test_a_sound_longer_than_a_minutes_limit_is_not_offered_a_retry() -> None:
    async def work() -> None:
        limiter = RateLimiter(settings(audio=10.0))
        with pytest.raises(ApiError) as refused:
            await limiter.charge(ALICE, 10.01)
        assert (refused.value.code, refused.value.status) == ("audio_too_long", 413)
        assert "Retry-After" not in refused.value.all_headers()
        await limiter.charge(ALICE, 10.0)

    run(work())


# Requests at a time


def test_a_place_is_free_again_when_a_request_has_ended_or_failed() -> None:
    limiter = RateLimiter(settings(in_flight=2))
    with limiter.in_flight(ALICE):
        with limiter.in_flight(ALICE):
            with pytest.raises(ApiError) as refused:
                limiter.in_flight(ALICE).__enter__()
            assert refused.value.code == "rate_limit_exceeded"
            assert refused.value.all_headers()["Retry-After"] == "1"
            with limiter.in_flight(BOB):
                pass
        with pytest.raises(ZeroDivisionError), limiter.in_flight(ALICE):
            raise ZeroDivisionError
        with limiter.in_flight(ALICE):
            pass


# The arithmetic of the window

WINDOWS = st.builds(
    Window,
    previous=st.integers(0, 50),
    current=st.integers(0, 50),
    left_seconds=st.floats(0, 60),
    window_seconds=st.just(60),
)


def later(window: Window, seconds: float) -> Window:
    """The same counts some seconds later, by the definition of the sliding window counter."""
    if seconds <= window.left_seconds:
        left = window.left_seconds - seconds
        return Window(window.previous, window.current, left, window.window_seconds)
    left = max(0.0, window.left_seconds + window.window_seconds - seconds)
    return Window(window.current, 0, left, window.window_seconds)


@given(WINDOWS, st.integers(1, 60), st.data())
def test_the_time_to_wait_is_the_first_at_which_there_is_room(
    window: Window, limit: int, data: st.DataObject
) -> None:
    room = data.draw(st.integers(1, limit))
    wait = window.seconds_until(room, limit)
    assert 0 <= wait <= window.left_seconds + 60
    assert later(window, wait + 1e-6).counted() + room <= limit
    if wait > 1e-6:
        assert later(window, wait - 1e-6).counted() + room > limit


def test_the_time_to_wait_by_hand() -> None:
    # 12 of the minute before, half of it gone: 6 count. One free place of 6 needs 12 * left/60 < 6.
    assert Window(12, 0, 30.0, 60).seconds_until(1, 6) == 0.0
    # 12 * left/60 must fall below 6 - 1 + 1 = 6 from 8: 10 s.
    assert Window(12, 0, 40.0, 60).seconds_until(1, 6) == 10.0
    # 6 in this minute: 30 s until it ends, then 6 * left/60 must fall below 6 at once.
    assert Window(0, 6, 30.0, 60).seconds_until(1, 6) == 30.0
    # everything free: 6 * left/60 < 1, after 50 s of the next minute
    assert Window(0, 6, 30.0, 60).seconds_until(6, 6) == 80.0


@given(st.integers(0, 120_000))
def test_a_duration_reads_back_as_itself(milliseconds: int) -> None:
    found = re.fullmatch(r"(?:(\d+)m)?(?:([\d.]+)s|(\d+)ms)", duration(milliseconds / 1000))
    assert found is not None
    minutes, seconds, thousandths = found.groups()
    read = int(minutes or 0) * 60 + float(seconds or 0) + int(thousandths or 0) / 1000
    assert read == pytest.approx(milliseconds / 1000, abs=1e-9)


# Redis


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
