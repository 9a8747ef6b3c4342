"""Evaluation commands as forks of one that has imported and composed: a run costs what it does itself.

Owns the process that forks (``python forked.py OVERRIDES``, spoken to in lines of JSON) and its face,
``Forks``. A fork is the command from its task on, and ends as a command ends, so a kill, a signal and an
exit code are real. ``fault`` names a function of ``injected`` that the fork calls first.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
PATIENCE_SECONDS = 600.0


class Fork:
    """A command that was started; ``pid`` is its process. What it says goes into ``RUN_DIR.said``."""

    def __init__(self, forks: Forks, pid: int) -> None:
        self._forks, self.pid = forks, pid
        self.seconds = 0.0
        """From the last signal that was sent, or the start, to the end."""
        self._since = time.perf_counter()

    def send(self, number: int) -> None:
        """Sends a signal; one that has ended already takes none."""
        self._since = time.perf_counter()
        os.kill(self.pid, number)  # not reaped before ``wait``: the number is still its own

    def ended(self) -> bool:
        """Whether it has ended; ``wait`` still gives its code."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int | None:
        """Returns the exit code, negative for a signal; ``None`` for one that had to be killed."""
        until = time.perf_counter() + seconds
        while not self.ended():
            if time.perf_counter() > until:
                os.kill(self.pid, signal.SIGUSR1)  # it says where it stands
                time.sleep(1)
                os.kill(self.pid, signal.SIGKILL)
                self._forks.ask("reap")
                return None
            time.sleep(0.02)
        self.seconds = time.perf_counter() - self._since
        return int(self._forks.ask("reap"))


class Forks:
    """The process that forks, one command at a time: all have the arguments, and a folder of their own."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(CHECKOUT), **environment},
        )

    def start(
        self,
        run_dir: Path,
        changes: Mapping[str, Any] | None = None,
        fault: tuple[str, Mapping[str, Any]] | None = None,
        terminal: bool = False,
    ) -> Fork:
        """Starts the command with ``changes`` of its configuration; ``terminal``: as for a person."""
        order = {"run_dir": str(run_dir), "changes": changes or {}, "fault": fault, "terminal": terminal}  # fmt: skip
        return Fork(self, int(self.ask(json.dumps(order))))

    def ask(self, line: str) -> str:
        """Returns the answer to a line."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"the forking process ended with {self._process.wait()}")
        return answer.strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_SECONDS)


def serve_forks() -> Mapping[str, Any]:
    """Forks for every order on stdin; returns in the fork alone, with its order."""
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            return order
        print(pid, flush=True)
        sys.stdin.readline()  # "reap"
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    os._exit(0)


def become(order: Mapping[str, Any]) -> None:
    """Makes this fork the command of the order."""
    said = os.open(f"{order['run_dir']}.said", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(said, 1)
    os.dup2(said, 2)
    faulthandler.register(signal.SIGUSR1, file=said, all_threads=True)
    if order["terminal"]:
        os.environ["TERM"] = "xterm"
        main_side, other_side = pty.openpty()
        os.dup2(other_side, 2)
        if not os.fork():
            drain(main_side, said, [other_side, 1, 2])
    if order["fault"] is not None:
        import injected

        name, given = order["fault"]
        getattr(injected, name)(**given)


def drain(terminal: int, file: int, unused: list[int]) -> None:
    """Copies what a terminal is written to a file until its last writer has gone; never returns."""
    for one in unused:
        os.close(one)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            os.write(file, os.read(terminal, 1 << 16))
        except OSError:
            os._exit(0)


def job(config: Mapping[str, Any]) -> int:
    """The command's task: forks for every order; what follows is the fork's."""
    from whisperlab.eval.evaluate import evaluate
    from whisperlab.experiment.loaded_engines import LoadedEngines
    from whisperlab.report.drawing import new_axes

    with new_axes():
        gc.freeze()
    order = serve_forks()
    become(order)
    changed = {**changed_by(config, order["changes"]), "run_dir": order["run_dir"]}
    return evaluate(changed, LoadedEngines(1))[1]


def changed_by(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration with other values at some of its keys, nested ones too."""
    return {
        **config,
        **{
            key: changed_by(config[key], value) if isinstance(value, Mapping) else value
            for key, value in changes.items()
        },
    }


if __name__ == "__main__":
    from whisperlab.config.command import run_command

    sys.exit(run_command("eval", job))
