"""Whisper's sequential long form of one sound: window after window, to its end.

Owns the seeking, the tries of each window and what is told of them. It does not know sound, texts
or settings, nor which other sounds are on their way: it yields what it wishes and goes on when it
has it.

Source: Radford et al. 2022, section 4.5; transformers ``WhisperGenerationMixin.generate``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter

import numpy as np

from whisperlab.engine.decoding.alignment import token_ends
from whisperlab.engine.decoding.fallback import Thresholds, Verdict, judge
from whisperlab.engine.decoding.network import Features, Network, WritingNetwork
from whisperlab.engine.decoding.outcome import DecodedSegment, Window
from whisperlab.engine.decoding.prompt import opening, with_context
from whisperlab.engine.decoding.segments import FRAMES_A_POSITION, SECONDS_A_TIMESTAMP, cut
from whisperlab.engine.decoding.single import Writing
from whisperlab.engine.decoding.start import Start
from whisperlab.engine.decoding.text import Text
from whisperlab.engine.decoding.trimming import loops, trimmed_width
from whisperlab.engine.decoding.vocabulary import Vocabulary
from whisperlab.engine.options import Task
from whisperlab.transcript import Try

CONDITIONING_TEMPERATURE = 0.5
"""From this temperature on a text is too unsure to be the next window's context."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to decode: options in ids. ``language`` and ``task`` ``None`` where they do not apply."""

    vocabulary: Vocabulary
    vocabulary_size: int
    window_frames: int
    words: bool
    language: int | None
    task: Task | None
    prompt: tuple[int, ...] | None
    condition: bool
    n_beams: int
    temperatures: tuple[float, ...]
    thresholds: Thresholds
    max_new_tokens: int | None
    seed: int
    filter_width: int
    trim: bool = False

    def remaining(self, row: Row) -> int:
        """Returns the frames of a row that no window has read yet; trimmed, padding is none."""
        return row.unheard if self.trim else int(row.features.shape[1]) - row.seek

    def width(self, row: Row) -> int:
        """Returns the frames that the row's next window is wide."""
        return trimmed_width(row.unheard, self.window_frames) if self.trim else self.window_frames


@dataclass(frozen=True, slots=True)
class Sound:
    """What gives the log-mel features ``(n_mels, n_frames)``; ``sound_frames`` are no mere padding.

    ``widen`` puts zeros behind a part of them, to so many frames. Only with ``timestamps`` can a
    sound be longer than a window.
    """

    features: Callable[[], Features]
    sound_frames: int
    widen: Callable[[Features, int], Features]
    timestamps: bool


@dataclass(slots=True)
class Stages:
    """Seconds of one sound: its share of what was done for several at once.

    ``redo`` is what decoding trimmed windows again at full width took, and in no other stage.
    """

    features: float = 0.0
    encode: float = 0.0
    decode: float = 0.0
    redo: float = 0.0


@dataclass(slots=True)
class Row:
    """One sound on its way; its features are there from its beginning to its end."""

    number: int
    sound_frames: int
    features: Features
    widen: Callable[[Features, int], Features]
    timestamps: bool
    begun: float
    """On the clock of ``perf_counter``."""
    language: int | None = None
    seek: int = 0
    before: list[tuple[int, ...]] = field(default_factory=list)
    condition: bool = False
    cancelled: bool = False
    truncated: bool = False
    first_token_seconds: float | None = None
    """From its beginning; ``None`` where a network writes."""
    stages: Stages = field(default_factory=Stages)

    @property
    def unheard(self) -> int:
        """Frames of the sound itself, without padding, that no window has read yet."""
        return self.sound_frames - self.seek


@dataclass(frozen=True, slots=True)
class Listener:
    """Who hears each segment of a row and its end, may stop a row, and can spell tokens' compression."""

    on_segment: Callable[[Row, DecodedSegment], None]
    on_end: Callable[[Row], None]
    is_cancelled: Callable[[Row], bool]
    compression_ratio: Callable[[Sequence[int]], float]


@dataclass(slots=True)
class Hear:
    """A wish: a window encoded, and its language known where ``detect``."""

    window: Features
    detect: bool
    heard: int = -1
    language: int | None = None


Wish = Hear | Writing


@dataclass(slots=True)
class _Attempt:
    """One window while it is tried: the row, its prompt, and the tries so far."""

    row: Row
    start: Start
    tries: tuple[Try, ...] = ()
    text: Text | None = None
    temperature: float = 0.0
    silent: bool = False


def listen(
    row: Row, plan: Plan, listener: Listener, network: Network | WritingNetwork
) -> Generator[Wish, None, None]:
    """Decodes a sound, telling each segment as its window is done; yields what it waits for.

    A `Hear` wish forgets the row's window before.
    """
    writes = isinstance(network, WritingNetwork)
    is_stopped = partial(poll if writes else _follow, row, listener)
    while plan.remaining(row) > 0 and not row.cancelled:
        width = plan.width(row)
        attempt = yield from _try(row, width, plan, listener, is_stopped)
        if width < plan.window_frames and _loops(attempt):
            encode, decode = row.stages.encode, row.stages.decode
            attempt = yield from _try(row, plan.window_frames, plan, listener, is_stopped)
            row.stages.redo += row.stages.encode - encode + row.stages.decode - decode
            row.stages.encode, row.stages.decode = encode, decode
        _tell(network, attempt, plan, listener)


