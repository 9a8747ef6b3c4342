"""The queue in front of an engine: sounds wait by caller, callers take turns, companions are found.

Owns order and bounds. It does not know threads (its owner locks), processes or HTTP.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

from whisperlab.audio import Waveform
from whisperlab.serve.messages import Recipe, Reply
from whisperlab.serve.problems import ApiError
from whisperlab.transcript import Segment

SHORT_SECONDS: Final = 30.0
"""Sounds of up to one Whisper window share batches; a longer one would hold up its neighbours."""


@dataclass(slots=True, eq=False)
class Ticket:
    """One sound on its way through a lane.

    ``result`` gives its Reply, or raises the ApiError that ended it. ``on_segment`` is called for
    each final segment, from the lane's thread.
    """

    waveform: Waveform
    recipe: Recipe
    caller: str
    on_segment: Callable[[Segment], None] | None = None
    result: Future[Reply] = field(default_factory=Future)
    submitted: float = field(default_factory=perf_counter)
    started: float | None = None
    cancelled: bool = False
    alone: bool = False
    """The worker died while this sound shared a batch: it gets one more chance, by itself."""
    heard: bool = False
    """A segment was handed over: another try would say it twice."""

    @property
    def may_share(self) -> bool:
        """True for a sound whose text does not depend on who shares its batch."""
        options = self.recipe.options
        return (
            not self.alone
            and self.waveform.duration_seconds <= SHORT_SECONDS
            and self.recipe.segmentation is None
            and options.beam_size == 1  # of beams nobody tells how close they were
            and set(options.temperatures) == {0.0}
        )

    @property
    def queue_seconds(self) -> float:
        """How long the sound has waited, or did wait, for the engine."""
        return (self.started or perf_counter()) - self.submitted

    def finish(self, outcome: Reply | ApiError) -> None:
        """Gives the ticket its end; one that was cancelled while it waited has had it."""
        try:
            if isinstance(outcome, ApiError):
                self.result.set_exception(outcome)
            else:
                self.result.set_result(outcome)
        except InvalidStateError:
            return


RESERVED_SHARE: Final = 8
"""One in so many places is kept for callers of whom nobody waits: a flood finds it closed."""


SMOOTHING: Final = 0.2
"""Weight of the newest batch in the moving mean of seconds a sound."""


class FairQueue:
    """At most ``size`` tickets; each caller's are in order, and callers take turns.

    >>> import numpy as np
    >>> from whisperlab.engine.options import DecodeOptions
    >>> sound, recipe = Waveform(np.zeros(1_600, dtype=np.float32)), Recipe(DecodeOptions())
    >>> queue = FairQueue(8)
    >>> for caller in ("anna", "anna", "ben"):
    ...     queue.add(Ticket(sound, recipe, caller))
    >>> [queue.take().caller for _ in range(3)]
    ['anna', 'ben', 'anna']
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._by_caller: dict[str, deque[Ticket]] = {}
        self.seconds_per_sound = 0.0
        """What a sound takes, for the time that a refused caller is told to wait."""

    def note(self, seconds: float) -> None:
        """Notes what a sound of the newest batch has taken."""
        self.seconds_per_sound += SMOOTHING * (seconds - self.seconds_per_sound)

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._by_caller.values())

    def add(self, ticket: Ticket) -> None:
        """Puts the ticket behind its caller's others.

        Raises:
            ApiError: ``queue_full`` when this caller fills its share, ``overloaded`` when others do.
        """
        self.check_room(ticket.caller)
        self._by_caller.setdefault(ticket.caller, deque()).append(ticket)

    def check_room(self, caller: str) -> None:
        """Raises what ``add`` would for a ticket of this caller."""
        waiting = len(self)
        reserved = self._size // RESERVED_SHARE if caller in self._by_caller else 0
        if waiting >= self._size - reserved:
            raise self._refusal(caller, waiting)

    def put_back(self, ticket: Ticket) -> None:
        """Puts a ticket that was taken in front of its caller's others, whatever the size."""
        self._by_caller.setdefault(ticket.caller, deque()).appendleft(ticket)

    def take(self) -> Ticket:
        """Takes the first ticket of the caller whose turn it is; the queue must not be empty."""
        return self._take_from(next(iter(self._by_caller)))

    def take_companion(self, suits: Callable[[Ticket], bool]) -> Ticket | None:
        """Takes the next ticket, by turns of the callers, that ``suits``; ``None`` if none does."""
        for caller, queue in self._by_caller.items():
            if suits(queue[0]):
                return self._take_from(caller)
        return None

    def remove(self, ticket: Ticket) -> bool:
        """Takes the ticket out; returns whether it was waiting."""
        queue = self._by_caller.get(ticket.caller, deque())
        if ticket not in queue:
            return False
        queue.remove(ticket)
        if not queue:
            del self._by_caller[ticket.caller]
        return True

    def clear(self) -> list[Ticket]:
        """Takes every ticket."""
        tickets = [ticket for queue in self._by_caller.values() for ticket in queue]
        self._by_caller.clear()
        return tickets

    def _take_from(self, caller: str) -> Ticket:
        queue = self._by_caller.pop(caller)
        ticket = queue.popleft()
        if queue:
            self._by_caller[caller] = queue  # to the end: the others' turn
        return ticket

    def _refusal(self, caller: str, waiting: int) -> ApiError:
        mine = len(self._by_caller.get(caller, ()))
        wait = max(1.0, waiting * self.seconds_per_sound)
        if mine * len(self._by_caller) >= waiting:  # at least the share of each caller
            return ApiError(
                "queue_full",
                f"{mine} requests of yours wait already; send this one later.",
                retry_after_seconds=wait,
            )
        return ApiError(
            "overloaded",
            "All places of the queue are taken; send this again later.",
            retry_after_seconds=wait,
        )
