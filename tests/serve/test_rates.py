from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from time import sleep

import pytest
from rate_callers import ALICE, BOB, admitted, run, settings

from whisperlab.serve.keys import Caller
from whisperlab.serve.problems import ApiError
from whisperlab.serve.rates import RateLimiter


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
