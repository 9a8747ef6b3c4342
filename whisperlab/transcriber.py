"""The Transcriber: sound door, preprocessors, segmentation, engine; every stage measured.

Evaluation, notebook, app and endpoint hold this same object, built by one function from one
configuration. It does not know references, scores, ledgers or YAML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from whisperlab.audio import AudioLimits, Source, Waveform, waveform_of
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import (
    Engine,
    EngineSettings,
    Refilling,
    RowsFailedError,
    SilentWatch,
    Watch,
)
from whisperlab.errors import AudioError, ConfigError, InferenceError, ModelError, WhisperlabError
from whisperlab.preprocess.protocol import Preprocessor
from whisperlab.segmentation.protocol import Segmentation
from whisperlab.stopwatch import Stopwatch
from whisperlab.transcript import RETRY_WAIT, Finish, Segment, Transcript

ISOLATED_FAILURES = (ArithmeticError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)
"""What a plug-in may raise on one sound without ending a run of ten thousand others."""


@dataclass(frozen=True, slots=True)
class Recognition:
    """What became of one sound: a transcript in source time, or the error that stopped it.

    Exactly one of ``transcript`` and ``error`` is set. ``audio_seconds`` is the decoded duration,
    before preprocessing, ``None`` when decoding failed. ``timings`` are seconds by stage; the
    engine's stages are this sound's share of its batch. ``timed_out`` says that
    ``DecodeOptions.timeout_seconds`` ended it. ``first_token_seconds`` is from the beginning of its
    reading to its first token (waiting for batch neighbours left out), ``None`` where the engine
    cannot know.
    """

    transcript: Transcript | None
    error: WhisperlabError | None
    audio_seconds: float | None
    timings: Mapping[str, float]
    batch_size: int
    timed_out: bool = False
    first_token_seconds: float | None = None


@dataclass(slots=True)
class _Job:
    """One sound on its way: what is known of it so far."""

    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    audio_seconds: float | None = None
    pieces: list[Waveform] = field(default_factory=list)
    transcripts: list[Transcript] = field(default_factory=list)
    error: WhisperlabError | None = None
    batch_size: int = 1
    started: float | None = None
    timed_out: bool = False
    first_token_seconds: float | None = None
    """From the engine's call for its first piece."""
    settled: str = ""
    """Text that was handed over as final, of a sound that was cut ..."""
    settled_until: float = 0.0
    """... and how far it reaches, in seconds of the source."""


@dataclass(slots=True)
class _Loaded:
    """The engine, once it is loaded; shared by a Transcriber and its variants."""

    engine: Engine | None = None
    seconds: float | None = None


