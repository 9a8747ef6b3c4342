r"""The server's log: one JSON object a line on standard error, and nothing in it that was said.

::

    {"timestamp": "2026-11-24T19:41:00.123Z", "level": "info", "logger": "whisperlab.serve.application",
     "message": "answered", "request_id": "6f1c...", "route": "/v1/audio/transcriptions",
     "status": 200, "seconds": 0.412, "configuration": "default", "audio_seconds": 9.1}

Owns the format and what may stand in a line: the fields of :data:`FIELDS`, numbers and short words.
Transcripts, prompts, keys, bodies and file names have no field. An exception is its type, its code if
it is one of ours, and where it was raised, never its message: that may quote what it failed on. Other
libraries' messages are shown as the template before their values are filled in. It does not know
what is logged.

A line is pure ASCII without control characters, so that nothing a client sends can start a new one.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from traceback import walk_tb
from types import FrameType
from typing import Any, Final

from whisperlab.errors import WhisperlabError
from whisperlab.serve.problems import ApiError
from whisperlab.serve.settings import LogLevel

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that the running code answers."""

FIELDS: Final = (
    "request_id",
    "method",
    "route",
    "status",
    "code",
    "configuration",
    "caller",
    "seconds",
    "queue_seconds",
    "decode_seconds",
    "inference_seconds",
    "audio_seconds",
    "load_seconds",
    "batch_size",
    "bytes",
    "count",
    "event",
    "host",
    "port",
    "pid",
    "signal",
    "exit_code",
)
"""What ``extra`` may add to a line, in this order; any other name is left out."""

OPEN_LOGGERS: Final = ("whisperlab", "uvicorn", "py.warnings")
"""Loggers whose messages are shown whole: they are written in code, without what users send."""

MAX_CHARACTERS: Final = 1000
"""Of a message or a value; the rest is cut."""

MAX_EXCEPTIONS: Final = 8
"""Of a chain or a group that one line shows."""

MAX_FRAMES: Final = 20
"""Of each exception, the innermost."""

FRAME_PARTS: Final = 3
"""The last parts of a file's path that a frame shows: enough to find it, no folder of the machine."""


class JsonFormatter(logging.Formatter):
    """Turns a record into one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line, without its end."""
        line: dict[str, Any] = {
            "timestamp": _timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _cut(_message(record)),
        }
        given = {"request_id": REQUEST_ID.get(), **record.__dict__}
        line |= {name: _scalar(given[name]) for name in FIELDS if given.get(name) is not None}
        if record.exc_info and record.exc_info[1] is not None:
            line["exceptions"] = [_described(error) for error in _chain(record.exc_info[1])]
        # json escapes all control characters but DEL.
        return json.dumps(line, allow_nan=False).replace("\x7f", "\\u007f")


def configure(level: LogLevel) -> None:
    """Sends every record of this process to standard error, in the format of this module.

    whisperlab's loggers speak from ``level`` on, uvicorn's from there but not below ``info``, all others
    from ``warning`` on. uvicorn's access log is off: its lines hold raw paths. Start uvicorn with
    ``log_config=None``, or it takes its own format back. Call it in worker processes as well.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    wanted = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger("whisperlab").setLevel(wanted)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
        logger.setLevel(max(wanted, logging.INFO))
    logging.getLogger("uvicorn.access").disabled = True
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False  # logging's own complaint would print the values it failed on
    threading.excepthook = _thread_ended
    sys.unraisablehook = _unraisable


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None:
        logging.getLogger(__name__).critical("a thread ended", exc_info=ended.exc_value)


def _unraisable(ignored: sys.UnraisableHookArgs) -> None:
    if ignored.exc_value is not None:
        logging.getLogger(__name__).error("an error had nowhere to go", exc_info=ignored.exc_value)


def _timestamp(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _message(record: logging.LogRecord) -> str:
    """Returns what a record says; of other libraries only what stands in their code.

    A message without arguments was put together before it came here (asyncio quotes exceptions and
    bytes that way), so that its template is not to be told from its values.
    """
    if record.name.split(".")[0] in OPEN_LOGGERS or record.name in OPEN_LOGGERS:
        try:
            return record.getMessage()
        except (TypeError, ValueError):  # arguments that do not fit
            return str(record.msg)
    place = f"{_short(record.pathname)}:{record.lineno}"
    template = str(record.msg) if record.args else "a message"
    return f"{template} (from {place}, values left out)"


def _scalar(value: Any) -> str | int | float | bool | None:
    """Returns a number or a short text; anything else is only named by its type."""
    if isinstance(value, str):
        return _cut(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int)):
        return value
    return f"<{type(value).__name__}>"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else text[:MAX_CHARACTERS] + "..."


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yields an exception, those it came from and those in a group, each once, the outermost first."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting and len(seen) < MAX_EXCEPTIONS:
        current = waiting.pop(0)
        if any(current is earlier for earlier in seen):
            continue
        seen.append(current)
        yield current
        if isinstance(current, BaseExceptionGroup):
            waiting += current.exceptions
        before = current.__cause__
        if before is None and not current.__suppress_context__:
            before = current.__context__
        if before is not None:
            waiting.append(before)


def _described(error: BaseException) -> dict[str, Any]:
    described: dict[str, Any] = {"type": f"{type(error).__module__}.{type(error).__qualname__}"}
    if isinstance(error, (WhisperlabError, ApiError)):
        described["code"] = error.code
    frames = [_place(frame, line) for frame, line in walk_tb(error.__traceback__)]
    described["frames"] = frames[-MAX_FRAMES:]
    return described


def _place(frame: FrameType, line: int) -> str:
    return f"{_short(frame.f_code.co_filename)}:{line}:{frame.f_code.co_name}"


def _short(path: str) -> str:
    return "/".join(Path(path).relative_to(Path(path).anchor).parts[-FRAME_PARTS:])
