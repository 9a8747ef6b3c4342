"""Who transcribes what of a race's block: this process, parts beside it, or workers elsewhere.

Owns the ledgers of a race and what is read from those of others. Every batch of every configuration is
done by exactly one of the parts, beside the same neighbours as in one process; as decisions follow from
outcomes alone, all parts come to the same ones without a word to each other.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from whisperlab.device import device_bytes
from whisperlab.errors import ExecutorError
from whisperlab.experiment.batch_steps import BatchSteps
from whisperlab.experiment.event_log import log_event
from whisperlab.experiment.ledger import Ledger, read_ledger
from whisperlab.experiment.loaded_engines import LoadedEngines
from whisperlab.experiment.race_plan import RacePlan
from whisperlab.experiment.shard import WHOLE, Shard
from whisperlab.utterance import Outcome, Utterance

OUTCOMES: Final = "outcomes"
LOOK_SECONDS: Final = 0.2
"""How soon a part sees what the others have recorded."""


class Task(NamedTuple):
    """A batch for the configuration of this number."""

    candidate: int
    batch: tuple[Utterance, ...]


class Crew(Protocol):
    """Workers elsewhere, which stay loaded from block to block."""

    def outcomes(self, tasks: Sequence[Task]) -> Iterator[tuple[int, list[Outcome]]]:
        """Yields what became of each task, by configuration, in the order in which they are done."""
        ...


@dataclass(frozen=True, slots=True)
class Hands:
    """What transcribes: engines here, or a ``crew``; of the tasks of each block, the ``share`` of a part.

    ``beside`` finds the race folders whose ledgers count as well: a part's other parts, or all parts of the
    whole. What they have recorded is waited for by a part, and copied by the whole.
    """

    engines: LoadedEngines
    share: Shard = WHOLE
    beside: Callable[[], Sequence[Path]] = tuple
    crew: Crew | None = None


class Hearing:
    """The outcomes of a race, by configuration and utterance; what is missing is transcribed.

    ``loaded`` is told how many bytes a device's memory grew by when a configuration was loaded first.
    """

    def __init__(
        self,
        plan: RacePlan,
        ledgers: Sequence[Ledger],
        hands: Hands,
        loaded: Callable[[str, int | None], None],
        progress: Callable[[str, int], None],
    ) -> None:
        self._plan, self._ledgers, self._hands = plan, ledgers, hands
        self._loaded, self._progress = loaded, progress
        self._seen: set[str] = set()
        self._read: dict[Path, int] = {}
        self._related: set[Path] = set()
        self._parent = os.getppid()
        self.recorded: list[dict[str, Outcome]] = [
            {outcome.id: outcome for outcome in read_ledger(ledger.path)} for ledger in ledgers
        ]

    def hear(self, block: Sequence[Utterance], candidates: Sequence[int]) -> None:
        """Returns when every one of ``candidates`` has outcomes for the whole block.

        Raises:
            ExecutorError: the command that this part belongs to has gone.
        """
        size = self._plan.batch_size
        tasks = [
            Task(candidate, tuple(block[start : start + size]))
            for candidate in candidates
            for start in range(0, len(block), size)
        ]
        share = self._hands.share
        own = range(
            len(tasks) * share.index // share.count, len(tasks) * (share.index + 1) // share.count
        )
        self._take_from_others(candidates)
        missing = []
        for number, task in enumerate(tasks):
            if self._is_recorded(task):
                self._heard(task)
            elif number in own:
                missing.append(task)
        for candidate, outcomes in self._transcribed(missing):
            self._record(candidate, outcomes)
            self._progress(self._plan.candidates[candidate].name, len(outcomes))
        self._wait([task for number, task in enumerate(tasks) if number not in own])

    def _wait(self, tasks: Sequence[Task]) -> None:
        """Returns when the other parts have recorded ``tasks``."""
        while left := [task for task in tasks if not self._is_recorded(task)]:
            if os.getppid() != self._parent:
                raise ExecutorError(
                    "the command that started this part has gone; run the same command again"
                )
            self._progress(self._plan.candidates[left[0].candidate].name, 0)
            time.sleep(LOOK_SECONDS)
            self._take_from_others({task.candidate for task in left})
            for task in left:
                if self._is_recorded(task):
                    self._heard(task)

    def _heard(self, task: Task) -> None:
        self._progress(self._plan.candidates[task.candidate].name, len(task.batch))

    def _is_recorded(self, task: Task) -> bool:
        recorded = self.recorded[task.candidate]
        return all(utterance.id in recorded for utterance in task.batch)

    def _take_from_others(self, candidates: Iterable[int]) -> None:
        """Reads the ledgers beside that have grown; the whole race copies what it lacks."""
        for folder in self._hands.beside():
            if folder not in self._related:
                if not self._plan.shares_data_with(folder):
                    continue
                self._related.add(folder)
            for number in candidates:
                path = folder / OUTCOMES / f"{self._plan.candidates[number].name}.jsonl"
                size = path.stat().st_size if path.exists() else 0
                if size == self._read.get(path, 0):
                    continue
                self._read[path] = size
                recorded = self.recorded[number]
                fresh = [one for one in read_ledger(path) if one.id not in recorded]
                if self._hands.share == WHOLE:
                    self._record(number, fresh)
                else:
                    recorded.update((one.id, one) for one in fresh)

    def _record(self, number: int, outcomes: Sequence[Outcome]) -> None:
        recorded = self.recorded[number]
        fresh = {one.id: one for one in outcomes if one.id not in recorded}
        self._ledgers[number].append(list(fresh.values()))
        recorded.update(fresh)

    def _transcribed(self, tasks: Sequence[Task]) -> Iterator[tuple[int, list[Outcome]]]:
        if self._hands.crew is not None:
            yield from self._hands.crew.outcomes(tasks)
            return
        for number, batch in tasks:
            candidate = self._plan.candidates[number]
            self._hands.engines.share(candidate.transcriber)
            if candidate.name not in self._seen:
                self._seen.add(candidate.name)
                before = device_bytes()
                candidate.transcriber.load()
                after = device_bytes()
                grown = None if before is None or after is None else max(after - before, 0)
                self._loaded(candidate.name, grown)
                log_event("engine ready", candidate=candidate.name, bytes=grown)
            steps = BatchSteps(candidate.transcriber, 1)
            yield number, steps.recognise(steps.prepare(batch))
