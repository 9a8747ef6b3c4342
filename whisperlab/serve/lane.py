"""One configuration's lane: sounds wait, are batched across clients, and one worker answers them.

Owns the lane's thread (the engine's one owner), batching, cancelling and the replacement of a worker
that died. It does not know HTTP: whoever has a Waveform submits it, from any thread.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

from whisperlab.audio import Waveform
from whisperlab.device import CUDA_BATCH_SIZE, default_batch_size
from whisperlab.serve.messages import Loaded, Recipe
from whisperlab.serve.problems import (
    ApiError,
    draining,
    inference_timeout,
    internal_error,
    not_loadable,
)
from whisperlab.serve.queueing import FairQueue, Ticket
from whisperlab.serve.run import Bell, Entrance, Left, Run
from whisperlab.serve.worker_process import WorkerLostError, WorkerProcess
from whisperlab.transcript import Segment

_logger = logging.getLogger(__name__)

STOP_SECONDS: Final = 5.0
"""What a batch that was asked to stop may take while its lane closes; then the worker is ended."""


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """``inference_seconds`` bounds a batch in the engine.

    ``max_batch`` 1 never batches, ``None`` takes the device's default; ``if_independent`` batches
    only in an engine that says of itself that no text depends on the batch.
    """

    max_batch: int | None
    window_seconds: float
    queue_size: int
    inference_seconds: float
    if_independent: bool = False


class LaneObserver:
    """Who is told what happens in a lane; does nothing by itself."""

    def batch_done(self, name: str, sounds: Sequence[Left], seconds: float) -> None:
        """A batch has ended, with those that joined it."""

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
        self._current: Run | None = None
        self._bell = Bell()
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
        return 0 if self._current is None else len(self._current.sounds)

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
            if self._current is not None and self._current.entrance is not None:
                self._bell.ring()
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Stops a sound's work: at once when it waits, at the next decode step when it runs."""
        with self._changed:
            ticket.cancelled = True
            if self._queue.remove(ticket):
                ticket.result.cancel()
            elif self._worker is not None and self._current is not None:
                for place, running in self._current.sounds.items():
                    if running is ticket:
                        self._worker.raise_flag(place)

    def close(self) -> None:
        """Ends what waits and runs, the worker and the thread; returns when they are gone."""
        with self._changed:
            self._closing = True
            worker, abandoned = self._worker, self._queue.clear()
            running = [] if self._current is None else list(self._current.sounds.values())
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
            running = [] if self._current is None else self._current.sounds.values()
            left = [*running, *self._queue.clear()]
            self._current = None
            self._bell.close()
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
        at_once = self._settings.max_batch or default_batch_size(loaded.kind)
        if self._settings.if_independent and not loaded.independent:
            at_once = 1
        # What would wait for a row in the worker waits here, where its turn and time are kept.
        self._max_batch = min(at_once, loaded.rows or at_once)
        self._joins = loaded.joins
        if not self.loaded.done():
            self.loaded.set_result(loaded)

    def _serve_next(self) -> bool:
        """Waits for a batch and serves it; False when the lane closes. Keeps no sound afterwards."""
        run = self._next_run()
        if run is not None and run.sounds:
            self._serve(run)
        return run is not None

    def _next_run(self) -> Run | None:
        """Waits for sounds and returns those that go together; ``None`` when the lane closes."""
        with self._changed:
            while not self._queue and not self._closing:
                self._changed.wait()
            if self._closing:
                return None
            gathered = [self._queue.take()]
            recipe, shares = gathered[0].recipe, self._shares(gathered[0])
            if shares:
                self._find_companions(gathered)
            batch = [ticket for ticket in gathered if not ticket.cancelled]
            for ticket in gathered:
                if ticket.cancelled:
                    ticket.result.cancel()  # while company was looked for
            entrance = None
            if shares and self._joins:
                entrance = Entrance(self._bell, self._max_batch, self._companion)
            self._current = Run(batch, recipe, self._changed, entrance)
            return None if self._closing else self._current

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
            lambda ticket: ticket.recipe == recipe and self._shares(ticket)
        )

    def _shares(self, ticket: Ticket) -> bool:
        return self._max_batch > 1 and ticket.may_share

    def _serve(self, run: Run) -> None:
        started = perf_counter()
        try:
            run.serve(self._present_worker(), self._settings.inference_seconds)
        except WorkerLostError:
            self._bury(run, perf_counter() - started)
        else:
            seconds = perf_counter() - started
            with self._changed:
                self._queue.note(seconds / len(run.left))
            self._observer.batch_done(self.name, run.left, seconds)
            run.tell()

    def _present_worker(self) -> WorkerProcess:
        if self._worker is None:
            raise WorkerLostError("there is no worker")
        return self._worker

    def _bury(self, run: Run, seconds: float) -> None:
        """Replaces a worker that died or hangs; sounds that may be innocent get another try, alone."""
        limit, now = self._settings.inference_seconds, perf_counter()
        _logger.error("worker lost", extra={"configuration": self.name, "seconds": seconds})
        self._observer.worker_lost(self.name)
        if self._worker is not None:
            self._worker.kill()
            self._worker.end()
        late, again = [], []
        with self._changed:
            batch = list(run.sounds.values())
            run.sounds.clear()
            shared = len(batch) > 1 or not run.begun  # a worker can die while it waits for sounds
            for ticket in batch:
                # From its own beginning: it may have joined.
                if now - (ticket.started or now) >= limit:
                    late.append(ticket)
                elif shared and not (ticket.alone or ticket.heard or ticket.cancelled):
                    again.append(ticket)
            for ticket in reversed(again):
                ticket.alone, ticket.started = True, None
                self._queue.put_back(ticket)
        for ticket in batch:
            if ticket not in again:
                ticket.finish(inference_timeout(limit) if ticket in late else internal_error())
        if not self._closing:
            self._start_worker()
