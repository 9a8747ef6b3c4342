"""The Transcriber: sound door, preprocessors, segmentation, engine; every stage measured.

Evaluation, notebook, app and endpoint hold this same object, built by one function from one
configuration. It does not know references, scores, ledgers or YAML.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol, runtime_checkable

from whisperlab.audio import AudioLimits, Source, Waveform
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import (
    Engine,
    EngineSettings,
    Refilling,
    RowsFailedError,
    SilentWatch,
    Watch,
)
from whisperlab.errors import ConfigError, InferenceError, ModelError, WhisperlabError
from whisperlab.jobs import Job, PieceWatch, still_wanted
from whisperlab.preparation import ISOLATED_FAILURES, Preparation
from whisperlab.preprocess.protocol import Preprocessor
from whisperlab.segmentation.protocol import Segmentation
from whisperlab.transcript import Segment, Transcript


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


@runtime_checkable
class Visited(Protocol):
    """A `Watch` by which sounds come and go while others are recognised, where the engine can."""

    def arrivals(self) -> Sequence[Source]:
        """Returns sounds that are recognised too, at the next indices; asked between decode steps."""
        ...

    def done(self, index: int, recognition: Recognition) -> None:
        """Receives what ``recognise`` will return at ``index``, when that is known before its end."""
        ...


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

    def prepare(self, batch: Sequence[Source]) -> list[Job]:
        """Reads, decodes, preprocesses and cuts sounds, for ``recognise_prepared`` alone.

        It does not touch the engine, so that a thread can do it while the engine is busy.
        """
        return list(map(self.preparation, batch))

    @property
    def preparation(self) -> Preparation:
        """What ``prepare`` does to each sound: it can be sent to another process."""
        return Preparation(self.preprocessors, self.segmentation, self.limits)

    def recognise_prepared(
        self, jobs: Sequence[Job], watch: Watch | None = None
    ) -> list[Recognition]:
        """Returns what ``recognise`` returns, for sounds that ``prepare`` has made ready."""
        engine, jobs = self.load(), list(jobs)  # further ones may join
        pieces = [(index, piece) for index, job in enumerate(jobs) for piece in job.pieces]
        listener = watch if watch is not None else SilentWatch()
        guests = listener if isinstance(listener, Visited) else None
        for index, job in enumerate(jobs):
            if not job.pieces:
                self._tell_done(index, jobs, listener)
        for first, end in _chunks(len(pieces), len(jobs), _rows(engine), listens=watch is not None):
            # Who joins would hold up the later pieces of those who were there before.
            is_last = end == len(pieces)
            self._run(engine, jobs, pieces[first:end], listener, guests if is_last else None)
        return [self._finish(job) for job in jobs]

    def _run(
        self,
        engine: Engine,
        jobs: list[Job],
        pieces: Sequence[tuple[int, Waveform]],
        watch: Watch,
        guests: Visited | None = None,
    ) -> None:
        """Transcribes ``pieces``, and what ``guests`` brings, together.

        On a failure halves them until the culprit stands alone: who joined then would hide it.
        """
        rows = still_wanted(pieces, jobs, watch, self.options.timeout_seconds)
        if not rows:
            return
        started = perf_counter()
        if len(rows) <= (_rows(engine) or len(rows)):
            for job in {index: jobs[index] for index, _ in rows}.values():
                job.started = job.started or started
        observer = PieceWatch(
            watch,
            rows,
            jobs,
            self.options.timeout_seconds,
            lambda: () if guests is None else self.prepare(guests.arrivals()),
            lambda index: self._tell_done(index, jobs, watch),
        )
        results: Sequence[Transcript | WhisperlabError]
        try:
            results = engine.transcribe([piece for _, piece in rows], self.options, observer)
        except (ConfigError, ModelError):
            raise
        except RowsFailedError as error:
            results = error.results
        except (WhisperlabError, *ISOLATED_FAILURES) as error:
            self._halve(engine, jobs, observer.rest(), watch, error)
            return
        share = (perf_counter() - started) / len(rows)
        observer.take_all(results, share)
        for index in dict.fromkeys(index for index, _ in rows):
            self._tell_settled(index, jobs[index], watch)

    def _halve(
        self,
        engine: Engine,
        jobs: list[Job],
        pieces: Sequence[tuple[int, Waveform]],
        watch: Watch,
        error: Exception,
    ) -> None:
        if len(pieces) > 1:
            half = len(pieces) // 2
            self._run(engine, jobs, pieces[:half], watch)
            self._run(engine, jobs, pieces[half:], watch)
            return
        for index, _ in pieces:
            jobs[index].error = _as_inference_error(error)
            self._tell_done(index, jobs, watch)

    def _tell_done(self, index: int, jobs: Sequence[Job], watch: Watch) -> None:
        """Hands over what became of a sound, of which no more is kept than that."""
        if isinstance(watch, Visited):
            job = jobs[index]
            recognition = self._finish(job)
            job.joined, job.pieces = recognition.transcript, []
            watch.done(index, recognition)

    def _tell_settled(self, index: int, job: Job, watch: Watch) -> None:
        """Hands over what the pieces transcribed so far have settled of a sound that was cut."""
        done = len(job.transcripts)
        if isinstance(watch, SilentWatch) or job.error is not None or job.joined is not None:
            return  # nobody listens, there will be no text, or all of it was handed over
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

    def _finish(self, job: Job) -> Recognition:
        timings = dict(job.stopwatch.seconds)
        engine_seconds = timings.pop("engine", 0.0)
        outside_engine = ("read", "decode", "resample", "preprocess")
        before_engine = sum(timings.get(stage, 0.0) for stage in outside_engine)
        timings["total"] = engine_seconds + before_engine
        first = job.first_token_seconds
        transcript = None
        if job.error is None:
            transcript = job.joined
            if transcript is None:
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


def _chunks(
    n_pieces: int, n_jobs: int, rows: int | None, *, listens: bool
) -> Iterator[tuple[int, int]]:
    """Yields which pieces go to the engine together: first (in) and end (out).

    An engine with ``rows`` bounds itself; who listens waits for the first pieces alone, then for
    as many as fill the rows.

    >>> list(_chunks(9, 1, 4, listens=True)), list(_chunks(9, 1, 4, listens=False))
    ([(0, 1), (1, 5), (5, 9)], [(0, 9)])
    """
    first, size = 0, n_pieces if rows and not listens else n_jobs
    while first < n_pieces:
        end = min(n_pieces, first + size)
        yield first, end
        first, size = end, max(n_jobs, rows or 1)


def _rows(engine: Engine) -> int | None:
    """Returns how many sounds the engine decodes at a time, ``None`` for all it is given."""
    return engine.rows if isinstance(engine, Refilling) else None


def _as_inference_error(error: Exception) -> WhisperlabError:
    if isinstance(error, WhisperlabError):
        return error
    failure = InferenceError(
        f"the engine failed: {type(error).__name__}: {' '.join(str(error).split())}"
    )
    failure.__cause__ = error
    return failure