class Transcriber:
    """Turns sound into transcripts; loads its engine once, on first use or by :meth:`load`.

    One owner at a time: the engine is not thread-safe.
    """

    def __init__(
        self,
        engine: EngineSettings,
        segmentation: Segmentation,
        preprocessors: Sequence[Preprocessor] = (),
        options: DecodeOptions | None = None,
        limits: AudioLimits | None = None,
    ) -> None:
        self.settings = engine
        self.segmentation = segmentation
        self.preprocessors = tuple(preprocessors)
        self.options = options if options is not None else DecodeOptions()
        self.limits = limits if limits is not None else AudioLimits()
        self._loaded = _Loaded()

    @property
    def load_seconds(self) -> float | None:
        """Seconds that loading the engine took; ``None`` before."""
        return self._loaded.seconds

    def variant(
        self, options: DecodeOptions, segmentation: Segmentation | None = None
    ) -> Transcriber:
        """Returns a Transcriber that decodes by ``options`` and shares this one's engine.

        ``segmentation`` ``None`` keeps this one's.

        Raises:
            UnsupportedOptionError: the engine cannot honour an option.
        """
        self.settings.check(options)
        other = Transcriber(
            self.settings,
            segmentation or self.segmentation,
            self.preprocessors,
            options,
            self.limits,
        )
        other._loaded = self._loaded
        return other

    def share_engine(self, other: Transcriber) -> None:
        """Makes this one use the engine that ``other`` has loaded or will load.

        Raises:
            ConfigError: the engines' settings differ.
        """
        if self.settings != other.settings:
            raise ConfigError(
                f"expected an engine with the settings {self.settings}, got {other.settings}"
            )
        self._loaded = other._loaded

    def load(self) -> Engine:
        """Returns the loaded engine; the first call loads it and takes ``load_seconds``.

        Raises:
            ModelError: the model cannot be found, read or trusted.
        """
        loaded = self._loaded
        if loaded.engine is None:
            started = perf_counter()
            loaded.engine = self.settings.load()
            loaded.seconds = perf_counter() - started
        return loaded.engine

    def unload(self) -> None:
        """Lets the engine go, also for those that share it; the next use loads it again."""
        self._loaded.engine = None

    def transcribe(self, source: Source, watch: Watch | None = None) -> Transcript:
        """Returns the transcript of one sound, in source time.

        Raises:
            AudioError: the sound was refused.
            InferenceError: the engine failed, or ``inference_timeout`` ended it.
        """
        recognition = self.recognise([source], watch)[0]
        if recognition.transcript is None or recognition.error is not None:
            raise recognition.error or InferenceError("the engine gave no transcript")
        if recognition.timed_out:
            raise InferenceError(
                f"not finished within decode.timeout_seconds={self.options.timeout_seconds}; "
                "raise it or choose a smaller model",
                code="inference_timeout",
            )
        return recognition.transcript

    def recognise(self, batch: Sequence[Source], watch: Watch | None = None) -> list[Recognition]:
        """Returns one Recognition a sound, in order; one bad sound never harms its neighbours.

        A batch on which the engine fails is halved until the sounds that fail stand alone; they
        come back with their error.

        Raises:
            ConfigError: the engine refuses an option.
            ModelError: the engine cannot be loaded.
        """
        self.load()
        return self.recognise_prepared(self.prepare(batch), watch)

    def prepare(self, batch: Sequence[Source]) -> list[_Job]:
        """Reads, decodes, preprocesses and cuts sounds, for ``recognise_prepared`` alone.

        It does not touch the engine, so that a thread can do it while the engine is busy.
        """
        return [self._prepare(source) for source in batch]

    def recognise_prepared(
        self, jobs: Sequence[_Job], watch: Watch | None = None
    ) -> list[Recognition]:
        """Returns what ``recognise`` returns, for sounds that ``prepare`` has made ready."""
        engine = self.load()
        pieces = [(index, piece) for index, job in enumerate(jobs) for piece in job.pieces]
        listener = watch if watch is not None else SilentWatch()
        # An engine may bound itself; who listens waits for the first pieces.
        at_once = max(1, len(pieces) if watch is None and _rows(engine) else len(jobs))
        for first in range(0, len(pieces), at_once):
            self._run(engine, jobs, pieces[first : first + at_once], listener)
        return [self._finish(job) for job in jobs]

    def _prepare(self, source: Source) -> _Job:
        """Returns the job with its pieces, or with the error that the door or a step raised."""
        job = _Job()
        try:
            waveform = waveform_of(source, self.limits, job.stopwatch)
            job.audio_seconds = waveform.duration_seconds
            with job.stopwatch.stage("preprocess"):
                for step in self.preprocessors:
                    waveform = step(waveform)
                job.pieces = self.segmentation.cut(waveform)
        except (ConfigError, ModelError):
            raise
        except WhisperlabError as error:
            job.error = error
        except ISOLATED_FAILURES as error:
            job.error = AudioError(
                f"a preprocessing step failed: {type(error).__name__}: {error}",
                code="preprocess_failed",
            )
            job.error.__cause__ = error
        return job

    def _run(
        self,
        engine: Engine,
        jobs: Sequence[_Job],
        pieces: Sequence[tuple[int, Waveform]],
        watch: Watch,
    ) -> None:
        """Transcribes ``pieces`` together; on a failure halves them until the culprit stands alone."""
        pieces = _still_wanted(pieces, jobs, watch, self.options.timeout_seconds)
        if not pieces:
            return
        started = perf_counter()
        if len(pieces) <= (_rows(engine) or len(pieces)):
            for job in {index: jobs[index] for index, _ in pieces}.values():
                job.started = job.started or started
        observer = _PieceWatch(watch, pieces, jobs, self.options.timeout_seconds)
        results: Sequence[Transcript | WhisperlabError]
        try:
            results = engine.transcribe([piece for _, piece in pieces], self.options, observer)
        except (ConfigError, ModelError):
            raise
        except RowsFailedError as error:
            results = error.results
        except (WhisperlabError, *ISOLATED_FAILURES) as error:
            if len(pieces) > 1:
                half = len(pieces) // 2
                self._run(engine, jobs, pieces[:half], watch)
                self._run(engine, jobs, pieces[half:], watch)
                return
            jobs[pieces[0][0]].error = _as_inference_error(error)
            return
        share = (perf_counter() - started) / len(pieces)
        for (index, piece), result in zip(pieces, results, strict=True):
            _take(jobs[index], piece, result, share, len(pieces))
        for index in dict.fromkeys(index for index, _ in pieces):
            self._tell_settled(index, jobs[index], watch)

    def _tell_settled(self, index: int, job: _Job, watch: Watch) -> None:
        """Hands over what the pieces transcribed so far have settled of a sound that was cut."""
        done = len(job.transcripts)
        if isinstance(watch, SilentWatch) or job.error is not None:
            return  # nobody listens, or there will be no text
        if len(job.pieces) == 1 or not done:
            return  # the engine's own segments were final
        upcoming = job.pieces[done] if done < len(job.pieces) else None
        text = self.segmentation.settled(job.pieces[:done], job.transcripts, upcoming)
        news = text[len(job.settled) :]
        if news:
            end = job.pieces[done - 1].end if upcoming is None else upcoming.start
            watch.segment(
                index, Segment(job.settled_until, max(job.settled_until, end), news), True
            )
            job.settled, job.settled_until = text, max(job.settled_until, end)

    def _finish(self, job: _Job) -> Recognition:
        timings = dict(job.stopwatch.seconds)
        engine_seconds = timings.pop("engine", 0.0)
        outside_engine = ("read", "decode", "resample", "preprocess")
        before_engine = sum(timings.get(stage, 0.0) for stage in outside_engine)
        timings["total"] = engine_seconds + before_engine
        first = job.first_token_seconds
        transcript = None
        if job.error is None:
            transcript = self.segmentation.join(job.pieces, job.transcripts)
        return Recognition(
            transcript=transcript,
            error=job.error,
            audio_seconds=job.audio_seconds,
            timings=timings,
            batch_size=job.batch_size,
            timed_out=job.timed_out,
            first_token_seconds=None if first is None else before_engine + first,
        )


