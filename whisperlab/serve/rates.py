"""How much one caller may ask for: requests a minute, audio seconds a minute, requests at a time.

Owns the counts, in this process or in a Redis that several server processes share, and the headers
that tell a client where it stands. It does not know how a caller was recognised. Audio is counted in
whole milliseconds, because the library counts in integers.

The window is the *sliding window counter* of the ``limits`` library: the count of the running
minute plus the share of the one before that is still within 60 s. It keeps two numbers a caller
whatever a request costs, and in Redis it runs on Redis' own clock; a moving window is exact but
keeps one entry a unit of cost (an hour of sound: 3,600,000 of them here) stamped by each server's
own clock; a fixed window lets twice the limit through around its edge.

``in_flight`` is counted in this process even with Redis: it bounds what one caller takes of this
process's engine, and a count in Redis would stay too high for ever when a server is killed.

A Redis that is lost while the server runs neither closes the service nor lifts the limits: each
process counts for itself until Redis answers again, so that N servers allow at most N times the
limit. Each loss is logged and counted.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final
from urllib.parse import urlsplit

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import ConfigurationError, StorageError

from whisperlab.errors import ConfigError, MissingExtraError
from whisperlab.serve.keys import Caller
from whisperlab.serve.problems import ApiError
from whisperlab.serve.rate_window import MILLISECONDS, LocalWindows, Window, duration
from whisperlab.serve.settings import RateSettings

_logger = logging.getLogger(__name__)

WINDOW_SECONDS: Final = 60
"""Every limit is a minute's."""

REDIS_SECONDS: Final = 1.0
"""The longest wait for Redis: to connect, to answer, and for a free connection."""

REDIS_CONNECTIONS: Final = 16
"""Connections to Redis of one server process; a count takes it well under a millisecond."""

REDIS_RETRY_SECONDS: Final = 5.0
"""A Redis that failed is left alone for so long: requests must not each wait for its time-out."""

CONNECT_LIMIT: Final = 1_000_000
"""Of the count that only shows that Redis counts: nobody starts so many servers a minute."""

MEMORY: Final = "memory"
"""The storage that is this process's own."""

