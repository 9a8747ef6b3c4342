"""Whatever is asked of the pool in whatever order, it is a plain model's equal.

The lanes here start no process; everything else is the pool itself (test_pool.py has real ones).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from serve_replay import replay
from serve_settings import settings_of

from whisperlab.serve.configurations import Configuration, Offer
from whisperlab.serve.lane import Lane, LaneSettings
from whisperlab.serve.pool import Pool, PoolObserver
from whisperlab.serve.problems import ApiError
from whisperlab.serve.settings import ServeSettings

PLACES = 3
NAMES = st.sampled_from("abcde")


class StillLane(Lane):
    """A lane without a worker."""

    def start(self, after: Sequence[threading.Thread] = ()) -> None:
        """Starts nothing."""


class StillPool(Pool):
    """The pool with such lanes."""

    def _new_lane(self, configuration: Configuration) -> Lane:
        return StillLane(configuration.name, configuration.config, LaneSettings(1, 0.0, 4, 1.0), self._observer)  # fmt: skip


class Seen(PoolObserver):
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def hit(self, name: str) -> None:
        self.events.append(("hit", name))

    def load(self, name: str) -> None:
        self.events.append(("load", name))

    def evict(self, name: str) -> None:
        self.events.append(("evict", name))


class PoolMachine(RuleBasedStateMachine):
    """``loaded`` is the model: names in order of their last use, with how many use them now."""

    known: ClassVar[dict[str, Configuration]]
    chosen: ClassVar[ServeSettings]

    def __init__(self) -> None:
        super().__init__()
        self.seen = Seen()
        self.pool = StillPool(Offer(list(self.known.values()), {}), self.chosen, self.seen)
        self.loaded: dict[str, int] = {}
        self.leases: list[tuple[str, Lane, ExitStack]] = []
        self.lost: set[str] = set()

    @rule(name=NAMES)
    def lease(self, name: str) -> None:
        before = list(self.seen.events)
        stack = ExitStack()
        unused = [one for one, users in self.loaded.items() if not users]
        full = name not in self.loaded and len(self.loaded) == PLACES
        if name in self.lost or (full and not unused):
            with pytest.raises(ApiError) as refused:
                stack.enter_context(self.pool.lease(self.known[name]))
            assert refused.value.code == (
                "model_not_loadable" if name in self.lost else "overloaded"
            )
            assert self.seen.events == before
            return
        lane = stack.enter_context(self.pool.lease(self.known[name]))
        told = [("hit", name)] if name in self.loaded else [("load", name)]
        if full:
            told.insert(0, ("evict", unused[0]))
            del self.loaded[unused[0]]
            self.lost.discard(unused[0])
        assert self.seen.events == [*before, *told]
        assert lane.name == name
        assert not lane.closed
        assert all(lane is other for one, other, _ in self.leases if one == name)
        self.loaded[name] = self.loaded.pop(name, 0) + 1
        self.leases.append((name, lane, stack))

    @precondition(lambda self: self.leases)
    @rule(which=st.integers(0, 100))
    def give_back(self, which: int) -> None:
        name, lane, stack = self.leases.pop(which % len(self.leases))
        assert not lane.closed or name in self.lost
        stack.close()
        self.loaded[name] = self.loaded.pop(name) - 1

    @precondition(lambda self: self.loaded)
    @rule(which=st.integers(0, 100))
    def lose(self, which: int) -> None:
        """A worker that cannot be started again closes its lane; for a while nobody tries it."""
        name = sorted(self.loaded)[which % len(self.loaded)]
        self.pool.lanes[name].close()
        self.lost.add(name)

    @invariant()
    def what_is_in_memory_is_the_model_s(self) -> None:
        assert sorted(self.pool.lanes) == sorted(self.loaded)
        assert len(self.loaded) <= PLACES

    @invariant()
    def nothing_in_use_was_ended(self) -> None:
        for name, lane, _ in self.leases:
            assert self.pool.lanes[name] is lane

    def teardown(self) -> None:
        for _, _, stack in self.leases:
            stack.close()
        self.pool.close()
        with pytest.raises(ApiError, match="shutting down"), self.pool.lease(self.known["a"]):
            pass


def test_whatever_is_asked_in_whatever_order_the_pool_is_its_models_equal() -> None:
    PoolMachine.known = {name: replay(name) for name in "abcde"}
    PoolMachine.chosen = settings_of(f"serve.pool.max_loaded={PLACES}", "serve.pool.idle_seconds=null")  # fmt: skip
    run_state_machine_as_test(
        PoolMachine, settings=settings(max_examples=40, stateful_step_count=30, deadline=None)
    )
