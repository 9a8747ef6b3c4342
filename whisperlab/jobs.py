"""Sounds on their way through a Transcriber: what is known of each, and who watches its pieces.

Owns the mapping from an engine's rows to the caller's sounds, and the time of each sound. It does not
know how sounds are read, cut or joined again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

import numpy as np

from whisperlab.audio import Waveform
from whisperlab.engine.protocol import Watch
from whisperlab.errors import WhisperlabError
from whisperlab.stopwatch import Stopwatch
from whisperlab.transcript import RETRY_WAIT, Finish, Segment, Transcript

NO_SAMPLES: Final = np.zeros(0, dtype=np.float32)
"""Of a piece that is done: others may join for long, and its samples would be kept as long."""


@dataclass(slots=True)
class Job:
    """One sound on its way: what is known of it so far."""

    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    audio_seconds: float | None = None
    pieces: list[Waveform] = field(default_factory=list)
    transcripts: list[Transcript] = field(default_factory=list)
    joined: Transcript | None = None
    """Of all pieces, which are no longer kept then: the sound has left before its batch was done."""
    error: WhisperlabError | None = None
    batch_size: int = 1
    started: float | None = None
    timed_out: bool = False
    first_token_seconds: float | None = None
    """From the engine's call for its first piece."""
    told: int = 0
    """Final segments that were handed over: when the sound is tried again they are not repeated."""
    settled: str = ""
    """Text that was handed over as final, of a sound that was cut ..."""
    settled_until: float = 0.0
    """... and how far it reaches, in seconds of the source."""


def still_wanted(
    pieces: Sequence[tuple[int, Waveform]],
    jobs: list[Job],
    watch: Watch,
    timeout_seconds: float | None,
) -> list[tuple[int, Waveform]]:
    """Returns the pieces whose sound neither failed nor was stopped.

    A sound that was stopped costs nothing more: its later pieces never reach the engine and stand as
    empty cancelled transcripts.
    """
    able = [(index, piece) for index, piece in pieces if jobs[index].error is None]
    observer = PieceWatch(watch, able, jobs, timeout_seconds)
    stopped = {
        index
        for row, (index, _) in enumerate(able)
        if jobs[index].transcripts and observer.cancelled(row)
    }
    for index, _ in able:
        if index in stopped:
            jobs[index].transcripts.append(Transcript("", finish=Finish.CANCELLED))
    return [(index, piece) for index, piece in able if index not in stopped]


def take(
    job: Job,
    piece: Waveform,
    result: Transcript | WhisperlabError,
    share_seconds: float,
    batch_size: int,
) -> None:
    """Notes what the engine made of one piece in a batch."""
    if isinstance(result, WhisperlabError):
        job.error = result
        return
    if not job.transcripts:
        job.first_token_seconds = result.first_token_seconds
    job.transcripts.append(result.shifted(piece.start))
    job.batch_size = max(job.batch_size, batch_size)
    job.stopwatch.add("engine", _own_seconds(result.stages, share_seconds))
    for stage, seconds in result.stages.items():
        job.stopwatch.add(stage, seconds)


def _own_seconds(stages: Mapping[str, float], share: float) -> float:
    """Returns an utterance's seconds in the engine: its ``share`` of the batch, or its own request's."""
    if RETRY_WAIT not in stages:
        return share
    return sum(seconds for stage, seconds in stages.items() if stage != RETRY_WAIT)


class PieceWatch:
    """Maps the engine's batch rows to the caller's sounds, times to source time, and keeps time.

    ``newcomers`` gives sounds that join; their pieces are appended to ``pieces``, they to ``jobs``.
    ``on_left`` hears of each sound that is done before the batch is.
    """

    def __init__(
        self,
        watch: Watch,
        pieces: list[tuple[int, Waveform]],
        jobs: list[Job],
        timeout_seconds: float | None,
        newcomers: Callable[[], Sequence[Job]] = tuple,
        on_left: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._watch = watch
        self._pieces = pieces
        self._jobs = jobs
        self._timeout_seconds = timeout_seconds
        self._newcomers = newcomers
        self._on_left = on_left
        self._finals: Counter[int] = Counter()
        """Final segments of each row in this try."""
        self._early: dict[int, Transcript] = {}
        """Of rows that have left before other pieces of their sound."""
        self._taken: set[int] = set()
        """Rows whose transcript is with its job already."""

    def rest(self) -> list[tuple[int, Waveform]]:
        """Returns the pieces that have no transcript yet."""
        return [one for row, one in enumerate(self._pieces) if row not in self._taken]

    def take_all(self, results: Sequence[Transcript | WhisperlabError], share: float) -> None:
        """Notes the results of all rows, of ``share`` seconds each, in their order."""
        for row, ((index, piece), result) in enumerate(zip(self._pieces, results, strict=True)):
            if row not in self._taken:
                take(self._jobs[index], piece, result, share, len(self._pieces))

    def segment(self, index: int, segment: Segment, final: bool) -> None:
        """Hands a segment on, in source time."""
        sound, piece = self._pieces[index]
        job = self._jobs[sound]
        whole = len(job.pieces) == 1  # else a seam may still change it
        if final and whole:
            self._finals[index] += 1
            if self._finals[index] <= job.told:
                return
            job.told += 1
        self._watch.segment(sound, segment.shifted(piece.start), final and whole)

    def cancelled(self, index: int) -> bool:
        """Returns whether the row's sound has run out of time or is to stop."""
        sound, _ = self._pieces[index]
        job = self._jobs[sound]
        if job.started is None:  # it had to wait for a row
            job.started = perf_counter()
        limit = self._timeout_seconds
        if limit is not None and perf_counter() - job.started > limit:
            job.timed_out = True
        return job.timed_out or self._watch.cancelled(sound)

    def arrivals(self) -> list[Waveform]:
        """Returns the pieces of sounds that join."""
        came: list[Waveform] = []
        for job in self._newcomers():
            index = len(self._jobs)
            self._jobs.append(job)
            self._pieces.extend((index, piece) for piece in job.pieces)
            came.extend(job.pieces)
            if not job.pieces:
                self._on_left(index)
        return came

    def left(self, index: int, transcript: Transcript) -> None:
        """Takes the transcript of a row, and tells of its sound if that is all of it."""
        sound, _ = self._pieces[index]
        job = self._jobs[sound]
        self._early[index] = transcript
        rows = [row for row, (one, _) in enumerate(self._pieces) if one == sound]
        # The first piece need not end first, and later ones may wait for another call.
        if len(job.transcripts) + len(rows) < len(job.pieces) or not self._early.keys() >= {*rows}:
            return
        for row in rows:
            piece, own = self._pieces[row][1], self._early.pop(row)
            take(job, piece, own, sum(own.stages.values()), len(self._pieces))
            self._taken.add(row)
            self._pieces[row] = (sound, piece.with_samples(NO_SAMPLES))
        self._on_left(sound)
