"""What tests of the decode sandbox need to find, stop and outwait its processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
from sound_bytes import chunk, fmt, riff

from whisperlab.audio import AudioLimits
from whisperlab.audio.sandbox import DecodeSandbox, SandboxLimits

PATIENCE_SECONDS = 20.0  # for what takes milliseconds on an idle machine


def decoders(pid: int | None = None) -> list[psutil.Process]:
    """The living decoders of a process, of this one by default."""
    found = []
    for child in psutil.Process(pid).children():
        with suppress(psutil.NoSuchProcess):  # ended meanwhile, or a zombie
            if "sandbox_child" in " ".join(child.cmdline()):
                found.append(child)
    return found


@contextmanager
def one_decoder(
    limits: AudioLimits | None = None, **sandbox: Any
) -> Iterator[tuple[DecodeSandbox, psutil.Process]]:
    """A sandbox of one process, and that process."""
    before = {child.pid for child in decoders()}
    with DecodeSandbox(1, limits or AudioLimits(), SandboxLimits(**sandbox)) as opened:
        [child] = [child for child in decoders() if child.pid not in before]
        yield opened, child


def until(claim: Callable[[], bool]) -> None:
    """Waits for something that happens soon, or fails."""
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while not claim():
        assert time.perf_counter() < deadline, "waited in vain"
        time.sleep(0.005)


def gone(process: psutil.Process) -> bool:
    """Whether a process has ended and been reaped."""
    return not process.is_running()


def ended(process: psutil.Process) -> bool:
    """Whether a process has ended, reaped or not: not every container's first process reaps.

    All of its threads: the first may be gone while another still holds the pipes open.
    """
    try:
        threads = os.listdir(f"/proc/{process.pid}/task")
        return gone(process) or (process.status() == psutil.STATUS_ZOMBIE and len(threads) == 1)
    except (FileNotFoundError, psutil.NoSuchProcess):
        return gone(process)


def long_sound(minutes: int) -> bytes:
    """A WAV of near silence, 8-bit at 4 kHz: 14 kB a second once it is decoded."""
    return riff(fmt(rate_hz=4_000, bits=8), chunk(b"data", b"\x80" * (minutes * 60 * 4_000)))
