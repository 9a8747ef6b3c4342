"""One configuration's lane: sounds wait, are batched across clients, and one worker answers them.

Owns the lane's thread (the engine's one owner), batching, sounds that join a running batch where the
engine can, cancelling and the replacement of a worker that died. It does not know HTTP: whoever has
a Waveform submits it, from any thread.
"""

from __future__ import annotations

import logging
import multiprocessing
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait
from time import perf_counter
from typing import Any, Final

from whisperlab.audio import Waveform
from whisperlab.device import CUDA_BATCH_SIZE, default_batch_size
from whisperlab.serve.problems import (
    ApiError,
    draining,
    inference_timeout,
    internal_error,
    not_loadable,
)
from whisperlab.serve.queueing import FairQueue, Ticket
from whisperlab.serve.worker import Answered, Heard, Loaded, Recipe, Reply
from whisperlab.serve.worker_process import WorkerLostError, WorkerProcess
from whisperlab.transcript import Segment

_logger = logging.getLogger(__name__)

SHORT_SECONDS: Final = 30.0
"""Sounds of up to one Whisper window share batches; a longer one would hold up its neighbours."""

HANG_SECONDS: Final = 10.0
"""A worker that has not stopped this long after its time is up is ended: it hangs."""

STOP_SECONDS: Final = 5.0
"""What a batch that was asked to stop may take while its lane closes; then the worker is ended."""

JOIN_SECONDS: Final = 5.0
"""So long a batch takes further sounds; then it ends, so that those it cannot take get their turn."""


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """``inference_seconds`` bounds a batch in the engine.

    ``max_batch`` 1 never batches, ``None`` takes the device's default.
    """

    max_batch: int | None
    window_seconds: float
    queue_size: int
    inference_seconds: float


class LaneObserver:
    """Who is told what happens in a lane; does nothing by itself."""

    def batch_done(self, name: str, batch: Sequence[Ticket], seconds: float) -> None:
        """A batch has ended."""

    def worker_lost(self, name: str) -> None:
        """The worker died or was ended, and is replaced."""


