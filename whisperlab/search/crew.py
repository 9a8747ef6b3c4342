"""A search's workers elsewhere: each holds engines of the configurations and takes the blocks' batches.

Owns what they load and how a block reaches them. It does not know which engine of workers it is.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from whisperlab.config.build import build_transcriber
from whisperlab.config.parts import settle_in
from whisperlab.device import resolve
from whisperlab.executor.protocol import BlockExecutor
from whisperlab.experiment.batch_steps import BatchSteps
from whisperlab.experiment.loaded_engines import LoadedEngines
from whisperlab.experiment.provenance import versions
from whisperlab.experiment.race_hearing import Task
from whisperlab.experiment.race_plan import RacePlan
from whisperlab.utterance import Outcome


class LoadedCrew:
    """The workers of ``executor``, hired at the first block and kept until :meth:`end`."""

    def __init__(
        self, executor: BlockExecutor, plan: RacePlan, keep: int, watch: Callable[[], None]
    ) -> None:
        configs = [_resolved(candidate.config) for candidate in plan.candidates]
        load = partial(loaded_steps, configs, keep, dict(versions()), os.getcwd())
        self._waiting: deque[Task] = deque()
        self._done = executor.each(load, self._drawn(), watch)

    def _drawn(self) -> Iterator[Task | None]:
        while True:
            yield self._waiting.popleft() if self._waiting else None

    def outcomes(self, tasks: Sequence[Task]) -> Iterator[tuple[int, list[Outcome]]]:
        """Yields what became of each task, by configuration, as it arrives.

        Raises:
            ExecutorError: the workers do not finish.
            WhisperlabError: what a worker raised.
        """
        self._waiting.extend(tasks)
        for _ in tasks:
            yield next(self._done)

    def end(self) -> None:
        """Ends the workers."""
        close: Callable[[], None] | None = getattr(self._done, "close", None)
        if close is not None:
            close()


def _resolved(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the configuration with the device that ``auto`` means where the command runs."""
    kind = resolve(config["device"]["kind"])
    return {**config, "device": {**config["device"], "kind": kind}}


def loaded_steps(
    configs: Sequence[Mapping[str, Any]], keep: int, wanted: Mapping[str, str], folder: str
) -> Sequence[Callable[[Any], Any]]:
    """Returns what a worker does with a task: make it ready, then recognise it. Engines load when used.

    Raises:
        ConfigError: the worker has other versions than the command.
    """
    settle_in(wanted, folder)
    engines = LoadedEngines(keep)
    steps = [BatchSteps(build_transcriber(config), 1) for config in configs]

    def prepare(task: Task) -> tuple[int, Any]:
        return task.candidate, steps[task.candidate].prepare(task.batch)

    def recognise(ready: tuple[int, Any]) -> tuple[int, list[Outcome]]:
        number, batch = ready
        engines.share(steps[number].transcriber)
        return number, steps[number].recognise(batch)

    return prepare, recognise
