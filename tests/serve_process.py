"""A real server process for tests: `python -m whisperlab.serve`, or the app, on a free port."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Running:
    """A server that listens; ``log`` is the file that its standard error goes to."""

    base_url: str
    process: subprocess.Popen[str]
    log: Path

    @property
    def port(self) -> int:
        return int(self.base_url.rpartition(":")[2])

    def logged(self) -> list[dict[str, Any]]:
        """The lines of the log; what has no end yet is still being written.

        An answer's line follows the answer: wait for it.
        """
        whole = self.log.read_text(encoding="utf-8").rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]


@contextmanager
def listening_server(
    folder: Path,
    *overrides: str,
    environment: Mapping[str, str] | None = None,
    module: str = "whisperlab.serve",
    before: Sequence[str] = (),
) -> Iterator[Running]:
    """Starts a server in ``folder`` and waits until it listens; ends it with SIGTERM, by force if need be."""
    log = folder / "server.log"
    with log.open("w", encoding="utf-8") as stderr:
        process = subprocess.Popen(
            [*before, sys.executable, "-m", module, "port=0", *overrides],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        )
    try:
        yield Running(_await_listening(process, log), process, log)
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def running_server(
    folder: Path,
    *overrides: str,
    environment: Mapping[str, str] | None = None,
    module: str = "whisperlab.serve",
    before: Sequence[str] = (),
) -> Iterator[Running]:
    """Starts a server as ``listening_server`` does and waits until it is ready."""
    with listening_server(
        folder, *overrides, environment=environment, module=module, before=before
    ) as running:
        _await_ready(running)
        yield running


def _await_listening(process: subprocess.Popen[str], log: Path) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("listening on "):
            return line.removeprefix("listening on ").strip()
    raise AssertionError(log.read_text(encoding="utf-8"))


def _await_ready(running: Running) -> None:
    until = perf_counter() + PATIENCE_SECONDS
    while perf_counter() < until:
        assert running.process.poll() is None, running.log.read_text(encoding="utf-8")
        try:
            with urlopen(f"{running.base_url}/health/ready", timeout=10):
                return
        except HTTPError as error:
            assert error.code == 503, error.read()  # no other is a matter of time
            sleep(0.1)
    log = running.log.read_text(encoding="utf-8")
    raise AssertionError(f"not ready within {PATIENCE_SECONDS} s: {log}")
