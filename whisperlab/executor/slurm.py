"""Parts as the tasks of a Slurm array job, submitted by submitit.

Owns submitting, watching, submitting again and cancelling them. The folder of the run must be the same on
the nodes and here. It does not know what a part does.

A task is alive while ``squeue`` lists it, and finished when its result file is there: without accounting
(``slurmdbd``) Slurm tells nothing of a job that has ended, and submitit would wait for a cancelled one.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.errors import ExecutorError, MissingExtraError
from whisperlab.executor.local import FINISHED, LAST_LINES, REFUSED, THREADS
from whisperlab.executor.protocol import Part

WATCH_SECONDS: Final = 0.2
"""How soon a stop signal is obeyed between two looks at the queue."""

STOP_SECONDS: Final = 20.0
"""Cancelled tasks are waited for so long: their ledgers are locked until they end."""

IN_USE: Final = 75
"""A part that finds its earlier task still writing (a node that was thought lost): it is tried again."""

UNKNOWN_JOB: Final = "Invalid job id"
"""What squeue says, with exit code 1, when it has forgotten every job it was asked for."""

FOLDER: Final = "slurm"


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class SlurmExecutor:
    """``workers`` tasks at a time of an array of ``part_count`` (``None``: one a worker).

    A task gets ``cpus`` cores, ``gpus`` cards and ``memory_gb`` (``None``: the partition's default) for at
    most ``minutes``. ``options`` are further options of sbatch. A task that ends without a result is
    submitted again, at most ``restarts`` times a part; it goes on behind its last batch. The queue is asked
    every ``poll_seconds``; a task must be gone twice to count as dead, so that its result file can arrive.
    """

    workers: Annotated[int, Field(ge=1, le=10_000)] = 2
    part_count: Annotated[int, Field(ge=1, le=100_000)] | None = None
    cpus: Annotated[int, Field(ge=1)] = 1
    gpus: Annotated[int, Field(ge=0)] = 0
    memory_gb: Annotated[float, Field(gt=0)] | None = None
    minutes: Annotated[int, Field(ge=1)] = 60
    partition: str | None = None
    options: dict[str, str | int] = Field(default_factory=dict)
    restarts: Annotated[int, Field(ge=0)] = 3
    poll_seconds: Annotated[float, Field(gt=0)] = 5.0

    @property
    def parts(self) -> int:
        """As many as workers, unless told otherwise."""
        return self.part_count if self.part_count is not None else self.workers

    def run(self, parts: Sequence[Part], watch: Callable[[], None]) -> None:
        """Returns when every part has finished; cancels all tasks when ``watch`` raises.

        Raises:
            MissingExtraError: submitit is not installed.
            ExecutorError: no Slurm here, or a part ends with a code that it would end with again, or too
                often.
        """
        array = _Array(self, parts[0].log.parents[1] / FOLDER)
        todo = {part.index: part for part in parts}
        deaths: Counter[int] = Counter()
        try:
            array.submit(list(todo.values()))
            while todo:
                self._wait(watch)
                dead = []
                for index, code in array.ended().items():
                    if code in FINISHED:
                        del todo[index]
                        continue
                    deaths[index] += 1
                    self._check(todo[index], code, deaths[index])
                    dead.append(todo[index])
                if dead:
                    array.submit(dead)
        finally:
            array.cancel()

    def _wait(self, watch: Callable[[], None]) -> None:
        until = time.monotonic() + self.poll_seconds
        watch()
        while time.monotonic() < until:
            time.sleep(WATCH_SECONDS)
            watch()

    def _check(self, part: Part, code: int | None, deaths: int) -> None:
        refused = code in REFUSED and code != IN_USE
        if not refused and deaths <= self.restarts:
            return
        said = part.log.read_bytes()[-LAST_LINES:] if part.log.exists() else b""
        ended = "no result" if code is None else f"code {code}"
        raise ExecutorError(
            f"part {part.index} ended with {ended} ({deaths} times): "
            f"{' '.join(said.decode('utf-8', 'replace').split())}; see {part.log} and "
            f"{part.log.parents[1] / FOLDER}, then run the same command again",
            exit_code=code if refused and code is not None else ExecutorError.exit_code,
        )


class _Array:
    """The tasks that were submitted and have not been seen to end."""

    def __init__(self, settings: SlurmExecutor, folder: Path) -> None:
        try:
            import submitit
            from submitit.core.utils import UncompletedJobError
        except ImportError as error:
            raise MissingExtraError("submitit", "slurm", "executor=slurm") from error
        self._failed: type[Exception] = UncompletedJobError
        try:
            self._executor = submitit.AutoExecutor(folder=folder, cluster="slurm")
        except RuntimeError as error:
            raise ExecutorError(
                f"executor=slurm: {error}; run the command where sbatch and srun are"
            ) from error
        self._name = f"whisperlab-{secrets.token_hex(8)}"
        self._executor.update_parameters(**{**_parameters(settings), "name": self._name})
        self._submitting = False
        self._tasks: dict[int, Any] = {}
        self._absent: Counter[int] = Counter()

    def submit(self, parts: Sequence[Part]) -> None:
        """Puts one task a part into the queue."""
        self._submitting = (
            True  # a stop from here on may leave tasks of which only the name is known
        )
        try:
            jobs = self._executor.map_array(
                run_part, [part.command for part in parts], [str(part.log) for part in parts]
            )
        except self._failed as error:
            raise ExecutorError(f"sbatch refused the array: {error}") from error
        self._tasks.update(zip((part.index for part in parts), jobs, strict=True))
        self._submitting = False

    def ended(self) -> dict[int, int | None]:
        """Returns the exit code of the tasks that have ended since; ``None`` of those without a result."""
        queued = self._queued(self._tasks.values())
        ended: dict[int, int | None] = {}
        for index, job in self._tasks.items():
            if job.paths.result_pickle.exists():
                ended[index] = self._code(job)
            elif queued is None:
                continue
            elif job.job_id in queued:
                del self._absent[index]  # it was being moved or requeued
            else:
                self._absent[index] += 1
                if self._absent[index] > 1:
                    ended[index] = None
        for index in ended:
            del self._tasks[index]
            del self._absent[index]
        return ended

    def _code(self, job: Any) -> int | None:
        """Returns what `run_part` returned; ``None`` when it raised."""
        try:
            return int(job.result())
        except self._failed:
            return None

    def cancel(self) -> None:
        """Cancels what is still queued or running and waits until it has ended."""
        if not self._tasks and not self._submitting:
            return
        tasks = [job.job_id for job in self._tasks.values()]
        _call("scancel", f"--name={self._name}")
        if tasks:  # executor.options may have renamed them
            _call("scancel", *tasks)
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline and self._left():
            time.sleep(WATCH_SECONDS)

    def _left(self) -> bool:
        """True while Slurm has tasks of this run, or does not answer."""
        asked = _call("squeue", "--noheader", "--format=%i", f"--name={self._name}")
        return bool(asked.stdout or asked.returncode or self._queued(self._tasks.values()))

    def _queued(self, jobs: Iterable[Any]) -> set[str] | None:
        """Returns the tasks that Slurm still has; ``None`` when it does not answer."""
        arrays = sorted({job.job_id.partition("_")[0] for job in jobs})
        if not arrays:
            return set()
        asked = _call(
            "squeue", "--noheader", "--array", "--format=%i", f"--jobs={','.join(arrays)}"
        )
        if asked.returncode == 0:
            return set(asked.stdout.split())
        return set() if UNKNOWN_JOB in asked.stderr else None


def _parameters(settings: SlurmExecutor) -> Mapping[str, Any]:
    """Returns the settings by submitit's names."""
    found: dict[str, Any] = {
        "timeout_min": settings.minutes,
        "cpus_per_task": settings.cpus,
        "slurm_array_parallelism": settings.workers,
        "slurm_additional_parameters": {"requeue": True, **settings.options},
        "stderr_to_stdout": True,
    }
    if settings.gpus:
        found["gpus_per_node"] = settings.gpus
    if settings.memory_gb is not None:
        found["mem_gb"] = settings.memory_gb
    if settings.partition is not None:
        found["slurm_partition"] = settings.partition
    return found


def run_part(command: Sequence[str], log: str) -> int:
    """Returns the exit code of a part; in the task, with its cores as threads."""
    threads = os.environ.get("SLURM_CPUS_PER_TASK", "1")
    with Path(log).open("ab") as said:
        finished = subprocess.run(  # noqa: S603 - our own command line
            command,
            stdout=said,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **dict.fromkeys(THREADS, threads)},
            check=False,
        )
    return finished.returncode


def _call(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - Slurm's programs with our own arguments
        command, capture_output=True, text=True, check=False
    )
