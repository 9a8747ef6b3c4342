"""The parent's end of a worker process: starting it, talking to it, ending it.

Owns the pipe, the shared flags and the process. What the process does is ``worker.py``'s.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any, Final

from whisperlab.audio import Waveform
from whisperlab.serve.messages import Batch, Loaded, LoadFailed, Message, Recipe, send_batch
from whisperlab.serve.worker import work

JOIN_SECONDS: Final = 5.0
"""How long a worker whose pipe was closed may take to go."""


class WorkerLostError(Exception):
    """A worker died, hangs or could not be brought up; ``load_failure`` says why it was not."""

    def __init__(self, message: str, load_failure: LoadFailed | None = None) -> None:
        super().__init__(message)
        self.load_failure = load_failure


class WorkerProcess:
    """A spawned process that holds one engine; up to ``rows`` sounds at a time.

    Raises:
        WorkerLostError: no process could be started.
    """

    def __init__(self, name: str, config: Mapping[str, Any], rows: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        try:
            self._connection, theirs = spawn.Pipe()
            with theirs:
                self._flags = spawn.RawArray("b", rows)
                self._process = spawn.Process(
                    target=work,
                    args=(dict(config), theirs, self._flags),
                    name=f"whisperlab {name}",
                    daemon=True,
                )
                self._process.start()
        except OSError as error:
            raise WorkerLostError(f"no worker could be started: {error.strerror}") from error

    @property
    def pid(self) -> int | None:
        """The process id."""
        return self._process.pid

    def await_loaded(self) -> Loaded:
        """Waits for the engine.

        Raises:
            WorkerLostError: it could not be loaded.
        """
        message = self.receive()
        if isinstance(message, Loaded):
            return message
        if isinstance(message, LoadFailed):
            raise WorkerLostError(message.message, message)
        raise WorkerLostError("the worker spoke out of turn")

    @property
    def connection(self) -> Connection:
        """The pipe, to wait for."""
        return self._connection

    def send(
        self, waveforms: Mapping[int, Waveform], recipe: Recipe, *, joins: bool = False
    ) -> None:
        """Sends sounds by place, which begin a batch, or may join one of the same recipe.

        Raises:
            WorkerLostError: the worker is gone.
        """
        batch = Batch(list(waveforms.values()), list(waveforms), recipe, joins)
        try:
            send_batch(self._connection, batch)
        except OSError as error:
            raise WorkerLostError("the worker has died") from error

    def lower_flag(self, place: int) -> None:
        """Forgets that the sound at a place was to stop: it has left."""
        self._flags[place] = 0

    def raise_flag(self, place: int) -> None:
        """Asks the sound at a place to stop; the decode loop sees it at its next step."""
        self._flags[place] = 1

    def receive(self) -> Message:
        """Returns the worker's next message; waits for it.

        Raises:
            WorkerLostError: the worker is gone.
        """
        try:
            message: Message = self._connection.recv()
        except (EOFError, OSError) as error:
            raise WorkerLostError("the worker has died") from error
        return message

    def end(self) -> None:
        """Hangs up, waits a little, and kills what is left."""
        self._connection.close()
        self._process.join(JOIN_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Ends the process now; does nothing when it has gone."""
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
