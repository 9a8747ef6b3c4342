"""Parts as processes of this machine.

Owns starting, watching, replacing and ending them. It does not know what a part does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, BinaryIO, Final

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.errors import ExecutorError
from whisperlab.executor.protocol import COMMAND, Part

POLL_SECONDS: Final = 0.2
"""How soon a worker's end is seen."""

STOP_SECONDS: Final = 20.0
"""After SIGTERM a batch may finish within this; then the worker is killed."""

FINISHED: Final = frozenset({0, 3})
"""Exit codes of a finished part: done, and done with more failed utterances than allowed."""

REFUSED: Final = frozenset({2, 4, 5, 74, 75})
"""Exit codes that the same command would end with again (INTERFACES: exit codes)."""

THREADS: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

LAST_LINES: Final = 400
"""Characters of a failed part's log in the error."""


@plain_dataclass(slots=True)
class _Worker:
    part: Part
    process: subprocess.Popen[bytes]
    log: BinaryIO


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class LocalExecutor:
    """``workers`` processes at a time, each with its share of the cores as threads.

    ``parts`` ``None`` is one a worker; more parts even out uneven ones and load the model more often.
    A worker that dies is replaced ``restarts`` times a part; it goes on behind its last batch.
    """

    workers: Annotated[int, Field(ge=1, le=1024)] = 2
    part_count: Annotated[int, Field(ge=1, le=100_000)] | None = None
    threads: Annotated[int, Field(ge=1)] | None = None
    restarts: Annotated[int, Field(ge=0)] = 3

    @property
    def parts(self) -> int:
        """As many as workers, unless told otherwise."""
        return self.part_count if self.part_count is not None else self.workers

    def run(self, parts: Sequence[Part], watch: Callable[[], None]) -> None:
        """Returns when every part has finished; ends all workers when ``watch`` raises.

        Raises:
            ExecutorError: a part ends with a code that it would end with again, or too often.
        """
        waiting, running = deque(parts), dict[int, _Worker]()
        deaths: Counter[int] = Counter()
        try:
            while waiting or running:
                while waiting and len(running) < self.workers:
                    part = waiting.popleft()
                    running[part.index] = self._start(part)
                for index, worker in list(running.items()):
                    code = worker.process.poll()
                    if code is None:
                        continue
                    worker.log.close()
                    del running[index]
                    if code not in FINISHED:
                        deaths[index] += 1
                        self._check(worker.part, code, deaths[index])
                        waiting.appendleft(worker.part)
                watch()
                if running:
                    time.sleep(POLL_SECONDS)
        finally:
            _end(list(running.values()))

    def _start(self, part: Part) -> _Worker:
        threads = self.threads or max(1, (os.cpu_count() or 1) // self.workers)
        log = part.log.open("ab")
        # A session of its own: Ctrl-C reaches this process alone, which then stops the workers.
        process = subprocess.Popen(  # noqa: S603 - our own command line
            part.command,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={
                **os.environ,
                **dict.fromkeys(THREADS, str(threads)),
                COMMAND: str(os.getpid()),
            },
            start_new_session=True,
        )
        return _Worker(part, process, log)

    def _check(self, part: Part, code: int, deaths: int) -> None:
        if code not in REFUSED and deaths <= self.restarts:
            return
        said = part.log.read_bytes()[-LAST_LINES:].decode("utf-8", "replace")
        ended = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise ExecutorError(
            f"part {part.index} ended with {ended} ({deaths} times): {' '.join(said.split())}; "
            f"see {part.log}, then run the same command again",
            exit_code=code if code in REFUSED else ExecutorError.exit_code,
        )


def _end(workers: Sequence[_Worker]) -> None:
    """Asks every worker to stop behind its batch; kills those that do not, and all at a second signal."""
    try:
        for worker in workers:
            worker.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for worker in workers:
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(max(0.0, deadline - time.monotonic()))
    finally:
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.wait()
            worker.log.close()
