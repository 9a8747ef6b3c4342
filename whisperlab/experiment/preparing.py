"""Sounds made ready by processes beside this one, so that a fast engine never waits for a decoder.

Owns the processes: their start, what they are sent, their deaths and their end. It does not know how
a sound is made ready.

A process is a Python of its own that reads pickles from a pipe and answers by another: it is given
one sound at a time, so that no more than a batch is ever ready, and when this process is gone, killed
or not, its pipe ends and so does it. A session of its own keeps Ctrl-C from it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import selectors
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import IO, Any, Final

from whisperlab.audio import Source
from whisperlab.errors import AudioError, ConfigError, ExecutorError, WhisperlabError
from whisperlab.executor.local import THREADS
from whisperlab.jobs import Job
from whisperlab.preparation import Preparation

PROGRAM: Final = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from whisperlab.experiment.preparing import answer; answer()"
)

PROTOCOL: Final = 5
"""Of pickle: the first that carries arrays without copying them twice."""

STOP_SECONDS: Final = 5.0
"""A process that has been told to end is killed after this."""


class Preparers:
    """Up to ``processes`` processes that make sounds ready; they start when there is something to do.

    To be used by one thread, and closed by any.
    """

    def __init__(self, preparation: Preparation, processes: int) -> None:
        self._preparation = preparation
        self._most = processes
        self._idle: list[subprocess.Popen[bytes]] = []
        self._all: list[subprocess.Popen[bytes]] = []
        self._answering: set[subprocess.Popen[bytes]] = set()
        self._closed = False
        self._starting = threading.Lock()
        self._using = threading.RLock()

    def __call__(self, batch: Sequence[Source]) -> list[Job]:
        """Returns a job a sound, in order; a sound on which a process dies comes back with an error.

        Raises:
            ConfigError, ModelError: a step cannot be done for any sound, or the steps cannot be
                sent to another process.
            ExecutorError: a process cannot start.
        """
        with self._using:
            try:
                return self._prepared(batch)
            except BaseException:
                self.close()  # some have an answer that nobody waits for any more
                raise

    def _prepared(self, batch: Sequence[Source]) -> list[Job]:
        waiting, jobs = deque(enumerate(batch)), dict[int, Job]()
        with selectors.DefaultSelector() as busy:
            while len(jobs) < len(batch):
                while waiting and (process := self._free()):
                    index, source = waiting.popleft()
                    if _send(process, source):
                        busy.register(_pipe(process.stdout), selectors.EVENT_READ, (process, index))
                    else:
                        jobs[index] = self._bury(process)
                for key, _ in busy.select() if busy.get_map() else ():
                    process, index = key.data
                    busy.unregister(key.fileobj)
                    jobs[index] = self._receive(process)
        return [jobs[index] for index in range(len(batch))]

    def close(self) -> None:
        """Ends the processes and returns when they are gone."""
        with self._starting:  # none may start behind its back
            self._closed = True
            ending = list(self._all)
        for process in ending:
            process.terminate()
        for process in ending:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        with self._using:  # who waits for an answer has come to the end of its pipe
            for process in ending:
                _close(process)

    def _free(self) -> subprocess.Popen[bytes] | None:
        self._require_open()
        if not self._idle and len(self._all) < self._most:
            self._idle.append(self._started())
        return self._idle.pop() if self._idle else None

    def _started(self) -> subprocess.Popen[bytes]:
        steps = _pickled(self._preparation)
        with self._starting:
            self._require_open()
            process = subprocess.Popen(  # noqa: S603 - our own command line
                [sys.executable, "-c", PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **dict.fromkeys(THREADS, "1")},
                start_new_session=True,
            )
            self._all.append(process)
        _send(process, sys.path)
        _send(process, steps)
        return process

    def _require_open(self) -> None:
        if self._closed:
            raise WhisperlabError("the processes that prepare sounds have been closed")

    def _receive(self, process: subprocess.Popen[bytes]) -> Job:
        try:
            if process not in self._answering:
                pickle.load(_pipe(process.stdout))  # noqa: S301 - our own child
                self._answering.add(process)
            found: Job | Exception = pickle.load(_pipe(process.stdout))  # noqa: S301 - our own child
        except (EOFError, OSError, ValueError, pickle.UnpicklingError):
            return self._bury(process)
        self._idle.append(process)
        if isinstance(found, Exception):
            raise found
        return found

    def _bury(self, process: subprocess.Popen[bytes]) -> Job:
        """Lets another take the place of a process that died; returns what became of its sound."""
        process.kill()
        code = process.wait()
        self._require_open()
        self._all.remove(process)
        _close(process)
        if process not in self._answering:
            raise ExecutorError(
                f"a process that prepares sounds ended while it started ({code}); what it wrote is "
                "above; set prepare_processes=0"
            )
        self._answering.remove(process)
        died = f"the process that decoded it died ({code}); check the file, and memory"
        return Job(error=AudioError(f"expected sound that can be decoded: {died}"))


def answer() -> None:
    """Makes sounds ready that come from stdin until it ends: what a process does."""
    asked, told = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    with contextlib.suppress(EOFError, BrokenPipeError):
        prepare = _preparation(pickle.load(asked))  # noqa: S301 - from our own parent
        told.write(_pickled(None))
        told.flush()
        for source in iter(partial(pickle.load, asked), None):
            found = prepare(source)
            try:
                told.write(_pickled(found))
            except ConfigError as error:
                told.write(_pickled(error))
            told.flush()


def _preparation(steps: bytes) -> Callable[[Source], Job | Exception]:
    """Returns what makes a sound ready, or says for each why there is nothing that does."""
    try:
        prepare: Preparation = pickle.loads(steps)  # noqa: S301 - from our own parent
    except (AttributeError, ImportError) as error:
        failure = _unsent(error)
        return lambda _: failure

    def prepared(source: Source) -> Job | Exception:
        try:
            return prepare(source)
        except Exception as error:  # noqa: BLE001 - raised again where the answer is read
            return error

    return prepared


def _pickled(what: Any) -> bytes:
    try:
        return pickle.dumps(what, PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise _unsent(error) from error


def _unsent(error: Exception) -> ConfigError:
    return ConfigError(
        f"a preprocessor or segmentation cannot be used in another process ({error}); put it in a "
        "module that can be imported, or set prepare_processes=0"
    )


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):  # what it was sent last may not have arrived
            _pipe(pipe).close()


def _send(process: subprocess.Popen[bytes], what: Any) -> bool:
    """Returns whether the process still took it."""
    pipe = _pipe(process.stdin)
    try:
        pipe.write(_pickled(what))
        pipe.flush()
    except BrokenPipeError:
        return False
    return True


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise RuntimeError("a pipe was asked for that was not opened")
    return pipe
