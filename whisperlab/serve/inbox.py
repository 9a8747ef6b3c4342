"""A worker's inbox: takes in what the parent sends while the engine is busy.

Owns the reading thread. It does not know what a batch is for.
"""

from __future__ import annotations

import threading
from collections import deque
from multiprocessing.connection import Connection

from whisperlab.serve.messages import Batch, Recipe, receive_batch


class Inbox:
    """Batches in the order of their sending; ``take`` and ``take_joining`` are one thread's.

    What is sent is read at once: else a worker whose message waits to be read and a parent whose
    sounds do would wait for each other, as the pipe holds less than one sound.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._changed = threading.Condition()
        self._batches: deque[Batch] = deque()
        self._closed = False
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def take(self) -> Batch | None:
        """Waits for the next batch and returns it; ``None`` when the parent has hung up."""
        with self._changed:
            while not self._batches and not self._closed:
                self._changed.wait()
            return self._batches.popleft() if self._batches else None

    def take_joining(self, recipe: Recipe) -> Batch | None:
        """Returns the next batch if it is there and may join one of ``recipe``, else ``None``."""
        with self._changed:
            if self._batches and self._batches[0].joins and self._batches[0].recipe == recipe:
                return self._batches.popleft()
            return None

    def _read(self) -> None:
        try:
            while True:
                self._add(receive_batch(self._connection))
        except (EOFError, OSError):
            return  # the parent has hung up
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify()

    def _add(self, batch: Batch) -> None:
        with self._changed:
            self._batches.append(batch)
            self._changed.notify()
