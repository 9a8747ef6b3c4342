"""Whisper's sequential long form over a batch of sounds: window after window, to the end of each.

Owns the seeking, the tries of each window and what is told of them. It does not know sound, texts
or settings; a row's segments do not depend on its neighbours.

Source: Radford et al. 2022, section 4.5; transformers ``WhisperGenerationMixin.generate``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from whisperlab.engine.decoding import beams, single
from whisperlab.engine.decoding.alignment import token_ends
from whisperlab.engine.decoding.fallback import Thresholds, Verdict, judge
from whisperlab.engine.decoding.language import detect_languages
from whisperlab.engine.decoding.network import Floats, Manner, Network, WritingNetwork
from whisperlab.engine.decoding.outcome import DecodedSegment, Window
from whisperlab.engine.decoding.prompt import opening, with_context
from whisperlab.engine.decoding.rules import Rules
from whisperlab.engine.decoding.segments import FRAMES_A_POSITION, SECONDS_A_TIMESTAMP, cut
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
    timestamps: bool
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
        return row.unheard if self.trim else int(row.sound.features.shape[1]) - row.seek

    def width(self, row: Row) -> int:
        """Returns the frames that the row's next window is wide."""
        return trimmed_width(row.unheard, self.window_frames) if self.trim else self.window_frames


@dataclass(frozen=True, slots=True)
class Sound:
    """Log-mel features ``(n_mels, n_frames)``, of which ``sound_frames`` are not mere padding."""

    features: Floats
    sound_frames: int


@dataclass(slots=True)
class Row:
    """One sound on its way."""

    number: int
    sound: Sound
    language: int | None = None
    seek: int = 0
    before: list[tuple[int, ...]] = field(default_factory=list)
    condition: bool = False
    cancelled: bool = False
    truncated: bool = False
    first_token_at: float | None = None
    """When its first token was chosen, on the clock of ``perf_counter``; ``None`` where a network writes."""
    redo_seconds: float = 0.0
    """This row's share of what decoding trimmed windows again at full width has taken."""

    @property
    def unheard(self) -> int:
        """Frames of the sound itself, without padding, that no window has read yet."""
        return self.sound.sound_frames - self.seek


@dataclass(frozen=True, slots=True)
class Listener:
    """Who hears each segment of a row, may stop a row, and can spell tokens' compression."""

    on_segment: Callable[[Row, DecodedSegment], None]
    is_cancelled: Callable[[Row], bool]
    compression_ratio: Callable[[Sequence[int]], float]


@dataclass(slots=True)
class Recording:
    """What one call has taken: the seconds of the encoder, and the rows with what became of them."""

    rows: list[Row]
    encode_seconds: float = 0.0


@dataclass(slots=True)
class _Attempt:
    """One window while it is tried: the row, its prompt, and the tries so far."""

    row: Row
    start: Start
    tries: tuple[Try, ...] = ()
    text: Text | None = None
    temperature: float = 0.0
    silent: bool = False


def transcribe(
    network: Network | WritingNetwork, sounds: Sequence[Sound], plan: Plan, listener: Listener
) -> Recording:
    """Decodes sounds, telling each segment as its window is done."""
    rows = [Row(number, sound, condition=plan.condition) for number, sound in enumerate(sounds)]
    recording = Recording(rows)
    while active := [row for row in rows if plan.remaining(row) > 0 and not row.cancelled]:
        for width in sorted({plan.width(row) for row in active}):
            group = [row for row in active if plan.width(row) == width]
            looping = _read(network, group, width, plan, listener, recording)
            if looping:
                started = perf_counter()
                _read(network, looping, plan.window_frames, plan, listener, recording)
                for row in looping:
                    row.redo_seconds += (perf_counter() - started) / len(looping)
    return recording


def _read(
    network: Network | WritingNetwork,
    rows: Sequence[Row],
    width: int,
    plan: Plan,
    listener: Listener,
    recording: Recording,
) -> list[Row]:
    """Decodes one window of each row; returns the rows whose trimmed window made a loop, untold."""
    started = perf_counter()
    network.hear([_window(row, width) for row in rows])
    recording.encode_seconds += perf_counter() - started
    _find_languages(network, rows, plan)
    attempts = [_Attempt(row, _start(row, place, plan)) for place, row in enumerate(rows)]
    _decode_with_fallback(network, attempts, plan, listener)
    looping = []
    for attempt in attempts:
        if width < plan.window_frames and _loops(attempt):
            looping.append(attempt.row)
        else:
            _tell(network, attempt, plan, listener)
    return looping


