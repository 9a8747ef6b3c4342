"""The configurations in memory: loaded once each, counted while in use, evicted when unused.

Owns which lanes exist. A configuration is loaded by whoever needs it first; the others wait for the
same load. At most ``max_loaded`` are in memory: the least recently used one makes room, never one
that is in use, and one that nobody used for ``idle_seconds`` goes by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from types import MappingProxyType
from typing import Final

from whisperlab.device import ResolvedKind
from whisperlab.serve.configurations import Configuration, Offer
from whisperlab.serve.lane import Lane, LaneObserver, LaneSettings
from whisperlab.serve.problems import ApiError, draining
from whisperlab.serve.settings import BatchSettings, ServeSettings

RELOAD_SECONDS: Final = 10.0
"""A configuration that could not be loaded is not tried again before."""

SWEEP_SECONDS: Final = 1.0
"""How often unused configurations are looked for."""


class PoolObserver(LaneObserver):
    """Who is told of the pool's doings; does nothing by itself."""

    def hit(self, name: str) -> None:
        """A configuration was in memory."""

    def load(self, name: str) -> None:
        """A configuration is being loaded."""

    def evict(self, name: str) -> None:
        """A configuration leaves memory."""


@dataclass(slots=True)
class _Place:
    """A lane and who uses it."""

    lane: Lane
    begun: float
    last_used: float
    users: int = 0


class Pool:
    """The lanes of an offer; every method may be called from any thread."""

    def __init__(self, offer: Offer, settings: ServeSettings, observer: PoolObserver) -> None:
        self.offer = offer
        self._settings = settings
        self._observer = observer
        self._lock = threading.Lock()
        self._places: dict[str, _Place] = {}
        self._leaving: list[threading.Thread] = []
        self._closed = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep, name="pool sweeper", daemon=True)
        self._sweeper.start()

    @contextmanager
    def lease(self, configuration: Configuration) -> Iterator[Lane]:
        """Gives the configuration's lane, loading or loaded, which stays while the lease lasts.

        Raises:
            ApiError: ``overloaded`` when every place is in use, ``model_not_loadable`` when it could
                not be loaded a moment ago, ``draining``.
        """
        place = self._enter(configuration)
        try:
            yield place.lane
        finally:
            with self._lock:
                place.users -= 1
                place.last_used = perf_counter()

    @property
    def lanes(self) -> Mapping[str, Lane]:
        """The lanes in memory by the name of their configuration."""
        with self._lock:
            return MappingProxyType({name: place.lane for name, place in self._places.items()})

    @property
    def kind(self) -> ResolvedKind | None:
        """What ``device=auto`` means here; ``None`` until such a configuration has been loaded."""
        for name, lane in self.lanes.items():
            chosen = self.offer.find(name)
            if (
                chosen is not None
                and chosen.chooses_device
                and lane.loaded.done()
                and lane.loaded.exception() is None
            ):
                return lane.loaded.result().kind
        return None

    def close(self) -> None:
        """Ends every lane; returns when their workers are gone."""
        self._closed.set()
        with self._lock:
            places = list(self._places.values())
            self._places.clear()
        for place in places:
            self._leave(place.lane)
        for thread in self._leaving:
            thread.join()
        self._sweeper.join()

    def _enter(self, configuration: Configuration) -> _Place:
        name, now = configuration.name, perf_counter()
        with self._lock:
            if self._closed.is_set():
                raise draining()
            place = self._places.get(name)
            if place is not None and place.lane.closed:
                left = place.begun + RELOAD_SECONDS - now
                if left > 0:
                    raise ApiError(
                        "model_not_loadable",
                        f"The configuration {name} could not be loaded.",
                        retry_after_seconds=left,
                    )
                del self._places[name]
                place = None
            if place is None:
                self._make_room()
                self._observer.load(name)
                place = _Place(self._new_lane(configuration), begun=now, last_used=now)
                self._places[name] = place
                place.lane.start(after=tuple(self._leaving))  # memory is freed before it is taken
            else:
                self._observer.hit(name)
            place.users += 1
            place.last_used = now
            return place

    def _new_lane(self, configuration: Configuration) -> Lane:
        limits, batch = self._settings.limits, self._settings.batch
        return Lane(
            configuration.name,
            configuration.config,
            LaneSettings(
                max_batch=max_batch(configuration, batch),
                if_independent=batch.mode == "auto" and is_quantised(configuration),
                window_seconds=batch.window_ms / 1000,
                queue_size=limits.queue_size,
                inference_seconds=limits.inference_seconds,
            ),
            self._observer,
        )

    def _make_room(self) -> None:
        """Evicts the least recently used configuration when all places are taken."""
        if len(self._places) < self._settings.pool.max_loaded:
            return
        unused = [
            (place.last_used, name) for name, place in self._places.items() if not place.users
        ]
        if not unused:
            raise ApiError(
                "overloaded",
                f"All {len(self._places)} configurations in memory are in use; send this later.",
            )
        self._evict(min(unused)[1])

    def _evict(self, name: str) -> None:
        self._observer.evict(name)
        self._leave(self._places.pop(name).lane)

    def _leave(self, lane: Lane) -> None:
        """Ends a lane in a thread of its own: its worker may take seconds to go."""
        self._leaving = [thread for thread in self._leaving if thread.is_alive()]
        thread = threading.Thread(target=lane.close, name=f"closing {lane.name}", daemon=True)
        thread.start()
        self._leaving.append(thread)

    def _sweep(self) -> None:
        idle = self._settings.pool.idle_seconds
        while not self._closed.wait(SWEEP_SECONDS):
            if idle is None:
                continue
            with self._lock:
                now = perf_counter()
                for name, place in list(self._places.items()):
                    if not place.users and now - place.last_used > idle:
                        self._evict(name)


def max_batch(configuration: Configuration, settings: BatchSettings) -> int | None:
    """Returns how many sounds may share a run; ``None`` leaves it to the device's default.

    A configuration that was measured is batched as it was measured.
    """
    if settings.mode == "off":
        return 1
    if settings.max_size != "auto":
        return settings.max_size
    return None if configuration.measured is None else configuration.measured.batch_size


def is_quantised(configuration: Configuration) -> bool:
    """Returns whether the configuration computes in less than float32.

    Most engines then scale activations by the whole batch, or round by its shape, so that a text
    could depend on its neighbours.
    """
    return bool(configuration.config["quantization"]["name"] != "none")
