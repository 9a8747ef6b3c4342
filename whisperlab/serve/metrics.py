"""Prometheus metrics: what was asked, how it ended, how long each stage took, what is loaded.

Owns names, labels, buckets and the two text formats. It does not know HTTP or where numbers come
from: the application tells events as they happen, and a function gives the state when it is asked.

The number of series is bounded whatever clients send: a route is a template of the application, a
configuration one that is offered, a code one of ``problems``; everything else is ``none`` or
``other``. No label says who called or what was said.

=====================================  =================================  ===========================
whisperlab_http_requests_total         route method status configuration  answers
whisperlab_http_request_seconds        route configuration                from headers to last byte
whisperlab_rejected_total              code                               answers with an error code
whisperlab_decode_seconds              outcome                            upload to samples
whisperlab_queue_wait_seconds          configuration                      waiting for the engine
whisperlab_inference_seconds           configuration                      one batch in the engine
whisperlab_batch_size                  configuration                      sounds in that batch, with those that joined
whisperlab_audio_seconds_total         configuration                      sound transcribed
whisperlab_queue_depth, _in_engine     configuration                      sounds, at this moment
whisperlab_requests_in_flight                                             requests, at this moment
whisperlab_loaded                      configuration                      1 in memory, 0 not
whisperlab_pool_events_total           configuration event                hit, load, evict, restart
whisperlab_decoders                    state                              alive, busy, waiting
whisperlab_decoder_events_total        event                              started, killed, died, recycled
whisperlab_rate_storage_failures_total                                    Redis lost
whisperlab_build_info                  version                            1
process_*                                                                 memory, CPU, open files (Linux)
=====================================  =================================  ===========================
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from whisperlab.audio.sandbox import SandboxCounts
from whisperlab.serve.problems import STATUS_OF_CODE

NONE: Final = "none"
"""The label of a request without a configuration, or with one that is not offered, or no route."""

OTHER: Final = "other"

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

OK: Final = "ok"
"""The outcome of a decode that gave sound."""

REQUEST_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""Seconds: from an answer without a model to the longest body and inference that limits allow."""

