"""Parts as ranks of torchrun: one process a GPU, or several on a processor.

Owns the command line of torchrun and the list of parts that its ranks read (`torchrun_rank`). When a rank
dies torchrun starts all of them again; each goes on behind its last batch.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.errors import ExecutorError
from whisperlab.executor.protocol import COMMAND, Part

POLL_SECONDS: Final = 0.2
STOP_SECONDS: Final = 30.0
"""torchrun gives its ranks 30 s after SIGTERM before it kills them."""

PARTS: Final = "torchrun.json"
LOG: Final = "torchrun.log"


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class TorchrunExecutor:
    """``workers`` ranks on this machine, as many as GPUs where there are any.

    ``restarts`` 3 is the least that is safe: the first restart may fail to connect (torch 2.13).
    """

    workers: Annotated[int, Field(ge=1, le=1024)] = 2
    restarts: Annotated[int, Field(ge=0)] = 3

    @property
    def parts(self) -> int:
        """One a rank."""
        return self.workers

    def run(self, parts: Sequence[Part], watch: Callable[[], None]) -> None:
        """Returns when every rank has finished its part; ends torchrun when ``watch`` raises.

        Raises:
            ExecutorError: torchrun gave up; names its log.
        """
        folder = parts[0].log.parents[1]
        listing = folder / PARTS
        listing.write_text(
            json.dumps([{"command": part.command, "log": str(part.log)} for part in parts]),
            encoding="utf-8",
        )
        with (folder / LOG).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own command line
                self._command(listing),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": str(self._threads()),
                    COMMAND: str(os.getpid()),
                },
                start_new_session=True,
            )
            try:
                while process.poll() is None:
                    watch()
                    time.sleep(POLL_SECONDS)
            finally:
                _end(process)
        if process.returncode:
            raise ExecutorError(
                f"torchrun ended with {process.returncode} after {self.restarts} restarts; see "
                f"{folder / LOG} and the parts' logs, then run the same command again"
            )

    def _command(self, listing: Path) -> list[str]:
        return [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", str(self.workers), "--max-restarts", str(self.restarts)),
            *("-m", "whisperlab.executor.torchrun_rank", str(listing)),
        ]

    def _threads(self) -> int:
        return max(1, (os.cpu_count() or 1) // self.workers)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
