"""Running a Transcriber over a dataset: batches, ledger, latency sample, scores.

Owns the order of things in a run and what a resume may skip. It does not know YAML, tables or HTML.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Protocol

from whisperlab.dataset.protocol import Dataset
from whisperlab.device import GivingBack, hardware
from whisperlab.errors import WhisperlabError
from whisperlab.experiment.batch_steps import BatchSteps
from whisperlab.experiment.energy import EnergyMeter
from whisperlab.experiment.event_log import log_event, run_log
from whisperlab.experiment.failures import analyse_run
from whisperlab.experiment.folder import FINISHED, LEDGER, LOG, RunFolder
from whisperlab.experiment.ledger import Ledger, read_ledger
from whisperlab.experiment.preparing import Preparers
from whisperlab.experiment.read_ahead import ahead
from whisperlab.experiment.result import Energy, Floor, Latency, RunCard, RunResult, Scores, Speed
from whisperlab.experiment.scoring import rates, score_outcomes, tally
from whisperlab.experiment.shard import WHOLE, Shard
from whisperlab.experiment.timing import (
    decoder_per_token,
    emitted_tokens,
    latency,
    peak_memory,
    stage_seconds,
    time_one_at_a_time,
)
from whisperlab.metric.protocol import Metric
from whisperlab.normalize.profile import Profile
from whisperlab.transcriber import Transcriber
from whisperlab.utterance import Outcome, Utterance

DURATION_TOLERANCE = 0.05
DURATION_TOLERANCE_SECONDS = 0.5
"""A recording that differs more, by share or by seconds, from its manifest is reported."""

SCORING_KEYS = ("profile", "metric", "resamples", "failures")
"""Top-level keys of a configuration that a finished run can take without inference."""


class Progress(Protocol):
    """Who watches a run go on."""

    def started(self, total: int, already_done: int) -> None:
        """The main pass begins; ``already_done`` utterances come from earlier attempts."""
        ...

    def advanced(self, outcomes: Sequence[Outcome]) -> None:
        """A batch is in the ledger."""
        ...

    def stage(self, name: str) -> None:
        """Something else than the main pass begins: ``load``, ``latency``, ``score``."""
        ...


class Elsewhere(Protocol):
    """Workers that hold the loaded model and turn batches into outcomes."""

    def outcomes(
        self, batches: Iterable[Sequence[Utterance]], attempt: int
    ) -> Iterator[list[Outcome]]:
        """Yields the outcomes of every batch, in the order in which they are done."""
        ...


@dataclass(frozen=True, slots=True)
class Experiment:
    """Everything a run needs: what transcribes, what is transcribed, how it is scored.

    ``card`` is complete but for its attempts. ``batch_size`` utterances go through the engine
    together; only the batches of ``shard`` do. ``latency_utterances`` are timed again one at a time after
    the main pass. ``floor`` measures what their work must take at least, where that is wanted.
    So many ``prepare_processes`` make sounds ready ahead of the engine; 0: a thread does.
    With ``elsewhere`` this process loads no model and times nothing: speed and memory are ``None``.
    """

    transcriber: Transcriber
    dataset: Dataset
    profile: Profile
    metrics: Sequence[Metric]
    card: RunCard
    batch_size: int
    latency_utterances: int
    resamples: int
    shard: Shard = WHOLE
    floor: Callable[[Sequence[Outcome]], Floor | None] | None = None
    elsewhere: Elsewhere | None = None
    prepare_processes: int = 0


def run_experiment(experiment: Experiment, run_dir: Path, progress: Progress) -> RunResult:
    """Returns the finished run in ``run_dir``, running or resuming it as far as is needed.

    A finished run is read, and rescored without inference when profile or metrics have changed.

    Raises:
        ConfigError: the folder holds another run.
        WriteError: the folder cannot be written.
        RunInUseError: another process writes it.
        DatasetError, ModelError: as the parts raise them.
    """
    folder = RunFolder(run_dir)
    with Ledger(run_dir / LEDGER) as ledger:
        folder.check(experiment.card)
        present = folder.result()
        if present is not None:
            return _rescored(experiment, folder, present)
        card = folder.begin(experiment.card)
        reason = "stopped"
        try:
            with run_log(run_dir / LOG):
                mismatches = _finish_run(experiment, folder, ledger, len(card.attempts), progress)
            reason = FINISHED
        except WhisperlabError as error:
            reason = error.code
            raise
        finally:
            # Only now is torch imported, which tells the GPUs and its threads.
            folder.end(replace(card, hardware=dict(hardware())), reason)
    result = folder.result()
    if result is None:
        raise WhisperlabError(f"{run_dir}: the finished run cannot be read back")
    return replace(result, duration_mismatches=mismatches)


def _rescored(experiment: Experiment, folder: RunFolder, present: RunResult) -> RunResult:
    profile = {"name": experiment.profile.name, "hash": experiment.profile.hash}
    wanted = {metric.name for metric in experiment.metrics}
    scoring = {key: experiment.card.config.get(key) for key in SCORING_KEYS}
    if (
        dict(present.scores.profile) == profile
        and set(present.scores.scores) == wanted
        and all(present.card.config.get(key) == value for key, value in scoring.items())
    ):
        return present
    scored = score_outcomes(present.outcomes, experiment.profile, experiment.metrics)
    scores = replace(
        present.scores,
        profile=profile,
        scores=rates(
            scored,
            experiment.metrics,
            resamples=experiment.resamples,
            seed=experiment.card.seed,
        ),
        failures=analyse_run(scored, experiment.profile, experiment.card.config).summary,
    )
    folder.write_scores(scores)
    card = replace(present.card, config={**present.card.config, **scoring})
    folder.write_card(card)
    return replace(present, card=card, scores=scores)


def _finish_run(
    experiment: Experiment, folder: RunFolder, ledger: Ledger, attempt: int, progress: Progress
) -> int:
    """Returns how many recordings are not as long as declared."""
    # len also reads a manifest once: it is found bad before a model loads
    total = experiment.shard.size(len(experiment.dataset), experiment.batch_size)
    here = experiment.elsewhere is None
    resumed = bool(ledger.recorded) or not here
    log_event("attempt started", attempt=attempt, total=total, recorded=len(ledger.recorded))
    progress.stage("load")
    if here:
        experiment.transcriber.load()
        log_event("model loaded", seconds=experiment.transcriber.load_seconds)
    progress.started(total, len(ledger.recorded))
    main = _main_pass(experiment, ledger, attempt, progress)
    outcomes = list(read_ledger(ledger.path))
    mismatches = _check_durations(outcomes, main.declared)
    progress.stage("latency")
    timed = time_one_at_a_time(
        experiment.transcriber,
        experiment.dataset,
        outcomes,
        utterances=experiment.latency_utterances if here else 0,
        seed=experiment.card.seed,
    )
    progress.stage("score")
    scored = score_outcomes(outcomes, experiment.profile, experiment.metrics)
    ledger.sync()  # scores that outlive a power cut count no record that does not
    folder.write_scores(
        Scores(
            utterances=tally(outcomes),
            scores=rates(
                scored,
                experiment.metrics,
                resamples=experiment.resamples,
                seed=experiment.card.seed,
            ),
            profile={"name": experiment.profile.name, "hash": experiment.profile.hash},
            speed=replace(
                main.speed(resumed=resumed),
                latency_seconds=latency(timed),
                load_seconds=experiment.transcriber.load_seconds,
                stages=stage_seconds(outcomes),
                tokens=emitted_tokens(outcomes),
                decode_seconds_per_token=decoder_per_token(outcomes),
                floor=None if experiment.floor is None else experiment.floor(outcomes),
            ),
            memory=main.memory,
            energy=main.energy,
            fingerprint=experiment.card.fingerprint,
            failures=analyse_run(scored, experiment.profile, experiment.card.config).summary,
        )
    )
    return mismatches


@dataclass(frozen=True, slots=True)
class _MainPass:
    """What this attempt's pass over the dataset took; ``declared`` are seconds by utterance id.

    The region that is timed begins behind the loading of the model and ends with the last record:
    reading and decoding files is inside. ``first`` are wall and audio seconds of its first batch.
    """

    batch_size: int
    declared: Mapping[str, float]
    wall_seconds: float
    audio_seconds: float
    first: tuple[float, float] | None
    memory: Mapping[str, int | None]
    energy: Energy

    def speed(self, *, resumed: bool) -> Speed:
        """Returns the throughput; of a resumed run there is none."""
        first_wall, first_audio = self.first or (0.0, 0.0)
        rest_audio = self.audio_seconds - first_audio
        whole = self.audio_seconds / self.wall_seconds if self.audio_seconds else None
        warm = rest_audio / (self.wall_seconds - first_wall) if rest_audio > 0 else None
        return Speed(
            rtfx=None if resumed else whole,
            batch_size=self.batch_size,
            latency_seconds=Latency(None, None, None, 0),
            load_seconds=None,
            stages={},
            resumed=resumed,
            first_batch_seconds=None if self.first is None else first_wall,
            rtfx_warm=None if resumed else warm,
        )


def _main_pass(
    experiment: Experiment, ledger: Ledger, attempt: int, progress: Progress
) -> _MainPass:
    """Transcribes every batch that is not in the ledger yet."""
    declared: dict[str, float] = {}
    first: tuple[float, float] | None = None
    audio_seconds = 0.0
    meter = EnergyMeter()
    started = perf_counter()
    order: list[str] = []
    due = _due(experiment, ledger, declared, order)
    with closing(_outcomes(experiment, due, attempt)) as batches:
        for outcomes in batches:
            missing = [outcome for outcome in outcomes if outcome.id not in ledger.recorded]
            ledger.append(missing)
            audio_seconds += sum(outcome.audio_seconds or 0.0 for outcome in outcomes)
            first = first or (perf_counter() - started, audio_seconds)
            progress.advanced(missing)
            for outcome in missing:
                if outcome.error is not None:
                    log_event("utterance without text", id=outcome.id, code=outcome.error.code)
    here = experiment.elsewhere is None
    if not here:
        ledger.put_in_order(order)
    memory = peak_memory()
    return _MainPass(
        batch_size=experiment.batch_size,
        declared=declared,
        wall_seconds=perf_counter() - started,
        audio_seconds=audio_seconds,
        first=first,
        energy=meter.read(audio_seconds),
        memory=memory if here else dict.fromkeys(memory),
    )


def _outcomes(
    experiment: Experiment, batches: Iterable[Sequence[Utterance]], attempt: int
) -> Generator[list[Outcome], None, None]:
    """Yields the outcomes of each batch: in order here, as they come from elsewhere."""
    if experiment.elsewhere is not None:
        yield from experiment.elsewhere.outcomes(batches, attempt)
        return
    transcriber, processes = experiment.transcriber, experiment.prepare_processes
    with closing(Preparers(transcriber.preparation, processes)) as preparers:
        steps = BatchSteps(transcriber, attempt, preparers if processes else None)
        give_back = GivingBack()
        for ready in ahead(batches, steps.prepare):
            yield steps.recognise(ready)
            give_back()


def _check_durations(outcomes: Sequence[Outcome], declared: Mapping[str, float]) -> int:
    """Returns how many recordings are not as long as their manifest says; logs each of them."""
    mismatches = 0
    for outcome in outcomes:
        expected, found = declared.get(outcome.id), outcome.audio_seconds
        if expected is None or found is None:
            continue
        allowed = min(DURATION_TOLERANCE_SECONDS, DURATION_TOLERANCE * found)
        if abs(expected - found) > allowed:
            mismatches += 1
            log_event("duration differs", id=outcome.id, declared=expected, found=found)
    return mismatches


def _due(
    experiment: Experiment, ledger: Ledger, declared: dict[str, float], order: list[str]
) -> Iterator[list[Utterance]]:
    """Yields the shard's batches that the ledger lacks; notes the ids and declared seconds of all."""
    for number, batch in enumerate(_batches(experiment.dataset, experiment.batch_size)):
        if not experiment.shard.holds(number):
            continue
        for utterance in batch:
            order.append(utterance.id)
            if utterance.declared_seconds is not None:
                declared[utterance.id] = utterance.declared_seconds
        if not all(utterance.id in ledger.recorded for utterance in batch):
            yield batch


def _batches(dataset: Dataset, size: int) -> Iterator[list[Utterance]]:
    """Yields the dataset in its order, ``size`` at a time: the same batches in every attempt."""
    batch: list[Utterance] = []
    for utterance in dataset:
        batch.append(utterance)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
