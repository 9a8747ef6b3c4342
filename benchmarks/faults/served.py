"""What the campaigns against the server share: a server, sounds, a look at its processes, a table row.

The server runs the replay engine: its answers and the time that they take are known, so what is
measured is everything around the model. It listens on a free loopback port.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import numpy as np
import psutil
import soundfile

CHECKOUT = Path(__file__).parents[2]
sys.path.append(str(CHECKOUT / "tests"))
from serve_process import running_server  # noqa: E402 - a server is started as the tests start theirs

ROUTE = "/v1/audio/transcriptions"
FIELDS = {"model": "whisper-1"}
SAID = "heard"
REPLAY = ("engine=replay", f"engine.default_text={SAID}")
RATE_HZ = 16_000


@dataclass(frozen=True)
class Server:
    """A running server; ``folder`` is the only one that it may leave temporary files in."""

    base_url: str
    process: subprocess.Popen[str]
    folder: Path

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return "127.0.0.1", int(self.base_url.rpartition(":")[2])


@dataclass(frozen=True)
class Look:
    """A server at one moment: resident bytes of the front and of all its processes, and what it holds."""

    front_bytes: int
    family_bytes: int
    threads: int
    files: int
    temporary: int


@contextmanager
def server(*overrides: str, before: Sequence[str] = (), **environment: str) -> Iterator[Server]:
    """Starts a server and waits until it is ready; ``before`` are words before its command.

    Its engine is ``replay`` unless an override names another.
    """
    with tempfile.TemporaryDirectory(prefix="whisperlab-faults-") as name:
        folder = Path(name) / "temporary"
        folder.mkdir()
        told = {"TMPDIR": str(folder), "PYTHONPATH": str(CHECKOUT), **environment}
        real = any(override.startswith("engine=") for override in overrides)
        words = ("serve.log_level=error", *(() if real else REPLAY), *overrides)
        try:
            with running_server(Path(name), *words, environment=told, before=before) as running:
                yield Server(running.base_url, running.process, folder)
        finally:
            sys.stderr.write((Path(name) / "server.log").read_text(encoding="utf-8"))


def tone(seconds: float = 0.5, hz: float = 440.0, kind: str = "WAV") -> bytes:
    """Returns a sound."""
    samples = 0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)
    written = io.BytesIO()
    soundfile.write(written, samples.astype(np.float32), RATE_HZ, format=kind)
    return written.getvalue()


def look(running: Server) -> Look:
    """Returns what the server holds now."""
    front = psutil.Process(running.process.pid)
    family = 0
    for one in (front, *front.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            family += one.memory_info().rss
    return Look(
        front.memory_info().rss,
        family,
        front.num_threads(),
        front.num_fds(),
        sum(1 for _ in running.folder.rglob("*")),
    )


class Highest:
    """The most memory that any one process of a server took while this is open, above the most at its start."""

    SECONDS = 0.05

    def __init__(self, running: Server) -> None:
        self._front = psutil.Process(running.process.pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._base, self._most = self._peak(), 0

    @property
    def mib(self) -> float:
        """Mebibytes."""
        return max(0, self._most - self._base) / 1024

    def _peak(self) -> int:
        peaks = [0]
        for one in (self._front, *self._front.children(recursive=True)):
            with suppress(OSError):
                status = Path(f"/proc/{one.pid}/status").read_text()
                peaks.append(int(status.partition("VmHWM:")[2].split()[0]))
        return max(peaks)

    def _watch(self) -> None:
        while not self._ended.wait(self.SECONDS):
            self._most = max(self._most, self._peak())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def quantile(values: Sequence[float], share: float) -> float:
    """Returns a quantile in the unit of the values; NaN of nothing."""
    return float(np.quantile(values, share)) if values else float("nan")


def row(*cells: object) -> None:
    """Prints a line of a table."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def header(*names: str) -> None:
    """Prints a table's head, after when and where it was measured."""
    cores, load = os.cpu_count(), os.getloadavg()[0]
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {cores} cores, load {load:.1f}: {' '.join(sys.argv)}\n")  # fmt: skip
    row(*names)
    row(*["---"] * len(names))
