"""The process that holds one configuration's engine: batches in, segments and replies out.

Owns what runs in the child: a Transcriber built by the same function as everywhere, loaded once,
asked for one batch after the other. It knows no HTTP, no queue and no client. A process of its own,
so that a crash of the engine costs its batch and not the server, an evicted model's memory is
really free, and Python in the decode loop does not hold up the server's answers.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, Protocol, runtime_checkable

from whisperlab.audio import Waveform
from whisperlab.config.build import build_transcriber
from whisperlab.device import GivingBack, resolve
from whisperlab.engine.protocol import Independent, Refilling
from whisperlab.errors import ConfigError, ModelError, UnsupportedOptionError, WhisperlabError
from whisperlab.segmentation.silero_vad import is_installed, load_detector
from whisperlab.serve import logs
from whisperlab.serve.inbox import Inbox
from whisperlab.serve.messages import (
    Answered,
    Batch,
    Heard,
    Loaded,
    LoadFailed,
    Recipe,
    Reply,
    Token,
)
from whisperlab.transcriber import Recognition, Transcriber
from whisperlab.transcript import Segment

_logger = logging.getLogger(__name__)


@runtime_checkable
class Spelling(Protocol):
    """An engine that can tell which bytes its tokens stand for."""

    def spell(self, segment: Segment) -> list[tuple[bytes, float]]:
        """Returns bytes and log probability of each text token of a segment."""
        ...


class _Run:
    """A running batch, as a Transcriber's `Visited` watch: segments and replies go to the parent.

    Sounds of the same recipe in the inbox join where the parent lets them.
    """

    def __init__(
        self,
        connection: Connection,
        flags: Sequence[int],
        batch: Batch,
        reply: Callable[[Recognition], Reply],
        inbox: Inbox,
    ) -> None:
        self.seconds: list[float] = []
        self.unanswered: set[int] = set()
        self._places: list[int] = []
        self._connection = connection
        self._flags = flags
        self._recipe = batch.recipe
        self._reply = reply
        self._inbox = inbox
        self._take_in(batch)

    def segment(self, index: int, segment: Segment, final: bool) -> None:
        if final:
            self._connection.send(Heard(self._places[index], segment))

    def cancelled(self, index: int) -> bool:
        return bool(self._flags[self._places[index]])

    def arrivals(self) -> list[Waveform]:
        came: list[Waveform] = []
        while (batch := self._inbox.take_joining(self._recipe)) is not None:
            self._take_in(batch)
            came.extend(batch.sounds)
        return came

    def done(self, index: int, recognition: Recognition) -> None:
        self.answer(index, self._reply(recognition))

    def answer(self, index: int, reply: Reply) -> None:
        self.unanswered.remove(index)
        self._connection.send(Answered(self._places[index], reply))

    def _take_in(self, batch: Batch) -> None:
        first = len(self._places)
        self._places.extend(batch.places)
        self.seconds.extend(sound.duration_seconds for sound in batch.sounds)
        self.unanswered.update(range(first, len(self._places)))


def work(config: Mapping[str, Any], connection: Connection, flags: Sequence[int]) -> None:
    """Loads the configuration, then answers batches until the parent hangs up.

    ``flags`` is shared memory, one byte a batch row: not 0 asks the row to stop.
    """
    # The parent decides when to stop: a stop signal to the whole group must not cut the drain.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _leave_with_parent()
    logs.configure("warning")
    try:
        _load_and_answer(config, connection, flags)
    except Exception as error:
        # Everything: multiprocessing would print its message, which may quote what was said.
        _logger.critical("worker ended by an unforeseen failure", exc_info=error)
        sys.exit(1)


def _load_and_answer(
    config: Mapping[str, Any], connection: Connection, flags: Sequence[int]
) -> None:
    try:
        transcriber = build_transcriber(config)
        kind = resolve(transcriber_device(config))
        engine = transcriber.load()
        if is_installed():  # any request may ask for it: none shall wait for its libraries
            load_detector()
    except WhisperlabError as error:
        connection.send(LoadFailed(error.code, str(error), error.exit_code))
        return
    joins, rows = (True, engine.rows) if isinstance(engine, Refilling) else (False, None)
    independent = isinstance(engine, Independent) and engine.independent
    connection.send(Loaded(transcriber.load_seconds or 0.0, kind, joins, rows, independent))
    variants: dict[Recipe, Transcriber] = {}
    inbox = Inbox(connection)
    give_back = GivingBack()  # batches of ever other sizes leave gaps
    # A call each, so that no sound stays in memory while the next is waited for.
    while _answer_one(transcriber, variants, connection, flags, inbox):
        give_back()


def _leave_with_parent() -> None:
    """Ends this process when its parent is gone, also in the middle of a batch."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, name="parent watch", daemon=True).start()


def _answer_one(
    transcriber: Transcriber,
    variants: dict[Recipe, Transcriber],
    connection: Connection,
    flags: Sequence[int],
    inbox: Inbox,
) -> bool:
    """Answers the next batch and what joins it; False when the parent has hung up."""
    batch = inbox.take()
    if batch is None:
        return False
    recipe = batch.recipe
    run = _Run(connection, flags, batch, lambda one: _reply(transcriber, one, recipe), inbox)
    try:
        recognitions = _variant(transcriber, variants, recipe).recognise(batch.sounds, run)
        for index in sorted(run.unanswered):
            run.done(index, recognitions[index])
    except (ConfigError, ModelError) as error:
        code = error.code if isinstance(error, UnsupportedOptionError) else "unsupported_value"
        for index in sorted(run.unanswered):
            run.answer(index, Reply(None, code, str(error), run.seconds[index]))
    return True


def transcriber_device(config: Mapping[str, Any]) -> Any:
    """Returns the kind of device that a configuration asks for."""
    return config["device"]["kind"]


MAX_VARIANTS = 16
"""Recipes whose Transcriber is kept: a segmentation may hold a voice detector."""


def _variant(
    transcriber: Transcriber, variants: dict[Recipe, Transcriber], recipe: Recipe
) -> Transcriber:
    chosen = variants.get(recipe)
    if chosen is None:
        while len(variants) >= MAX_VARIANTS:
            variants.pop(next(iter(variants)))
        chosen = transcriber.variant(recipe.options, recipe.segmentation)
        variants[recipe] = chosen
    return chosen


def _reply(transcriber: Transcriber, recognition: Recognition, recipe: Recipe) -> Reply:
    error, transcript = recognition.error, recognition.transcript
    tokens: tuple[Token, ...] = ()
    if recipe.spell and transcript is not None:
        engine = transcriber.load()
        if not isinstance(engine, Spelling):
            raise UnsupportedOptionError(
                "include=logprobs: this engine knows no log probabilities of tokens; leave it out"
            )
        tokens = tuple(
            Token(content, logprob)
            for segment in transcript.segments
            for content, logprob in engine.spell(segment)
        )
    return Reply(
        transcript=transcript if error is None else None,
        code=None if error is None else error.code,
        message="" if error is None else str(error),
        audio_seconds=recognition.audio_seconds or 0.0,
        timings=recognition.timings,
        batch_size=recognition.batch_size,
        timed_out=recognition.timed_out,
        tokens=tokens,
    )