WAIT_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Seconds in the queue: the batching window is 0.01, the longest wait 60."""

DECODE_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
"""Seconds: a warm sandbox takes about 0.01 for a short clip and is stopped at 120."""

INFERENCE_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
"""Seconds of a batch: ``serve.limits.inference_seconds`` is 300."""

BATCH_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64)

OPENMETRICS: Final = "application/openmetrics-text"

PoolEvent = Literal["hit", "load", "evict", "restart"]


@dataclass(frozen=True, slots=True)
class Load:
    """The server at one moment; the mappings are by configuration."""

    requests_in_flight: int = 0
    queue_depth: Mapping[str, int] = field(default_factory=dict)
    in_engine: Mapping[str, int] = field(default_factory=dict)
    loaded: Collection[str] = ()
    decoders: SandboxCounts | None = None


class Metrics:
    """The metrics of one server, in a registry of their own.

    Args:
        version: of whisperlab.
        routes: the templates of the routes, as ``/v1/models/{model}``.
        configurations: the names that are offered.
        load: gives the state when metrics are asked for; called from any thread.
    """

    def __init__(
        self,
        version: str,
        routes: Iterable[str],
        configurations: Iterable[str],
        load: Callable[[], Load],
    ) -> None:
        self._routes = frozenset(routes)
        self._configurations = list(configurations)
        self.registry = CollectorRegistry()
        self._requests = self._counter(
            "http_requests", "Answers", "route", "method", "status", "configuration"
        )
        self._request_seconds = self._histogram(
            "http_request_seconds",
            "Seconds from a request's headers to the last byte of its answer",
            REQUEST_BUCKETS,
            "route",
            "configuration",
        )
        self._rejected = self._counter("rejected", "Answers with an error code", "code")
        self._decode_seconds = self._histogram(
            "decode_seconds", "Seconds from an upload to its samples", DECODE_BUCKETS, "outcome"
        )
        self._queue_wait_seconds = self._histogram(
            "queue_wait_seconds", "Seconds of waiting for the engine", WAIT_BUCKETS, "configuration"
        )
        self._inference_seconds = self._histogram(
            "inference_seconds",
            "Seconds of a batch in the engine",
            INFERENCE_BUCKETS,
            "configuration",
        )
        self._batch_size = self._histogram(
            "batch_size", "Sounds in a batch", BATCH_BUCKETS, "configuration"
        )
        self._audio_seconds = self._counter(
            "audio_seconds", "Seconds of sound transcribed", "configuration"
        )
        self._pool = self._counter(
            "pool_events", "Uses of the configurations in memory", "configuration", "event"
        )
        self._rate_storage_failures = self._counter(
            "rate_storage_failures", "Times that the Redis of the rate limits was lost"
        )
        self.registry.register(_StateCollector(version, self._configurations, load))
        ProcessCollector(registry=self.registry)

    def add_configuration(self, name: str) -> None:
        """Makes a label of one more configuration."""
        if name not in self._configurations:
            self._configurations.append(name)

    def request(
        self, route: str | None, method: str, status: int, configuration: str | None, seconds: float
    ) -> None:
        """Counts an answer; ``route`` is the template, never the path that was asked for."""
        shown_route = route if route in self._routes else NONE
        shown = self._shown(configuration)
        self._requests.labels(shown_route, known_method(method), str(status), shown).inc()
        self._request_seconds.labels(shown_route, shown).observe(seconds)

    def rejected(self, code: str) -> None:
        """Counts an answer with an error code."""
        self._rejected.labels(_known_code(code)).inc()

    def decoded(self, seconds: float, outcome: str) -> None:
        """Counts an upload that was decoded (``ok``) or refused with a code."""
        shown = outcome if outcome == OK else _known_code(outcome)
        self._decode_seconds.labels(shown).observe(seconds)

    def queue_wait(self, configuration: str, seconds: float) -> None:
        """Counts how long a sound waited for the engine."""
        self._queue_wait_seconds.labels(self._shown(configuration)).observe(seconds)

    def inference(
        self, configuration: str, seconds: float, audio_seconds: float, batch_size: int
    ) -> None:
        """Counts one batch: its seconds in the engine, the sound in it, how many sounds."""
        shown = self._shown(configuration)
        self._inference_seconds.labels(shown).observe(seconds)
        self._audio_seconds.labels(shown).inc(audio_seconds)
        self._batch_size.labels(shown).observe(batch_size)

    def pool(self, configuration: str, event: PoolEvent) -> None:
        """Counts a use of the pool: found in memory, loaded, evicted, its worker restarted."""
        self._pool.labels(self._shown(configuration), event).inc()

    def rate_storage_failure(self) -> None:
        """Counts a loss of the rate limits' Redis."""
        self._rate_storage_failures.inc()

    def render(self, accept: str) -> tuple[bytes, str]:
        """Returns the metrics and their content type: Prometheus' text, or OpenMetrics if asked for."""
        # The library's own choice would send back what the client wrote as a version.
        wanted = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
        encode, content_type = choose_encoder(OPENMETRICS if OPENMETRICS in wanted else "")
        return encode(self.registry), content_type

    def _shown(self, configuration: str | None) -> str:
        return configuration if configuration in self._configurations else NONE

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"whisperlab_{name}", documentation, labels, registry=self.registry)

    def _histogram(
        self, name: str, documentation: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(
            f"whisperlab_{name}", documentation, labels, registry=self.registry, buckets=buckets
        )


class _StateCollector(Collector):
    """Asks for the state once a scrape, so that all numbers are of one moment."""

    def __init__(
        self, version: str, configurations: Sequence[str], load: Callable[[], Load]
    ) -> None:
        self._version = version
        self._configurations = configurations
        self._load = load

    def describe(self) -> Iterable[Metric]:
        """Returns nothing: registering must not ask a server that is still being built."""
        return ()

    def collect(self) -> Iterator[Metric]:
        load = self._load()
        build = GaugeMetricFamily("whisperlab_build_info", "The version", labels=["version"])
        build.add_metric([self._version], 1)
        yield build
        yield GaugeMetricFamily(
            "whisperlab_requests_in_flight", "Requests being answered", load.requests_in_flight
        )
        loaded = dict.fromkeys(load.loaded, 1)
        for name, documentation, values in (
            ("queue_depth", "Sounds that wait for the engine", load.queue_depth),
            ("in_engine", "Sounds being transcribed", load.in_engine),
            ("loaded", "Whether the configuration is in memory", loaded),
        ):
            gauge = GaugeMetricFamily(f"whisperlab_{name}", documentation, labels=["configuration"])
            for configuration in self._configurations:
                gauge.add_metric([configuration], values.get(configuration, 0))
            yield gauge
        if load.decoders is not None:
            yield from _of_decoders(load.decoders)


def _of_decoders(counts: SandboxCounts) -> Iterator[Metric]:
    states = GaugeMetricFamily("whisperlab_decoders", "Decoder processes", labels=["state"])
    for state in ("alive", "busy", "waiting"):
        states.add_metric([state], getattr(counts, state))
    yield states
    events = CounterMetricFamily(
        "whisperlab_decoder_events", "What became of decoder processes", labels=["event"]
    )
    for event in ("started", "killed", "died", "recycled"):
        events.add_metric([event], getattr(counts, event))
    yield events


def known_method(method: str) -> str:
    """Returns an HTTP method; ``other`` for one that a client made up."""
    return method if method in METHODS else OTHER


def _known_code(code: str) -> str:
    return code if code in STATUS_OF_CODE else OTHER