class Lane:
    """The queue and the worker of one configuration; :meth:`start` loads it.

    ``loaded`` becomes the worker's :class:`Loaded`, or raises the :class:`WorkerLostError` that
    kept the engine from being loaded, or the ApiError of a lane that was closed before.
    """

    def __init__(
        self, name: str, config: Mapping[str, Any], settings: LaneSettings, observer: LaneObserver
    ) -> None:
        self.name = name
        self.loaded: Future[Loaded] = Future()
        self._config = config
        self._settings = settings
        self._observer = observer
        self._changed = threading.Condition()
        self._queue = FairQueue(settings.queue_size)
        self._running: dict[int, Ticket] = {}  # by the place that each has in the worker's batch
        self._bell, self._ring = multiprocessing.Pipe(duplex=False)  # of sounds that may join
        self._rung = False  # one ring at most lies there: a batch that nobody may join reads none
        self._joins = False
        self._closing = False
        self._lost = False
        self._max_batch = settings.max_batch or 1
        self._worker: WorkerProcess | None = None
        self._after: Sequence[threading.Thread] = ()
        self._thread = threading.Thread(target=self._run, name=f"lane {name}", daemon=True)

    @property
    def depth(self) -> int:
        """Sounds that wait."""
        with self._changed:
            return len(self._queue)

    @property
    def in_engine(self) -> int:
        """Sounds that are being transcribed."""
        return len(self._running)

    @property
    def closed(self) -> bool:
        """True when the lane takes no more sounds."""
        return self._closing

    @property
    def worker_pid(self) -> int | None:
        """The process id of the worker, ``None`` when there is none."""
        return None if self._worker is None else self._worker.pid

    def start(self, after: Sequence[threading.Thread] = ()) -> None:
        """Starts the lane's thread, which starts the worker and loads the engine.

        It waits for the threads ``after`` first: those that end lanes whose memory this one needs.
        """
        self._after = after
        self._thread.start()

    def check_room(self, caller: str) -> None:
        """Raises what ``submit`` would now: nothing need be decoded for it to be refused after all.

        Raises:
            ApiError: ``queue_full`` or ``overloaded``.
        """
        with self._changed:
            self._queue.check_room(caller)

    def submit(
        self,
        waveform: Waveform,
        recipe: Recipe,
        caller: str,
        on_segment: Callable[[Segment], None] | None = None,
    ) -> Ticket:
        """Returns the ticket of a sound that now waits its turn.

        Raises:
            ApiError: ``queue_full`` or ``overloaded``, with a time to wait; ``draining``;
                ``model_not_loadable`` when the worker is lost for good.
        """
        ticket = Ticket(waveform, recipe, caller, on_segment)
        with self._changed:
            if self._closing:
                raise not_loadable() if self._lost else draining()
            self._queue.add(ticket)
            self._changed.notify_all()
            if self._joins and self._running and not self._rung:
                self._rung = True
                self._ring.send_bytes(b"!")
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Stops a sound's work: at once when it waits, at the next decode step when it runs."""
        with self._changed:
            ticket.cancelled = True
            if self._queue.remove(ticket):
                ticket.result.cancel()
            elif self._worker is not None:
                for place, running in self._running.items():
                    if running is ticket:
                        self._worker.raise_flag(place)

    def close(self) -> None:
        """Ends what waits and runs, the worker and the thread; returns when they are gone."""
        with self._changed:
            self._closing = True
            worker, abandoned = self._worker, self._queue.clear()
            running = list(self._running.values())
            self._changed.notify_all()
        for ticket in abandoned:
            ticket.finish(draining())
        for ticket in running:
            self.cancel(ticket)
        if not self._thread.is_alive():
            return
        if worker is not None and not self.loaded.done():
            worker.kill()  # nobody waits for a model that will not be used
        self._thread.join(STOP_SECONDS)
        worker = self._worker  # another one, if the first was lost meanwhile
        if worker is not None:
            worker.kill()
        self._thread.join()

    def _run(self) -> None:
        failure: Exception = internal_error()  # unless it turns out to be a known one
        try:
            for thread in self._after:
                thread.join()
            self._start_worker()
            while self._serve_next():
                continue
            failure = draining()
        except WorkerLostError as error:
            failure = draining() if self._closing else error
            if not self._closing:
                # A model that was loaded once and cannot be again: the next request tries anew.
                _logger.error("model not loaded", extra={"configuration": self.name})  # noqa: TRY400
        finally:
            self._end(failure)

    def _end(self, failure: Exception) -> None:
        """Leaves no process behind, and nobody waiting."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None
        with self._changed:
            self._lost = not self._closing
            self._closing = True
            left = [*self._running.values(), *self._queue.clear()]
            self._running = {}
            self._bell.close()
            self._ring.close()
        for ticket in left:
            ticket.finish(failure if isinstance(failure, ApiError) else not_loadable())
        if not self.loaded.done():
            self.loaded.set_exception(failure)

    def _start_worker(self) -> None:
        rows = self._settings.max_batch or CUDA_BATCH_SIZE  # the largest default of any device
        worker = WorkerProcess(self.name, self._config, rows)
        with self._changed:
            self._worker = worker
            closing = self._closing
        if closing:
            worker.kill()
        loaded = worker.await_loaded()
        self._max_batch = self._settings.max_batch or default_batch_size(loaded.kind)
        self._joins = loaded.joins
        if not self.loaded.done():
            self.loaded.set_result(loaded)

    def _serve_next(self) -> bool:
        """Waits for a batch and serves it; False when the lane closes. Keeps no sound afterwards."""
        batch = self._next_batch()
        if batch:
            self._serve(batch)
        return batch is not None

    def _next_batch(self) -> list[Ticket] | None:
        """Waits for sounds and returns those that go together; ``None`` when the lane closes."""
        with self._changed:
            while not self._queue and not self._closing:
                self._changed.wait()
            if self._closing:
                return None
            gathered = [self._queue.take()]
            if self._may_share(gathered[0]):
                self._find_companions(gathered)
            batch = [ticket for ticket in gathered if not ticket.cancelled]
            for ticket in gathered:
                if ticket.cancelled:
                    ticket.result.cancel()  # while company was looked for
            self._running = dict(enumerate(batch))
            if self._closing:
                return None
        return batch

    def _find_companions(self, batch: list[Ticket]) -> None:
        """Adds what may share the batch's run, waiting a little for more to arrive."""
        until = perf_counter() + self._settings.window_seconds
        while len(batch) < self._max_batch and not self._closing:
            companion = self._companion(batch[0].recipe)
            if companion is not None:
                batch.append(companion)
            elif (left := until - perf_counter()) <= 0 or not self._changed.wait(left):
                return

    def _companion(self, recipe: Recipe) -> Ticket | None:
        return self._queue.take_companion(
            lambda ticket: ticket.recipe == recipe and self._may_share(ticket)
        )

    def _may_share(self, ticket: Ticket) -> bool:
        """True for a sound whose text does not depend on who shares its batch."""
        return (
            self._max_batch > 1
            and not ticket.alone
            and ticket.waveform.duration_seconds <= SHORT_SECONDS
            and ticket.recipe.segmentation is None
            and ticket.recipe.options.beam_size == 1  # of beams nobody tells how close they were
            and set(ticket.recipe.options.temperatures) == {0.0}
        )

    def _serve(self, batch: Sequence[Ticket]) -> None:
        started = perf_counter()
        for ticket in batch:
            ticket.started = started
        done: list[tuple[Ticket, Reply]] = []
        try:
            self._transcribe(batch[0], done)
        except WorkerLostError:
            for ticket, reply in done:
                ticket.finish(reply)  # first: the next worker may not come up
            self._bury(perf_counter() - started)
        else:
            seconds = perf_counter() - started
            self._queue.note(seconds / len(done))
            self._observer.batch_done(self.name, [ticket for ticket, _ in done], seconds)
        for ticket, reply in done:
            ticket.finish(reply)  # where it has not been

    def _transcribe(self, first: Ticket, done: list[tuple[Ticket, Reply]]) -> None:
        """Brings what runs, and what joins it, to its end; hands over segments on the way.

        Raises:
            WorkerLostError: the worker died or hangs.
        """
        worker = self._worker
        if worker is None:
            raise WorkerLostError("there is no worker")
        joins = self._joins and self._may_share(first)
        until = perf_counter() + (JOIN_SECONDS if joins else 0.0)
        # A worker that hangs may neither take nor say all: no wait for its pipe knows the time.
        limit = self._settings.inference_seconds + (JOIN_SECONDS if joins else 0.0) + HANG_SECONDS
        watchdog = threading.Timer(limit, worker.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            worker.send({n: one.waveform for n, one in self._running.items()}, first.recipe)
            while self._running:
                if joins:
                    self._await_word(worker, first.recipe, until)
                message = worker.receive()
                if isinstance(message, Heard):
                    ticket = self._running[message.place]
                    if ticket.on_segment is not None and not ticket.cancelled:
                        ticket.heard = True
                        ticket.on_segment(message.segment)
                elif isinstance(message, Answered):
                    with self._changed:
                        ticket = self._running.pop(message.place)
                        worker.lower_flag(message.place)
                    done.append((ticket, message.reply))
                    if joins:
                        ticket.finish(message.reply)
                else:
                    raise WorkerLostError("the worker spoke out of turn")
        finally:
            watchdog.cancel()

    def _await_word(self, worker: WorkerProcess, recipe: Recipe, until: float) -> None:
        """Waits for the worker's next message; lets sounds join meanwhile."""
        while True:
            # Read before sending: a worker that waits to be read takes no sounds.
            if perf_counter() < until and not worker.connection.poll():
                self._let_join(worker, recipe)
            ready = wait([worker.connection, self._bell])
            if self._bell in ready:
                with self._changed:
                    self._bell.recv_bytes()
                    self._rung = False
            if worker.connection in ready:
                return

    def _let_join(self, worker: WorkerProcess, recipe: Recipe) -> None:
        joining: dict[int, Waveform] = {}
        with self._changed:
            for place in sorted(set(range(self._max_batch)) - set(self._running)):
                ticket = None if self._closing else self._companion(recipe)
                if ticket is None:
                    break
                self._running[place], joining[place] = ticket, ticket.waveform
                ticket.started = perf_counter()
        if joining:
            worker.send(joining, recipe, joins=True)

    def _bury(self, seconds: float) -> None:
        """Replaces a worker that died or hangs; sounds that may be innocent get another try, alone."""
        _logger.error("worker lost", extra={"configuration": self.name, "seconds": seconds})
        self._observer.worker_lost(self.name)
        if self._worker is not None:
            self._worker.kill()
            self._worker.end()
        in_time = seconds < self._settings.inference_seconds
        with self._changed:
            batch = list(self._running.values())
            self._running = {}
            again = [
                t for t in batch if in_time and len(batch) > 1 and not (t.heard or t.cancelled)
            ]
            for ticket in reversed(again):
                ticket.alone, ticket.started = True, None
                self._queue.put_back(ticket)
        lost = internal_error if in_time else partial(inference_timeout, self._settings.inference_seconds)  # fmt: skip
        for ticket in batch:
            if ticket not in again:
                ticket.finish(lost())
        if not self._closing:
            self._start_worker()
