"""Everything one server holds: configurations, models, decoders, keys, rates, counts, and its state.

Owns the parts and their lives. Routes get it by constructor argument; nothing here is global.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Final, Self

import whisperlab
from whisperlab.audio import AudioLimits, Waveform, decode
from whisperlab.audio.sandbox import DecodeSandbox
from whisperlab.device import resolve
from whisperlab.errors import ModelError, WhisperlabError
from whisperlab.serve.body import ByteBudget
from whisperlab.serve.configurations import Configuration, Offer
from whisperlab.serve.guard import Answered
from whisperlab.serve.keys import KeyRing
from whisperlab.serve.messages import Recipe
from whisperlab.serve.metrics import Load, Metrics, known_method
from whisperlab.serve.pool import Pool, PoolObserver
from whisperlab.serve.problems import ApiError, draining
from whisperlab.serve.rates import RateLimiter
from whisperlab.serve.run import Left
from whisperlab.serve.settings import ServeSettings
from whisperlab.serve.turns import Turns
from whisperlab.serve.worker_process import WorkerLostError
from whisperlab.stopwatch import Stopwatch

_logger = logging.getLogger(__name__)

SELF_TEST_CLIP: Final = Path(__file__).parents[1] / "dataset" / "demo" / "digits-00.flac"
"""The clip that must have been transcribed before the server calls itself ready."""


ROUTES: Final = (
    "/v1/audio/transcriptions",
    "/v1/audio/translations",
    "/v1/models",
    "/v1/models/{model:path}",
    "/v1/config",
    "/health",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/openapi.json",
    "/docs",
)
"""What the server answers (SERVING: Routes)."""


class Service:
    """The parts of one server; leaving it ends every process of ours.

    :meth:`lifespan` begins to load the default configuration: when the address is bound and stop
    signals are handled, not before.
    """

    def __init__(self, offer: Offer, settings: ServeSettings) -> None:
        self.offer = offer
        self.settings = settings
        self.requests_in_flight = 0
        self.metrics = Metrics(
            whisperlab.__version__, ROUTES, [one.name for one in offer], self._load
        )
        self.pool = Pool(offer, settings, _Observer(self.metrics))
        self.keys = KeyRing(None if settings.keys_file is None else Path(settings.keys_file))
        self.rates = RateLimiter(settings.rates, self.metrics.rate_storage_failure)
        self.budget = ByteBudget(settings.limits.bytes_in_flight)
        self.sandbox = DecodeSandbox(settings.limits.decoders)
        self.decoding = Turns(
            settings.limits.decoders, settings.limits.queue_size, settings.limits.queue_seconds
        )
        self._tests = ThreadPoolExecutor(1, thread_name_prefix="self-test")
        self._loading_again: Future[None] = Future()
        self._loading_again.set_result(None)
        self.draining = False
        self._at_drain: list[Callable[[], None]] = []
        self.passed_self_test = False
        self.failure: str | None = None
        """Why the default configuration cannot be served, in one line ..."""
        self.exit_code = 0
        """... and the command's exit code for it."""

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends models and decoders; returns when their processes are gone."""
        self.draining = True
        self.pool.close()
        self.sandbox.close()
        self.decoding.close()
        self._tests.shutdown(cancel_futures=True)

    def audio_limits(self, configuration: Configuration) -> AudioLimits:
        """Returns what one sound may cost: the configuration's limits and the server's bytes."""
        limits = configuration.transcriber.limits
        most = self.settings.limits.max_file_bytes
        return replace(
            limits, max_bytes=most if limits.max_bytes is None else min(most, limits.max_bytes)
        )

    def decode(
        self, encoded: bytes, stopwatch: Stopwatch, configuration: Configuration | None = None
    ) -> Waveform:
        """Returns the sound of an upload, decoded in a sandboxed process.

        ``configuration`` is the one that will hear it, ``None`` the default.

        Raises:
            AudioError: the sound was refused.
        """
        started = perf_counter()
        outcome = "ok"
        try:
            return self.sandbox.decode(
                encoded,
                stopwatch,
                self.settings.limits.queue_seconds,
                self.audio_limits(configuration or self.offer.default),
            )
        except WhisperlabError as error:
            outcome = error.code
            raise
        finally:
            self.metrics.decoded(perf_counter() - started, outcome)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Counts a request as in flight."""
        self.requests_in_flight += 1
        try:
            yield
        finally:
            self.requests_in_flight -= 1

    def hash_of(self, configuration: Configuration) -> str | None:
        """Returns the configuration hash; ``None`` until the device is known."""
        return configuration.hash(self.pool.kind)

    def _load(self) -> Load:
        """Returns the state that metrics show."""
        lanes = self.pool.lanes
        decoders = self.sandbox.counts
        return Load(
            requests_in_flight=self.requests_in_flight,
            queue_depth={name: lane.depth for name, lane in lanes.items()},
            in_engine={name: lane.in_engine for name, lane in lanes.items()},
            loaded=[name for name, lane in lanes.items() if lane.loaded.done() and not lane.closed],
            decoders=replace(decoders, waiting=decoders.waiting + self.decoding.waiting),
        )

    def drain(self) -> None:
        """Takes no more requests: readiness goes red."""
        self.draining = True
        for end in self._at_drain:
            end()

    def at_drain(self, end: Callable[[], None]) -> None:
        """Has ``end`` called when draining begins: what never ends by itself must not be waited for."""
        self._at_drain.append(end)

    def observe(self, answered: Answered) -> None:
        """Counts an answer and writes its line in the log."""
        state = answered.state
        configuration = state.get("configuration")
        self.metrics.request(
            answered.route, answered.method, answered.status, configuration, answered.seconds
        )
        if answered.code is not None:
            self.metrics.rejected(answered.code)
        probe = (answered.route or "").startswith("/health")
        _logger.log(
            logging.DEBUG if probe else logging.INFO,
            "answered",
            extra={
                "method": known_method(answered.method),
                "route": answered.route,
                "status": answered.status,
                "code": answered.code,
                "configuration": configuration,
                "caller": state.get("caller"),
                "seconds": round(answered.seconds, 6),
                "audio_seconds": state.get("audio_seconds"),
                "bytes": answered.sent_bytes,
            },
        )

    def refused(self, error: ApiError) -> None:
        """Counts and logs an answer to what never became a request (connection.py)."""
        self.metrics.rejected(error.code)
        _logger.info("refused", extra={"status": error.status, "code": error.code})

    def check_ready(self) -> None:
        """Raises unless requests for the default configuration will be answered.

        A default that was lost is loaded again at the next probe, at most every
        ``RELOAD_SECONDS``: a server that is red gets no request that would do it.

        Raises:
            ApiError: ``draining``, ``model_loading`` or ``model_not_loadable``.
        """
        if self.draining:
            raise draining()
        lane = self.pool.lanes.get(self.offer.default.name)
        lost = self.passed_self_test and lane is not None and lane.closed
        if lost and self._loading_again.done():
            self._loading_again = self._tests.submit(self._load_again)
        if lost or self.failure is not None:
            raise ApiError("model_not_loadable", "The default configuration cannot be loaded.")
        # Not in memory, it was evicted: the next request loads it.
        if not self.passed_self_test or (lane is not None and not lane.loaded.done()):
            raise ApiError("model_loading", "The default configuration is being loaded.")

    @asynccontextmanager
    async def lifespan(self, _: object) -> AsyncIterator[None]:
        """Ties what belongs to the event loop to the application's life.

        Loads the default configuration and transcribes the bundled clip, in the background.
        """
        self._tests.submit(self._self_test)
        yield
        await self.rates.close()

    def _self_test(self) -> None:
        """Sets ``passed_self_test``; a server whose default cannot be served stops."""
        default = self.offer.default
        try:
            with self.pool.lease(default) as lane:
                lane.loaded.result()
                self._check_measured()
                recipe = Recipe(default.transcriber.options)
                ticket = lane.submit(decode(SELF_TEST_CLIP), recipe, "self-test")
                reply = ticket.result.result()
        except WorkerLostError as error:
            failed = error.load_failure
            self._fail(str(error), ModelError.exit_code if failed is None else failed.exit_code)
        except (ApiError, CancelledError):
            _logger.info("stopped before the self-test had passed")
        except WhisperlabError as error:
            self._fail(str(error), error.exit_code)
        except Exception as error:  # or the server would stay red for ever and not say why
            _logger.exception("unforeseen failure")
            self._fail(f"the self-test ended in {error!r}", WhisperlabError.exit_code)
        else:
            # A recogniser that cannot know the clip (engine=replay) has answered all the same.
            if reply.code not in (None, "not_recorded"):
                self._fail(reply.message, ModelError.exit_code)
                return
            self.passed_self_test = True
            _logger.info("ready", extra={"configuration": default.name})

    def _load_again(self) -> None:
        with (
            suppress(ApiError, WorkerLostError),
            self.pool.lease(self.offer.default) as lane,
        ):
            lane.loaded.result()

    def _check_measured(self) -> None:
        """Raises ``ConfigError`` for a run that was measured on another kind of device."""
        for configuration in self.offer:
            if configuration.measured_hash is not None:
                configuration.check_measured(self.pool.kind or resolve("auto"))

    def _fail(self, reason: str, exit_code: int) -> None:
        if self.draining:
            return  # it stops already
        self.failure, self.exit_code = " ".join(reason.split()), exit_code
        os.kill(os.getpid(), signal.SIGTERM)  # the server drains and the command says why


class _Observer(PoolObserver):
    """Counts what the pool and its lanes do."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def hit(self, name: str) -> None:
        self._metrics.pool(name, "hit")

    def load(self, name: str) -> None:
        self._metrics.pool(name, "load")

    def evict(self, name: str) -> None:
        self._metrics.pool(name, "evict")

    def worker_lost(self, name: str) -> None:
        self._metrics.pool(name, "restart")

    def batch_done(self, name: str, sounds: Sequence[Left], seconds: float) -> None:
        for sound in sounds:
            self._metrics.queue_wait(name, sound.queue_seconds)
        audio = sum(sound.audio_seconds for sound in sounds)
        self._metrics.inference(name, seconds, audio, len(sounds))
