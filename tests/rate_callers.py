"""Callers that ask a RateLimiter, and the settings they ask under."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from whisperlab.serve.keys import Caller
from whisperlab.serve.problems import ApiError
from whisperlab.serve.rates import RateLimiter
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