def _try(
    row: Row, width: int, plan: Plan, listener: Listener, is_stopped: Callable[[], bool]
) -> Generator[Wish, None, _Attempt]:
    """Returns the row's next window with the text that passed, or with the last one."""
    forced = plan.vocabulary.forced if plan.task is None else ()
    if row.language is None:
        row.language = plan.language
    # An old configuration can name the language among its forced tokens.
    hear = Hear(_window(row, width), row.language is None and forced[:1] in ((), (None,)))
    yield hear
    if row.language is None:
        row.language = hear.language
    attempt = _Attempt(row, _start(row, hear.heard, plan))
    for number, temperature in enumerate(plan.temperatures):
        writing = Writing(
            attempt.start,
            row.timestamps,
            temperature,
            number,
            np.random.default_rng([plan.seed, row.seek, number]),
            is_stopped,
        )
        yield writing
        if not _again(attempt, writing, plan, listener):
            break
    return attempt


def _again(attempt: _Attempt, writing: Writing, plan: Plan, listener: Listener) -> bool:
    """Notes a try; returns whether the window is to be decoded at the next temperature."""
    text, cancelled = writing.text, attempt.row.cancelled
    if text is None:
        return False
    verdict = judge(
        text,
        plan.thresholds,
        end=plan.vocabulary.end,
        vocabulary_size=plan.vocabulary_size,
    )
    last = writing.try_number == len(plan.temperatures) - 1
    again = verdict is Verdict.UNSURE and not cancelled and not last
    attempt.text, attempt.temperature = text, writing.temperature
    attempt.silent = verdict is Verdict.SILENT and not cancelled
    ratio = listener.compression_ratio(text.tokens)
    attempt.tries += (Try(writing.temperature, text.avg_logprob, ratio, not again),)
    return again


def _loops(attempt: _Attempt) -> bool:
    if attempt.text is None or attempt.silent or attempt.row.cancelled:
        return False
    return loops(attempt.text, attempt.tries[-1].compression_ratio or 0.0)


def _window(row: Row, width: int) -> Features:
    """Returns the next window, zeros behind the features' end."""
    part = row.features[:, row.seek : row.seek + width]
    return part if part.shape[1] == width else row.widen(part, width)


def _start(row: Row, place: int, plan: Plan) -> Start:
    begun = opening(plan.vocabulary, row.language, plan.task, timestamps=row.timestamps)
    prompt = with_context(plan.vocabulary, begun, plan.prompt, row.before, condition=row.condition)
    room = plan.vocabulary.positions - len(prompt)
    if plan.max_new_tokens is not None:
        room = min(room, plan.max_new_tokens)
    return Start(place, tuple(prompt), len(begun), room, plan.vocabulary.no_speech)


def _follow(row: Row, listener: Listener) -> bool:
    """Notes the first token, and returns what `poll` does."""
    if row.first_token_seconds is None:
        row.first_token_seconds = perf_counter() - row.begun
    return poll(row, listener)


def poll(row: Row, listener: Listener) -> bool:
    """Returns whether the row is to stop, asking unless that is known."""
    row.cancelled = row.cancelled or listener.is_cancelled(row)
    return row.cancelled


def _tell(
    network: Network | WritingNetwork, attempt: _Attempt, plan: Plan, listener: Listener
) -> None:
    """Tells the segments of a window that has been decoded, and moves its row on."""
    row, text = attempt.row, attempt.text
    n_frames = min(plan.window_frames, plan.remaining(row))
    if text is None or attempt.silent:
        row.seek += n_frames
        return
    row.truncated = row.truncated or not (text.ended or row.cancelled)
    row.condition = plan.condition and attempt.temperature < CONDITIONING_TEMPERATURE
    last = attempt.tries[-1]
    window = Window(
        temperature=attempt.temperature,
        avg_logprob=text.avg_logprob,
        no_speech_prob=text.no_speech,
        compression_ratio=last.compression_ratio or 0.0,
        token_logprobs=text.logprobs,
        tries=attempt.tries,
    )
    ends = None
    if plan.words and not isinstance(network, WritingNetwork):
        ends = _token_ends(network, attempt, plan)
    found = cut(text.tokens, plan.vocabulary.first_timestamp, seek=row.seek, n_frames=n_frames)
    for piece in found.pieces:
        part = slice(piece.first, piece.last)
        tokens = text.tokens[part]
        row.before.append(tokens)
        listener.on_segment(
            row,
            DecodedSegment(
                piece.start,
                piece.end,
                tokens,
                text.logprobs[part],
                None if ends is None else tuple(ends[part]),
                window,
            ),
        )
    poll(row, listener)
    row.seek += found.advance


def _token_ends(network: Network, attempt: _Attempt, plan: Plan) -> list[float]:
    """Returns the seconds of the sound at which each token of a window's text ends."""
    text, row, prompt = attempt.text, attempt.row, attempt.start.prompt
    if text is None:
        return []
    # The last token has been chosen but never read.
    read = text.tokens if text.ended else text.tokens[:-1]
    attention = network.attend(attempt.start.heard, [*prompt, *read])[:, len(prompt) :]
    ends = token_ends(attention, n_frames=row.unheard, filter_width=plan.filter_width)
    offset = row.seek * SECONDS_A_TIMESTAMP / FRAMES_A_POSITION
    return [offset + end for end in ends]
