"""Running a race: blocks of utterances through the configurations still in it, ledgers, decisions.

Owns the order of things, the budget and the decisions on disk. Who is dropped decides `racing`, who
transcribes what `race_hearing`.

The folder of a race::

    search.json           what is raced, over which data, under which rules
    outcomes/HASH.jsonl   the ledger of one configuration, as in a run folder
    decisions.jsonl       a checked line for every block and every drop
    result.json           how it stands: rates, drops, the recommendation

A race that was stopped is run again from the ledgers without transcribing anything twice; the decisions
follow from the outcomes, and those on disk must be the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from whisperlab.errors import ConfigError
from whisperlab.experiment.checked_lines import CheckedLines, read_records
from whisperlab.experiment.event_log import run_log
from whisperlab.experiment.folder import LOG, RunFolder
from whisperlab.experiment.ledger import Ledger
from whisperlab.experiment.race_hearing import OUTCOMES, Hands, Hearing
from whisperlab.experiment.race_plan import Candidate, RacePlan
from whisperlab.experiment.racing import Block, Drop, Objective, Race, affordable
from whisperlab.experiment.scoring import PRIMARY_METRIC, score_outcomes
from whisperlab.metric.counts import ErrorCounts
from whisperlab.utterance import Failure, Utterance

DECISIONS = "decisions.jsonl"

SECONDS_PER_HOUR, SECONDS_PER_MINUTE = 3600.0, 60.0


class RaceProgress(Protocol):
    """Who watches a race; ``alive`` configurations are in it, ``done`` of ``total`` blocks are over."""

    def block(self, done: int, total: int, alive: int) -> None:
        """A block begins."""
        ...

    def heard(self, candidate: str, outcomes: int) -> None:
        """A configuration has heard so many utterances of the block (0: others are at it); may raise."""
        ...

    def dropped(self, candidate: str, drop: Drop) -> None:
        """A configuration was dropped."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """One configuration at the end: counts by utterance in the order heard, and its drop."""

    candidate: Candidate
    counts: tuple[ErrorCounts, ...]
    audio_seconds: float
    seconds: float
    latencies: tuple[float, ...]
    load_bytes: int | None
    drop: Drop | None
    dropped_after_block: int | None
    failures: tuple[Failure, ...]
    """Why utterances have no text; all their words are counted as deleted."""


@dataclass(frozen=True, slots=True)
class RaceResult:
    """How a race ended: ``reason`` is ``decided``, ``settled``, ``data`` (all were heard) or ``budget``."""

    folder: Path
    plan: RacePlan
    standings: tuple[Standing, ...]
    recommended: int | None
    reason: str
    blocks: int
    utterances: int

    @property
    def share_of_exhaustive(self) -> float:
        """Utterances transcribed / those that running every configuration over everything takes."""
        heard = sum(len(standing.counts) for standing in self.standings)
        return heard / (len(self.standings) * self.utterances) if self.utterances else 0.0


def run_race(plan: RacePlan, folder: Path, hands: Hands, progress: RaceProgress) -> RaceResult:
    """Returns the race in ``folder``, run or resumed as far as is needed.

    Raises:
        ConfigError: the folder holds another race, or decisions that its outcomes do not lead to.
        WriteError, RunInUseError: the folder cannot be written, or another process writes it.
        DatasetError, ModelError: as the parts raise them.
    """
    kept = RunFolder(folder)
    with ExitStack() as open_files:
        decisions = open_files.enter_context(_Decisions(folder / DECISIONS))
        plan.check_folder(kept)
        (folder / OUTCOMES).mkdir(exist_ok=True)
        ledgers = [
            open_files.enter_context(Ledger(folder / OUTCOMES / f"{candidate.name}.jsonl"))
            for candidate in plan.candidates
        ]
        open_files.enter_context(run_log(folder / LOG))
        return _Runner(plan, folder, ledgers, decisions, hands, progress).run()


class _Decisions:
    """The decisions on disk: what is said again must be what stands there, what is new is written."""

    def __init__(self, path: Path) -> None:
        self._lines = CheckedLines(path)
        recorded = list(read_records(path))
        self.load_bytes: dict[str, int | None] = {
            record["candidate"]: record["bytes"]
            for record in recorded
            if record["event"] == "loaded"
        }
        self._recorded = [record for record in recorded if record["event"] != "loaded"]
        self._said = 0
        self._path = path

    def say(self, record: Mapping[str, Any]) -> None:
        """Writes a decision, or checks it against the one that was written before the kill."""
        if self._said < len(self._recorded):
            if self._recorded[self._said] != record:
                raise ConfigError(
                    f"{self._path}: decision {self._said + 1} is {self._recorded[self._said]}, the "
                    f"outcomes lead to {dict(record)}; another version wrote it: choose another search_dir"
                )
        else:
            self._lines.write([record])
        self._said += 1

    def say_loaded(self, candidate: str, size: int | None) -> None:
        """Writes by how much memory grew when a configuration's engine was loaded first."""
        if candidate in self.load_bytes:
            return
        self.load_bytes[candidate] = size
        self._lines.write([{"event": "loaded", "candidate": candidate, "bytes": size}])

    def __enter__(self) -> _Decisions:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()