KEY_PREFIX: Final = "whisperlab"
"""What our keys in Redis begin with."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """What came of a count."""

    admitted: bool
    window: Window


class RateLimiter:
    """Counts what callers ask for, and refuses what is too much.

    Belongs to one event loop. With Redis call :meth:`connect` first. ``on_storage_failure`` is told
    each time that Redis is lost.

    Raises:
        ConfigError: ``serve.rates.storage`` is not understood.
        MissingExtraError: it is a Redis, and the package is not installed.
    """

    def __init__(
        self,
        settings: RateSettings,
        on_storage_failure: Callable[[], None] = lambda: None,
        window_seconds: int = WINDOW_SECONDS,
        redis_retry_seconds: float = REDIS_RETRY_SECONDS,
    ) -> None:
        self._settings = settings
        self._on_storage_failure = on_storage_failure
        self._window_seconds = window_seconds
        self._redis_retry_seconds = redis_retry_seconds
        self._running: Counter[str] = Counter()
        self._places = threading.Lock()  # the page takes them in threads of its own
        # The library's own memory walks over all callers at every hit.
        self._local = LocalWindows(window_seconds)
        self._pool: Any = None
        self._shared: SlidingWindowCounterRateLimiter | None = None
        self._shared_from = -math.inf
        """The moment (monotonic) from which Redis is asked again."""
        self._lost = False
        if settings.storage != MEMORY:
            self._pool = _redis_pool(settings.storage)
            self._shared = SlidingWindowCounterRateLimiter(_redis_storage(self._pool))

    async def connect(self) -> None:
        """Returns when the storage has answered.

        Raises:
            ConfigError: Redis cannot be reached, or does not let us count.
        """
        if self._shared is None:
            return
        try:
            # The real thing, so that a Redis that cannot run scripts or write is found out now.
            await self._shared.hit(self._limit("start", CONNECT_LIMIT), "start")
        except (StorageError, OSError, TypeError, ValueError) as error:
            # TypeError, ValueError: redis-py's, for options in the URL
            cause = error.storage_error if isinstance(error, StorageError) else error
            raise ConfigError(
                f"serve.rates.storage: no answer from Redis at {shown_storage(self._settings.storage)} "
                f"({cause}); start it, mend the URL, or set serve.rates.storage=memory"
            ) from error

    async def close(self) -> None:
        """Closes the connections to Redis."""
        if self._pool is not None:
            await self._pool.aclose()

    async def admit(self, caller: Caller) -> Mapping[str, str]:
        """Counts one request; returns the headers that say what is left.

        Raises:
            ApiError: ``rate_limit_exceeded``, with the time after which one will be admitted.
        """
        limit = _own(caller.requests_per_minute, self._settings.requests_per_minute)
        if limit is None:
            return {}
        standing = await self._count(caller, self._limit("requests", limit), 1)
        headers = _headers("requests", str(limit), str(_left(limit, standing)), standing, limit)
        if not standing.admitted:
            raise ApiError(
                "rate_limit_exceeded",
                f"Rate limit reached: {limit} requests a minute for {_called(caller)}.",
                retry_after_seconds=standing.window.seconds_until(1, limit),
                headers=headers,
            )
        return headers

    async def charge(self, caller: Caller, audio_seconds: float) -> Mapping[str, str]:
        """Counts the sound of a request; returns the headers that say what is left.

        Raises:
            ApiError: ``rate_limit_exceeded``, with the time after which it will be admitted;
                ``audio_too_long`` for a sound that alone is more than a minute's limit: no waiting
                helps, so it must not read as something to send again.
        """
        limit_seconds = _own(
            caller.audio_seconds_per_minute, self._settings.audio_seconds_per_minute
        )
        if limit_seconds is None:
            return {}
        limit = max(1, math.floor(limit_seconds * MILLISECONDS))
        cost = math.ceil(audio_seconds * MILLISECONDS)
        if cost > limit:
            raise ApiError(
                "audio_too_long",
                f"This audio is {audio_seconds:.1f} s long; {_called(caller)} may send "
                f"{limit_seconds:g} s a minute. Send it in parts.",
                param="file",
            )
        standing = await self._count(caller, self._limit("audio", limit), cost)
        left = f"{_left(limit, standing) / MILLISECONDS:g}"
        headers = _headers("audio-seconds", f"{limit_seconds:g}", left, standing, limit)
        if not standing.admitted:
            raise ApiError(
                "rate_limit_exceeded",
                f"Rate limit reached: {limit_seconds:g} s of audio a minute for {_called(caller)}; "
                f"{left} s are left, this one has {audio_seconds:.1f} s.",
                retry_after_seconds=standing.window.seconds_until(cost, limit),
                headers=headers,
            )
        return headers

    @contextmanager
    def in_flight(self, caller: Caller) -> Iterator[None]:
        """Holds one of the caller's places in this process.

        Raises:
            ApiError: ``rate_limit_exceeded`` on entering, when all are taken.
        """
        limit = _own(caller.in_flight, self._settings.in_flight)
        name = _identity(caller)
        with self._places:
            if limit is not None and self._running[name] >= limit:
                raise ApiError(
                    "rate_limit_exceeded",
                    f"Rate limit reached: {limit} requests at a time for {_called(caller)}; send "
                    "this one when one of them has been answered.",
                    retry_after_seconds=1.0,
                )
            self._running[name] += 1
        try:
            yield
        finally:
            with self._places:
                self._running[name] -= 1
                if not self._running[name]:
                    del self._running[name]

    def _limit(self, what: str, amount: int) -> RateLimitItem:
        return RateLimitItemPerSecond(amount, self._window_seconds, namespace=what)

    async def _count(self, caller: Caller, limit: RateLimitItem, cost: int) -> _Standing:
        """Counts in Redis, or in this process while Redis is lost."""
        name = _identity(caller)
        if self._shared is not None and monotonic() >= self._shared_from:
            if self._lost:
                self._leave_redis()  # this request tries it, the others do not wait for that
            try:
                standing = await _hit(self._shared, limit, name, cost)
            except (StorageError, OSError) as error:
                self._leave_redis()
                if not self._lost:
                    self._lost = True
                    self._on_storage_failure()
                    _logger.warning("Redis is lost; this process counts for itself", exc_info=error)
            else:
                if self._lost:
                    self._lost, self._shared_from = False, -math.inf
                    _logger.info("rate limits are shared through Redis again")
                return standing
        admitted, window = self._local.hit(
            f"{limit.namespace}/{name}",
            limit=limit.amount,
            cost=cost,
            now=datetime.now(UTC).timestamp(),
        )
        return _Standing(admitted, window)

    def _leave_redis(self) -> None:
        self._shared_from = monotonic() + self._redis_retry_seconds


async def _hit(
    limiter: SlidingWindowCounterRateLimiter, limit: RateLimitItem, name: str, cost: int
) -> _Standing:
    admitted = await limiter.hit(limit, name, cost=cost)
    storage: Any = limiter.storage
    seconds = limit.get_expiry()
    previous, _, current, expires = await storage.get_sliding_window(limit.key_for(name), seconds)
    # The running minute's count lives on for one more, in which it is the one before.
    left = min(max(0.0, expires - seconds), float(seconds))
    return _Standing(admitted, Window(previous, current, left, seconds))


def _redis_pool(url: str) -> Any:
    try:
        from redis.asyncio import BlockingConnectionPool
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import ConnectionError as RedisConnectionError
    except ImportError as error:
        raise MissingExtraError("redis", "redis", "serve.rates.storage with a Redis URL") from error
    try:
        return BlockingConnectionPool.from_url(
            url,
            max_connections=REDIS_CONNECTIONS,
            timeout=REDIS_SECONDS,
            socket_timeout=REDIS_SECONDS,
            socket_connect_timeout=REDIS_SECONDS,
            # Redis may have closed a waiting connection; a time-out is not tried again.
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
    except ValueError as error:
        raise ConfigError(f"serve.rates.storage: {shown_storage(url)}: {error}") from error


def _redis_storage(pool: Any) -> Any:
    from limits.aio.storage import RedisStorage

    try:
        return RedisStorage(
            "async+redis://",  # the pool knows where
            wrap_exceptions=True,
            implementation="redispy",
            key_prefix=KEY_PREFIX,
            connection_pool=pool,
        )
    except ConfigurationError as error:  # an old version
        raise ConfigError(f"serve.rates.storage: {error}") from error


def _own(own: Any, general: Any) -> Any:
    return general if own is None else own


def _identity(caller: Caller) -> str:
    """Returns what a caller is counted under: no key can be named to share an address's count."""
    return f"{'address' if caller.anonymous else 'key'}/{caller.name}"


def _called(caller: Caller) -> str:
    return "this address" if caller.anonymous else "this key"


def _left(limit: int, standing: _Standing) -> int:
    return max(0, limit - standing.window.counted())


def _headers(what: str, limit: str, left: str, standing: _Standing, room: int) -> Mapping[str, str]:
    """Returns OpenAI's three headers; ``reset`` is when everything is free again."""
    return {
        f"x-ratelimit-limit-{what}": limit,
        f"x-ratelimit-remaining-{what}": left,
        f"x-ratelimit-reset-{what}": duration(standing.window.seconds_until(room, room)),
    }


def shown_storage(url: str) -> str:
    """Returns where counts are kept: a Redis URL without its name, password and options.

    >>> shown_storage("redis://anna:pa@ss@127.0.0.1:6379/0?password=x"), shown_storage("memory")
    ('redis://127.0.0.1:6379/0', 'memory')
    """
    if url == MEMORY:
        return url
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
