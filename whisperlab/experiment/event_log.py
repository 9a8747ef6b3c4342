"""log.jsonl: what happened during a run, one JSON object a line, for people who look afterwards.

Owns the format. It carries ids, codes and counts; never a transcript.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from whisperlab.errors import WriteError
from whisperlab.experiment.provenance import utc_now

LOGGER = logging.getLogger("whisperlab")


@contextmanager
def run_log(path: Path) -> Iterator[None]:
    """Writes the events of the ``with`` block, and how it ended, to ``path``."""
    handler = JsonLinesHandler(path)
    level = LOGGER.level
    LOGGER.setLevel(logging.INFO)
    LOGGER.addHandler(handler)
    ended = "stopped"
    try:
        yield
        ended = "finished"
    finally:
        try:
            log_event("attempt ended", reason=ended)
        finally:
            LOGGER.removeHandler(handler)
            LOGGER.setLevel(level)
            handler.close()


class JsonLinesHandler(logging.FileHandler):
    """Appends each record as ``{"time", "level", "event", ...}``; extra fields come from ``fields``."""

    stream = None  # logging flushes at the exit what a stop signal left half made

    def __init__(self, path: Path) -> None:
        try:
            super().__init__(path, mode="a", encoding="utf-8")
        except OSError as error:
            raise WriteError(f"{path}: cannot write ({error.strerror})") from error

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record as one line of JSON."""
        fields = getattr(record, "fields", {})
        line = {"time": utc_now(), "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps({**line, **fields}, ensure_ascii=False, default=str)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Hands a full disk on as an error of the run; logging would print a traceback."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        raise WriteError(
            f"{self.baseFilename}: cannot write ({error.strerror}); free space, then run the same "
            "command again: it goes on where it stopped"
        ) from error

    def close(self) -> None:
        """Closes the file; what a full disk did not take is dropped, the run ends with 74 anyway."""
        with suppress(OSError):
            super().close()


def log_event(event: str, **fields: object) -> None:
    """Writes one event with its fields to every run log that is open."""
    LOGGER.info(event, extra={"fields": fields})