def _rows(engine: Engine) -> int | None:
    """Returns how many sounds the engine decodes at a time, ``None`` for all it is given."""
    return engine.rows if isinstance(engine, Refilling) else None


def _still_wanted(
    pieces: Sequence[tuple[int, Waveform]],
    jobs: Sequence[_Job],
    watch: Watch,
    timeout_seconds: float | None,
) -> list[tuple[int, Waveform]]:
    """Returns the pieces whose sound neither failed nor was stopped.

    A sound that was stopped costs nothing more: its later pieces never reach the engine and stand as
    empty cancelled transcripts.
    """
    pieces = [(index, piece) for index, piece in pieces if jobs[index].error is None]
    observer = _PieceWatch(watch, pieces, jobs, timeout_seconds)
    stopped = {
        index
        for row, (index, _) in enumerate(pieces)
        if jobs[index].transcripts and observer.cancelled(row)
    }
    for index, _ in pieces:
        if index in stopped:
            jobs[index].transcripts.append(Transcript("", finish=Finish.CANCELLED))
    return [(index, piece) for index, piece in pieces if index not in stopped]


def _take(
    job: _Job,
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


def _as_inference_error(error: Exception) -> WhisperlabError:
    if isinstance(error, WhisperlabError):
        return error
    failure = InferenceError(
        f"the engine failed: {type(error).__name__}: {' '.join(str(error).split())}"
    )
    failure.__cause__ = error
    return failure


class _PieceWatch:
    """Maps the engine's batch rows to the caller's sounds, times to source time, and keeps time."""

    def __init__(
        self,
        watch: Watch,
        pieces: Sequence[tuple[int, Waveform]],
        jobs: Sequence[_Job],
        timeout_seconds: float | None,
    ) -> None:
        self._watch = watch
        self._pieces = pieces
        self._jobs = jobs
        self._timeout_seconds = timeout_seconds

    def segment(self, index: int, segment: Segment, final: bool) -> None:
        sound, piece = self._pieces[index]
        whole = len(self._jobs[sound].pieces) == 1  # else a seam may still change it
        self._watch.segment(sound, segment.shifted(piece.start), final and whole)

    def cancelled(self, index: int) -> bool:
        sound, _ = self._pieces[index]
        job = self._jobs[sound]
        if job.started is None:  # it had to wait for a row
            job.started = perf_counter()
        limit = self._timeout_seconds
        if limit is not None and perf_counter() - job.started > limit:
            job.timed_out = True
        return job.timed_out or self._watch.cancelled(sound)