@dataclass(slots=True)
class _Heard:
    """What one configuration has made so far."""

    counts: list[ErrorCounts] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    audio_seconds: float = 0.0
    seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)


class _Runner:
    """One attempt at a race."""

    def __init__(
        self,
        plan: RacePlan,
        folder: Path,
        ledgers: Sequence[Ledger],
        decisions: _Decisions,
        hands: Hands,
        progress: RaceProgress,
    ) -> None:
        self._plan, self._folder = plan, folder
        self._decisions, self._progress = decisions, progress
        self._hearing = Hearing(plan, ledgers, hands, decisions.say_loaded, progress.heard)
        self._heard = [_Heard() for _ in plan.candidates]
        self._race = Race(len(plan.candidates), plan.rules, plan.extent())
        self._drops: dict[int, tuple[Drop, int]] = {}

    def run(self) -> RaceResult:
        blocks = list(self._plan.blocks())
        reason, done = "data", 0
        for number, block in enumerate(blocks):
            if len(self._race.alive) == 1:
                reason = "decided"
                break
            if number and self._settled(number - 1):
                reason = "settled"
                break
            if number and not self._within_budget(len(block)):
                reason = "budget"
                break
            self._progress.block(number, len(blocks), len(self._race.alive))
            self._run_block(number, block, blocks_left=len(blocks) - number - 1)
            done += 1
        return self._result(reason, done)

    def _run_block(self, number: int, block: Sequence[Utterance], blocks_left: int) -> None:
        race = self._race
        # The other way round in every second block: the engine used last is still loaded.
        self._hearing.hear(block, race.alive if number % 2 == 0 else race.alive[::-1])
        counts = {candidate: self._counted(candidate, block) for candidate in race.alive}
        errors = np.array(
            [[one.errors for one in counts[candidate]] for candidate in race.alive],
            dtype=np.float64,
        )
        words = np.array([one.reference_length for one in counts[race.alive[0]]], dtype=np.float64)
        before = tuple(race.alive)
        drops = race.add(Block(errors, words), self._costs())
        self._decisions.say(self._block_record(number, block, before))
        self._note(drops, number)
        self._note(race.set_aside(self._affordable(len(block), blocks_left)), number)

    def _settled(self, number: int) -> bool:
        evidence = self._race.settled(self._costs())
        chosen = self._race.recommended(self._costs())
        if evidence is None or chosen is None:
            return False
        record = {"candidate": self._plan.candidates[chosen].name, "e_value": evidence}
        self._decisions.say({"event": "settled", "block": number, **record})
        return True

    def _note(self, drops: Sequence[Drop], number: int) -> None:
        names = [candidate.name for candidate in self._plan.candidates]
        for drop in drops:
            self._drops[drop.candidate] = (drop, number)
            record = asdict(drop) | {
                "candidate": names[drop.candidate],
                "best": names[drop.best],
                "reason": str(drop.reason),
            }
            self._decisions.say({"event": "dropped", "block": number, **record})
            self._progress.dropped(names[drop.candidate], drop)

    def _block_record(
        self, number: int, block: Sequence[Utterance], alive: Sequence[int]
    ) -> dict[str, Any]:
        names = [candidate.name for candidate in self._plan.candidates]
        return {
            "event": "block",
            "block": number,
            "utterances": [utterance.id for utterance in block],
            "rates": {names[candidate]: self._race.rate(candidate) for candidate in alive},
            "spent_audio_seconds": self._audio_seconds,
            "spent_seconds": self._seconds,
        }

    def _counted(self, number: int, block: Sequence[Utterance]) -> list[ErrorCounts]:
        """Returns the configuration's counts over the block that it has heard, and adds up its costs."""
        recorded = self._hearing.recorded[number]
        outcomes = [recorded[utterance.id] for utterance in block]
        scored = {
            item.outcome.id: item.counts[PRIMARY_METRIC]
            for item in score_outcomes(outcomes, self._plan.profile, self._plan.metrics)
        }
        counts = [scored[outcome.id] for outcome in outcomes]
        heard = self._heard[number]
        heard.counts += counts
        for outcome in outcomes:
            seconds = outcome.timings.get("total", 0.0)
            heard.latencies.append(seconds)
            heard.seconds += seconds
            heard.audio_seconds += outcome.audio_seconds or 0.0
            if not outcome.state.scored:
                heard.failures.append(outcome.error or Failure(str(outcome.state), "no text"))
        return counts

    def _costs(self) -> dict[Objective, list[float]]:
        """Returns what was measured of everyone so far; smaller is better, NaN unknown."""
        nan = float("nan")
        sizes = [self._load_bytes(number) for number in range(len(self._heard))]
        return {
            Objective.P95: [
                float(np.percentile(heard.latencies, 95)) if heard.latencies else nan
                for heard in self._heard
            ],
            Objective.RTFX: [
                heard.seconds / heard.audio_seconds if heard.audio_seconds else nan
                for heard in self._heard
            ],
            Objective.MEMORY: [nan if size is None else float(size) for size in sizes],
        }

    def _load_bytes(self, number: int) -> int | None:
        """Bytes of the engine; of those that share one, the first that loaded it knows."""
        settings = self._plan.candidates[number].transcriber.settings
        found = [
            size
            for other in self._plan.candidates
            if other.transcriber.settings == settings
            and (size := self._decisions.load_bytes.get(other.name)) is not None
        ]
        return max(found, default=None)

    @property
    def _audio_seconds(self) -> float:
        return sum(heard.audio_seconds for heard in self._heard)

    @property
    def _seconds(self) -> float:
        return sum(heard.seconds for heard in self._heard)

    def _blocks_left_in_budget(self, block_size: int) -> float:
        """Returns how many blocks of one configuration the budget still holds; infinite without one."""
        utterances = sum(len(heard.counts) for heard in self._heard)
        left = float("inf")
        for limit, used in (
            (self._plan.budget.audio_hours, self._audio_seconds / SECONDS_PER_HOUR),
            (self._plan.budget.minutes, self._seconds / SECONDS_PER_MINUTE),
        ):
            if limit is not None:
                one_block = block_size * used / utterances if utterances else 0.0
                left = min(left, (limit - used) / one_block if one_block else float("inf"))
        return max(left, 0.0)

    def _within_budget(self, block_size: int) -> bool:
        return len(self._race.alive) <= self._blocks_left_in_budget(block_size)

    def _affordable(self, block_size: int, blocks_left: int) -> int:
        left = self._blocks_left_in_budget(block_size)
        return affordable(len(self._race.alive), blocks_left, left)

    def _result(self, reason: str, blocks: int) -> RaceResult:
        return RaceResult(
            folder=self._folder,
            plan=self._plan,
            standings=tuple(self._standing(number) for number in range(len(self._heard))),
            recommended=self._recommended(),
            reason=reason,
            blocks=blocks,
            utterances=len(self._plan.utterances),
        )

    def _recommended(self) -> int | None:
        """Returns whom to take; nobody where the best has no text at all, as of files that are not there."""
        chosen = self._race.recommended(self._costs())
        if chosen is None:
            return None
        heard = self._heard[chosen]
        return chosen if len(heard.failures) < len(heard.counts) else None

    def _standing(self, number: int) -> Standing:
        heard, drop = self._heard[number], self._drops.get(number)
        return Standing(
            candidate=self._plan.candidates[number],
            counts=tuple(heard.counts),
            audio_seconds=heard.audio_seconds,
            seconds=heard.seconds,
            latencies=tuple(heard.latencies),
            load_bytes=self._load_bytes(number),
            drop=None if drop is None else drop[0],
            dropped_after_block=None if drop is None else drop[1],
            failures=tuple(heard.failures),
        )
