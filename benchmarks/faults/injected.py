"""Faults that a fork of a command brings upon itself before it runs (`forked`).

Owns what is done to the process: the k-th call of the system ends it, tears or fails; a stop signal comes at
a given step; memory is short; the wall clock jumps.
"""

from __future__ import annotations

import _pyio
import atexit
import builtins
import datetime
import dis
import errno
import io
import itertools
import json
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

CALLS = ("write", "fsync", "replace", "rename", "ftruncate", "unlink", "mkdir", "open")
EXIT_CODE = 99


def at_call(folder: str, how: str, number: int, count_to: str) -> None:
    """Does something at the ``number``-th call (from 1) that changes ``folder``; counts them all.

    ``how``: ``exit`` before the call is made, ``tear``: exit when half of a write is made, or the name of
    an errno that the call fails with, and every later call that needs room. Files are read and written by
    the library's own Python twin of ``io``, so that each call of the system is one of ``os``.
    """
    builtins.open = io.open = _pyio.open  # type: ignore[assignment] # the same function, in Python
    counter = itertools.count(1)
    calls: list[str] = []
    atexit.register(lambda: Path(count_to).write_text(json.dumps(calls)))

    def wrap(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if not _concerns(name, given, folder):
                return real(*given, **named)
            calls.append(name)
            now = next(counter)
            if now == number and how == "exit":
                os._exit(EXIT_CODE)
            if now == number and how == "tear":
                if name == "write":
                    real(given[0], bytes(given[1])[: len(given[1]) // 2])
                else:
                    real(*given, **named)
                os._exit(EXIT_CODE)
            if 0 < number <= now and hasattr(errno, how) and name not in ("unlink", "ftruncate"):
                code = getattr(errno, how)
                raise OSError(code, os.strerror(code))
            return real(*given, **named)

        return call

    for name in CALLS:
        setattr(os, name, wrap(name, getattr(os, name)))


def _concerns(name: str, given: tuple[Any, ...], folder: str) -> bool:
    """Whether a call changes the folder."""
    if name == "open" and not given[1] & (os.O_CREAT | os.O_TRUNC):
        return False
    target = given[0]
    if isinstance(target, int):
        try:
            target = os.readlink(f"/proc/self/fd/{target}")
        except OSError:
            return False
    return os.fsdecode(target).startswith(folder)


WAITING = ("/threading.py", "/concurrent/", "/queue.py", "/logging/", "/rich/", "/multiprocessing/",
           "/tqdm/", "/subprocess.py")  # fmt: skip
"""Modules of which a part waits for others, or holds what others wait for."""


def at_step(sent: int, number: int, count_to: str, everywhere: bool = False) -> None:
    """Sends a stop signal at the ``number``-th place (from 1) where one can raise; counts them all.

    A place is an instruction of the main thread in a module of ``WAITING``, or one of ours, behind which
    the interpreter looks for signals; it counts when it is reached first.
    """
    seen: set[tuple[Any, int]] = set()
    places: list[str] = []
    before: dict[FrameType, str] = {}
    atexit.register(lambda: Path(count_to).write_text(json.dumps(places)))
    own = str(Path(__file__).parents[2] / "whisperlab")

    def trace(frame: FrameType, event: str, _: object) -> Any:
        code = frame.f_code
        wanted = any(part in code.co_filename for part in WAITING)
        if not wanted and not (everywhere and code.co_filename.startswith(own)):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            behind = before.get(frame, "")
            before[frame] = dis.opname[code.co_code[frame.f_lasti]]
            if behind.startswith("CALL") or behind in ("RESUME", "JUMP_BACKWARD"):
                place = (code, frame.f_lasti)
                if place not in seen:
                    seen.add(place)
                    places.append(f"{Path(code.co_filename).name}:{frame.f_lineno} {code.co_name}")
                    if len(places) == number:
                        sys.settrace(None)
                        signal.raise_signal(sent)
        elif event == "return":
            before.pop(frame, None)
        return trace

    assert threading.current_thread() is threading.main_thread()
    sys.settrace(trace)


def narrow(address_bytes: int) -> None:
    """Leaves the process so many bytes of addresses."""
    resource.setrlimit(resource.RLIMIT_AS, (address_bytes, address_bytes))


def clock(jump_seconds: float) -> None:
    """Lets the wall clock jump to and fro at every look: it goes back, or far ahead, and back."""
    real = datetime.datetime
    looks = itertools.count()

    class Jumping(real):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
            shift = jump_seconds if next(looks) % 2 else 0.0
            return real.now(tz) + datetime.timedelta(seconds=shift)

    import time

    now = time.time  # noqa: TID251 - the clock that jumps
    time.time = lambda: now() + (jump_seconds if next(looks) % 2 else 0.0)  # noqa: TID251
    datetime.datetime = Jumping  # type: ignore[misc]
