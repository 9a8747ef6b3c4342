"""Whatever is done to the queue in whatever order, it is a plain model's equal."""

from __future__ import annotations

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
from serve_replay import tone

from whisperlab.engine.options import DecodeOptions
from whisperlab.serve.messages import Recipe
from whisperlab.serve.problems import ApiError
from whisperlab.serve.queueing import FairQueue, Ticket

SIZE = 16
RESERVED = 2
SOUND = tone(0)
CALLERS = st.sampled_from("abcd")


class QueueMachine(RuleBasedStateMachine):
    """``turns`` is the model: callers in the order of their turns, each with its tickets in order."""

    recipe: ClassVar[Recipe] = Recipe(DecodeOptions())

    def __init__(self) -> None:
        super().__init__()
        self.queue = FairQueue(SIZE)
        self.turns: list[tuple[str, list[Ticket]]] = []
        self.gone: list[Ticket] = []

    def waiting(self, caller: str) -> list[Ticket]:
        return next((tickets for name, tickets in self.turns if name == caller), [])

    def total(self) -> int:
        return sum(len(tickets) for _, tickets in self.turns)

    @rule(caller=CALLERS)
    def add(self, caller: str) -> None:
        ticket = Ticket(SOUND, self.recipe, caller)
        mine = self.waiting(caller)
        if self.total() >= SIZE - (RESERVED if mine else 0):
            with pytest.raises(ApiError) as refused:
                self.queue.add(ticket)
            assert refused.value.code in ("queue_full", "overloaded")
            assert refused.value.code == "overloaded" or mine
            return
        self.queue.add(ticket)
        if mine:
            mine.append(ticket)
        else:
            self.turns.append((caller, [ticket]))

    @precondition(lambda self: self.turns)
    @rule()
    def take(self) -> None:
        self._take_from(0, self.queue.take())

    @rule(wanted=CALLERS)
    def take_companion(self, wanted: str) -> None:
        taken = self.queue.take_companion(lambda ticket: ticket.caller == wanted)
        places = [n for n, (name, _) in enumerate(self.turns) if name == wanted]
        assert (taken is not None) is bool(places)
        if taken is not None:
            self._take_from(places[0], taken)

    def _take_from(self, place: int, taken: Ticket) -> None:
        caller, tickets = self.turns.pop(place)
        assert taken is tickets.pop(0)
        self.gone.append(taken)
        if tickets:
            self.turns.append((caller, tickets))

    @precondition(lambda self: self.gone)
    @rule(which=st.integers(0, 100))
    def put_back(self, which: int) -> None:
        ticket = self.gone.pop(which % len(self.gone))
        self.queue.put_back(ticket)
        mine = self.waiting(ticket.caller)
        if mine:
            mine.insert(0, ticket)
        else:
            self.turns.append((ticket.caller, [ticket]))

    @precondition(lambda self: self.turns)
    @rule(which=st.integers(0, 100), again=st.booleans())
    def remove(self, which: int, again: bool) -> None:
        every = [ticket for _, tickets in self.turns for ticket in tickets]
        ticket = every[which % len(every)]
        assert self.queue.remove(ticket)
        assert not again or not self.queue.remove(ticket)
        self.waiting(ticket.caller).remove(ticket)
        self.turns = [(name, tickets) for name, tickets in self.turns if tickets]

    @rule()
    def clear(self) -> None:
        assert set(map(id, self.queue.clear())) == {
            id(ticket) for _, tickets in self.turns for ticket in tickets
        }
        self.turns = []

    @invariant()
    def as_many_wait_as_in_the_model(self) -> None:
        assert len(self.queue) == self.total()


def test_whatever_is_done_in_whatever_order_the_queue_is_its_models_equal() -> None:
    run_state_machine_as_test(
        QueueMachine, settings=settings(max_examples=60, stateful_step_count=40, deadline=None)
    )
