"""A run of the worker: the sounds in its hands by their places, who joins them, who has left.

Owns what is said to the worker from a batch's first sound to its last answer. It does not know the
queue, nor what becomes of sounds whose worker is lost.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from time import perf_counter
from typing import Final

from whisperlab.audio import Waveform
from whisperlab.serve.messages import Answered, Heard, Message, Recipe, Reply
from whisperlab.serve.queueing import Ticket
from whisperlab.serve.worker_process import WorkerLostError, WorkerProcess

HANG_SECONDS: Final = 10.0
"""A worker that has not stopped this long after its time is up is ended: it hangs."""

JOIN_SECONDS: Final = 5.0
"""So long a run takes further sounds; then it ends, so that those it cannot take get their turn."""


class Bell:
    """Wakes a run that waits for its worker; whoever rings and whoever hears holds the lane's lock."""

    def __init__(self) -> None:
        self.heard, self._rung = multiprocessing.Pipe(duplex=False)
        self._rings = False

    def ring(self) -> None:
        """Rings, unless it does already: a run that nobody may join never hears it."""
        if not self._rings:
            self._rings = True
            self._rung.send_bytes(b"!")

    def quiet(self) -> None:
        """Ends the ringing that was heard."""
        self.heard.recv_bytes()
        self._rings = False

    def close(self) -> None:
        """Takes the bell away."""
        self.heard.close()
        self._rung.close()


@dataclass(frozen=True, slots=True)
class Entrance:
    """How sounds join a run, of which at most ``places`` are in it at a time.

    ``following`` takes the next one that may out of the queue, under the lane's lock.
    """

    bell: Bell
    places: int
    following: Callable[[Recipe], Ticket | None]


@dataclass(frozen=True, slots=True)
class Left:
    """What is still known of a sound that was answered: its samples are not kept."""

    queue_seconds: float
    audio_seconds: float


class Run:
    """Sounds of one recipe on their way through the worker; ``entrance`` ``None`` lets nobody join.

    ``lock`` guards ``sounds``. Who may be joined is answered at once, else all together by `tell`.
    """

    def __init__(
        self,
        batch: Sequence[Ticket],
        recipe: Recipe,
        lock: threading.Condition,
        entrance: Entrance | None,
    ) -> None:
        now = perf_counter()
        for ticket in batch:
            ticket.started = now
        self.sounds: dict[int, Ticket] = dict(enumerate(batch))
        """By the place that each has in the worker."""
        self.entrance = entrance
        self.begun = False
        """Whether the first sounds have reached the worker."""
        self.left: list[Left] = []
        self._recipe = recipe
        self._lock = lock
        self._replies: list[tuple[Ticket, Reply]] = []

    def serve(self, worker: WorkerProcess, inference_seconds: float) -> None:
        """Brings what runs, and what joins it, to its end; hands over segments on the way.

        Raises:
            WorkerLostError: the worker died or hangs; what it has not answered is in ``sounds``.
        """
        join_seconds = 0.0 if self.entrance is None else JOIN_SECONDS
        until = perf_counter() + join_seconds
        # A worker that hangs may neither take nor say all: no wait for its pipe knows the time.
        limit = inference_seconds + join_seconds + HANG_SECONDS
        watchdog = threading.Timer(limit, worker.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            worker.send({n: one.waveform for n, one in self.sounds.items()}, self._recipe)
            self.begun = True
            while self.sounds:
                if self.entrance is not None:
                    self._await_word(worker, self.entrance, until)
                self._hear(worker, worker.receive())
        except Exception:
            self.tell()  # these were answered, whatever becomes of the others
            raise
        finally:
            watchdog.cancel()

    def tell(self) -> None:
        """Gives their replies to the sounds that have not got them yet."""
        for ticket, reply in self._replies:
            ticket.finish(reply)
        self._replies.clear()

    def _hear(self, worker: WorkerProcess, message: Message) -> None:
        if isinstance(message, Heard):
            ticket = self.sounds[message.place]
            if ticket.on_segment is not None and not ticket.cancelled:
                ticket.heard = True
                ticket.on_segment(message.segment)
        elif isinstance(message, Answered):
            with self._lock:
                ticket = self.sounds.pop(message.place)
                worker.lower_flag(message.place)
            self.left.append(Left(ticket.queue_seconds, ticket.waveform.duration_seconds))
            self._replies.append((ticket, message.reply))
            if self.entrance is not None:
                self.tell()
        else:
            raise WorkerLostError("the worker spoke out of turn")

    def _await_word(self, worker: WorkerProcess, entrance: Entrance, until: float) -> None:
        """Waits for the worker's next message; lets sounds join meanwhile."""
        while True:
            if perf_counter() < until:
                self._let_join(worker, entrance)
            ready = wait([worker.connection, entrance.bell.heard])
            if entrance.bell.heard in ready:
                with self._lock:
                    entrance.bell.quiet()
            if worker.connection in ready:
                return

    def _let_join(self, worker: WorkerProcess, entrance: Entrance) -> None:
        joining: dict[int, Waveform] = {}
        with self._lock:
            for place in sorted(set(range(entrance.places)) - set(self.sounds)):
                ticket = entrance.following(self._recipe)
                if ticket is None:
                    break
                self.sounds[place], joining[place] = ticket, ticket.waveform
                ticket.started = perf_counter()
        if joining:
            with suppress(WorkerLostError):  # what it has said before is still to be read
                worker.send(joining, self._recipe, joins=True)
