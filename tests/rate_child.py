"""A server process as far as rate limits go: asks TRIES times through a Redis, prints how many passed."""

from __future__ import annotations

import asyncio
import sys

from whisperlab.serve.keys import Caller
from whisperlab.serve.problems import ApiError
from whisperlab.serve.rates import RateLimiter
from whisperlab.serve.settings import RateSettings


async def ask(url: str, limit: int, tries: int) -> int:
    limiter = RateLimiter(RateSettings(url, limit, None, None))
    await limiter.connect()

    async def once() -> bool:
        try:
            await limiter.admit(Caller("alice", anonymous=False))
        except ApiError:
            return False
        return True

    passed = sum(await asyncio.gather(*(once() for _ in range(tries))))
    await limiter.close()
    return passed


if __name__ == "__main__":
    sys.stdout.write(str(asyncio.run(ask(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))