def _loops(attempt: _Attempt) -> bool:
    if attempt.text is None or attempt.silent or attempt.row.cancelled:
        return False
    return loops(attempt.text, attempt.tries[-1].compression_ratio or 0.0)


def _window(row: Row, width: int) -> Floats:
    """Returns the next window, zeros behind the features' end."""
    part = row.sound.features[:, row.seek : row.seek + width]
    window: Floats = np.pad(part, ((0, 0), (0, width - part.shape[1])))
    return window


def _find_languages(network: Network | WritingNetwork, active: Sequence[Row], plan: Plan) -> None:
    """Notes each row's language, detected in its first window where none is asked for."""
    unknown = [place for place, row in enumerate(active) if row.language is None]
    if not unknown:
        return
    forced = plan.vocabulary.forced if plan.task is None else ()
    if plan.language is not None:
        found: list[int] | None = [plan.language] * len(unknown)
    elif forced[:1] in ((), (None,)):
        found = detect_languages(network, plan.vocabulary, unknown)
    else:
        found = None  # an old configuration names it
    if found is not None:
        for place, language in zip(unknown, found, strict=True):
            active[place].language = language


def _start(row: Row, place: int, plan: Plan) -> Start:
    begun = opening(plan.vocabulary, row.language, plan.task, timestamps=plan.timestamps)
    prompt = with_context(plan.vocabulary, begun, plan.prompt, row.before, condition=row.condition)
    room = plan.vocabulary.positions - len(prompt)
    if plan.max_new_tokens is not None:
        room = min(room, plan.max_new_tokens)
    return Start(place, tuple(prompt), len(begun), room, plan.vocabulary.no_speech)


def _decode_with_fallback(
    network: Network | WritingNetwork, attempts: Sequence[_Attempt], plan: Plan, listener: Listener
) -> None:
    pending = list(attempts)
    for number, temperature in enumerate(plan.temperatures):
        texts = _decode(network, pending, plan, listener, temperature, number)
        unsure = []
        for attempt, text in zip(pending, texts, strict=True):
            verdict = judge(
                text,
                plan.thresholds,
                end=plan.vocabulary.end,
                vocabulary_size=plan.vocabulary_size,
            )
            cancelled = attempt.row.cancelled
            last = number == len(plan.temperatures) - 1
            again = verdict is Verdict.UNSURE and not cancelled and not last
            attempt.text, attempt.temperature = text, temperature
            attempt.silent = verdict is Verdict.SILENT and not cancelled
            ratio = listener.compression_ratio(text.tokens)
            attempt.tries += (Try(temperature, text.avg_logprob, ratio, not again),)
            if again:
                unsure.append(attempt)
        pending = unsure
        if not pending:
            return


def _decode(
    network: Network | WritingNetwork,
    attempts: Sequence[_Attempt],
    plan: Plan,
    listener: Listener,
    temperature: float,
    try_number: int,
) -> list[Text]:
    def is_stopped(position: int) -> bool:
        row = attempts[position].row
        if row.first_token_at is None:
            row.first_token_at = perf_counter()
        return _poll(row, listener)

    starts = [attempt.start for attempt in attempts]
    vocabulary = plan.vocabulary
    if isinstance(network, WritingNetwork):
        texts = network.write(starts, Manner(plan.n_beams, temperature, plan.seed + try_number))
        for attempt in attempts:
            _poll(attempt.row, listener)
        return texts
    rules = Rules(vocabulary, timestamps=plan.timestamps)
    if plan.n_beams > 1 and temperature == 0:
        contest = beams.BeamRules(
            plan.n_beams, vocabulary.end, vocabulary.length_penalty, vocabulary.early_stopping
        )
        return beams.decode(network, starts, rules, contest, is_stopped)
    return single.decode(
        network,
        starts,
        rules,
        temperature=temperature,
        generators=[
            np.random.default_rng([plan.seed, attempt.row.seek, try_number]) for attempt in attempts
        ],
        end=vocabulary.end,
        is_stopped=is_stopped,
    )


def _poll(row: Row, listener: Listener) -> bool:
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
    _poll(row, listener)
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
