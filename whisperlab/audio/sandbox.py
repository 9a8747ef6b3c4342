"""Decoding of untrusted sound in processes that can afford to die: a warm pool behind one call.

Owns how many decoders there are, who gets one next, and their replacement. It does not know how a
sound is decoded (``decode``) nor what a decoder may use (``sandbox_process``, ``sandbox_child``).
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from time import perf_counter
from types import TracebackType
from typing import Self

from whisperlab.audio.limits import UPLOAD_MAX_BYTES, AudioLimits
from whisperlab.audio.sandbox_process import DecoderProcess, End, SandboxLimits
from whisperlab.audio.waveform import Waveform
from whisperlab.errors import AudioError, ConfigError
from whisperlab.stopwatch import Stopwatch

__all__ = ["DecodeSandbox", "SandboxCounts", "SandboxLimits"]

_logger = logging.getLogger(__name__)

_RESTART_SECONDS = 1.0  # between two tries to start a process where that fails


@dataclass(frozen=True, slots=True)
class SandboxCounts:
    """The pool at one moment, for metrics.

    Attributes:
        alive: processes, those that are just starting included.
        busy: of these, the ones that have a sound.
        waiting: callers that wait for a process.
        started: processes that became ready since the beginning.
        killed: processes ended for exceeding their time.
        died: processes that ended by themselves (crash, memory, a kill from outside).
        recycled: processes replaced after ``sounds_per_worker`` sounds or ``decode_memory``.
    """

    alive: int
    busy: int
    waiting: int
    started: int
    killed: int
    died: int
    recycled: int


class DecodeSandbox:
    """``whisperlab.audio.decode`` for untrusted bytes, in child processes with hard limits.

    Verdicts, codes, messages and samples are those of ``decode``; a sound that hangs, crashes or
    bursts its decoder costs that sound alone. Build it once, after any fork of the program, and call
    it from any thread.

    Args:
        workers: processes, all started here and kept warm.
        limits: what one sound may cost, as in ``decode``, unless its caller says otherwise.
        sandbox: what one process may use.

    Raises:
        ConfigError: a process could not be started.

    ::

        with DecodeSandbox(workers=2) as sandbox:
            waveform = sandbox.decode(upload)
    """

    def __init__(
        self,
        workers: int = 2,
        limits: AudioLimits = AudioLimits(max_bytes=UPLOAD_MAX_BYTES),  # noqa: B008  frozen
        sandbox: SandboxLimits = SandboxLimits(),  # noqa: B008  frozen
    ) -> None:
        if workers < 1:
            raise ConfigError(f"workers: expected 1 or more decoder processes, got {workers}")
        self._limits, self._sandbox = limits, sandbox
        self._lock = threading.Lock()  # for the next six
        self._idle: deque[DecoderProcess] = deque()
        self._waiting: deque[Future[DecoderProcess]] = deque()  # never beside an idle process
        self._living: set[DecoderProcess] = set()
        self._started = self._busy = 0
        self._ended = dict.fromkeys(End, 0)
        self._closed = threading.Event()
        self._retired: SimpleQueue[DecoderProcess | None] = SimpleQueue()
        warm: Future[None] = Future()
        # All processes are children of this thread: the kernel ends them when it ends, and request
        # threads come and go.
        self._keeper = threading.Thread(
            target=self._keep, args=(workers, warm), name="decode-sandbox", daemon=True
        )
        self._keeper.start()
        try:
            warm.result()
        except BaseException:  # also a stop signal while starting; re-raised
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def counts(self) -> SandboxCounts:
        """What metrics show; a snapshot."""
        with self._lock:
            waiting = sum(not ticket.done() for ticket in self._waiting)
            return SandboxCounts(
                alive=len(self._living),
                busy=self._busy,
                waiting=waiting,
                started=self._started,
                killed=self._ended[End.KILLED],
                died=self._ended[End.DIED],
                recycled=self._ended[End.RECYCLED],
            )

    def decode(
        self,
        encoded: bytes,
        stopwatch: Stopwatch | None = None,
        timeout_seconds: float | None = None,
        limits: AudioLimits | None = None,
    ) -> Waveform:
        """Returns the sound of an upload as mono float32 at 16 kHz, or says why not; blocks.

        Args:
            encoded: the bytes as they came.
            stopwatch: receives the stages ``read``, ``decode`` and ``resample`` of the child.
            timeout_seconds: the longest wait for a free process, None for any; the work itself is
                bounded by ``SandboxLimits``. Who came first is served first.
            limits: what this sound may cost, None for the sandbox's own.

        Raises:
            AudioError: as ``whisperlab.audio.decode``; ``decode_timeout`` and ``decode_memory`` for
                a sound beyond the sandbox's limits; ``invalid_audio`` when the decoder died of it;
                ``overloaded`` when no process became free in time or the sandbox is closed.
        """
        chosen = self._limits if limits is None else limits
        chosen.check_size(len(encoded))
        process = self._take(timeout_seconds)
        try:
            return process.decode(encoded, chosen, Stopwatch() if stopwatch is None else stopwatch)
        except AudioError as error:
            if self._closed.is_set() and process.end is End.DIED:
                raise _shut() from error
            raise
        finally:
            with self._lock:
                self._busy -= 1
            if process.end is None:
                self._offer(process)
            else:
                self._retired.put(process)

    def close(self) -> None:
        """Ends every process and returns when they are gone; callers in ``decode`` get ``overloaded``."""
        with self._lock:
            self._closed.set()
            waiting, living = list(self._waiting), list(self._living)
            self._waiting.clear()
        for ticket in waiting:
            if ticket.set_running_or_notify_cancel():
                ticket.set_exception(_shut())
        for process in living:
            process.kill()
        self._retired.put(None)
        self._keeper.join()

    def _take(self, timeout_seconds: float | None) -> DecoderProcess:
        """Returns a living process, the caller's alone."""
        deadline = None if timeout_seconds is None else perf_counter() + timeout_seconds
        while True:
            with self._lock:
                if self._closed.is_set():
                    raise _shut()
                process = self._idle.popleft() if self._idle else None
                if process is None:
                    ticket: Future[DecoderProcess] = Future()
                    self._waiting.append(ticket)
            if process is None:
                process = self._wait(ticket, deadline)
            if process.is_waiting():
                with self._lock:
                    self._busy += 1
                return process
            self._retired.put(process)  # died between two sounds

    def _wait(self, ticket: Future[DecoderProcess], deadline: float | None) -> DecoderProcess:
        try:
            return ticket.result(None if deadline is None else max(0.0, deadline - perf_counter()))
        except BaseException as error:  # a stop signal too; re-raised
            if not ticket.cancel() and ticket.exception() is None:
                self._offer(ticket.result())  # was handed over at this very moment
            if isinstance(error, TimeoutError):
                raise AudioError(
                    "expected a free decoder in time, all are busy; send the sound again later",
                    code="overloaded",
                ) from error
            raise

    def _offer(self, process: DecoderProcess) -> None:
        """Hands a free process to who has waited longest, or keeps it for the next to come."""
        with self._lock:
            while self._waiting:
                ticket = self._waiting.popleft()
                if ticket.set_running_or_notify_cancel():  # False: gave up waiting
                    ticket.set_result(process)
                    return
            self._idle.append(process)

    def _keep(self, workers: int, warm: Future[None]) -> None:
        """Starts the processes, replaces those that end, and ends all: one thread's whole life."""
        try:
            for process in [self._start() for _ in range(workers)]:
                self._welcome(process)
        except ConfigError as error:
            warm.set_exception(error)
        else:
            warm.set_result(None)
        while (retired := self._retired.get()) is not None:
            self._bury(retired)
            while not self._closed.is_set():
                try:
                    self._welcome(self._start())
                except ConfigError as error:
                    if self._closed.is_set():
                        break
                    _logger.error("no decoder could be started, trying again: %s", error)  # noqa: TRY400  expected
                    self._closed.wait(_RESTART_SECONDS)
                else:
                    break
        with self._lock:
            self._idle.clear()
            living = list(self._living)
        for process in living:
            self._bury(process)

    def _start(self) -> DecoderProcess:
        process = DecoderProcess(self._sandbox)
        with self._lock:
            self._living.add(process)
        if self._closed.is_set():
            process.kill()
        return process

    def _welcome(self, process: DecoderProcess) -> None:
        try:
            process.wait_until_ready()
        except ConfigError:
            self._bury(process)
            raise
        with self._lock:
            self._started += 1
        self._offer(process)

    def _bury(self, process: DecoderProcess) -> None:
        process.bury()
        with self._lock:
            self._living.discard(process)
            if process.end is not None:
                self._ended[process.end] += 1


def _shut() -> AudioError:
    return AudioError(
        "expected an open sandbox, got one that has been closed; open another", code="overloaded"
    )
