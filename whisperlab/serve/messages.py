"""What a lane and its worker say to each other, and how sounds travel between them.

Owns the messages and the way of samples over the pipe. It knows neither queue nor engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection

import numpy as np

from whisperlab.audio import Waveform
from whisperlab.device import ResolvedKind
from whisperlab.engine.options import DecodeOptions
from whisperlab.segmentation.protocol import Segmentation
from whisperlab.transcript import Segment, Transcript


@dataclass(frozen=True)
class Recipe:
    """How a request wants its sound transcribed; requests of equal recipes may share a batch.

    ``segmentation`` ``None`` is the configuration's own. ``spell`` asks for the text and log
    probability of each token.
    """

    options: DecodeOptions
    segmentation: Segmentation | None = None
    spell: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as it travels: sounds without their samples, which follow as bytes.

    ``places`` are what the parent calls each of them by, until it is answered; also its flag.
    ``joins``: it may be taken into a running batch of its recipe.
    """

    sounds: Sequence[Waveform]
    places: Sequence[int]
    recipe: Recipe
    joins: bool = False


@dataclass(frozen=True, slots=True)
class Token:
    """One text token: its bytes (a character can take several tokens) and its log probability."""

    content: bytes
    logprob: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one sound: a transcript, or the ``code`` and ``message`` of what stopped it."""

    transcript: Transcript | None
    code: str | None
    message: str
    audio_seconds: float
    timings: Mapping[str, float] = field(default_factory=dict)
    batch_size: int = 1
    timed_out: bool = False
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True)
class Loaded:
    """The engine is in memory, on this kind of device; ``joins``: sounds can join a running batch.

    ``rows``: it decodes so many at a time, ``None`` for all that it is given. ``independent``: no
    text depends on the batch, whatever the precision.
    """

    seconds: float
    kind: ResolvedKind
    joins: bool
    rows: int | None
    independent: bool


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The engine cannot be loaded; ``exit_code`` is a command's."""

    code: str
    message: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class Heard:
    """A final segment of the sound at a place."""

    place: int
    segment: Segment


@dataclass(frozen=True, slots=True)
class Answered:
    """The sound at a place is done; nothing more is said of it."""

    place: int
    reply: Reply


Message = Loaded | LoadFailed | Heard | Answered


def send_batch(connection: Connection, batch: Batch) -> None:
    """Sends a batch, its sounds' samples last; waits until all is read or lies in the pipe.

    Raises:
        OSError: the worker is gone.
    """
    sounds = [sound.cut(0, 0) for sound in batch.sounds]
    connection.send(replace(batch, sounds=sounds))
    for sound in batch.sounds:
        connection.send_bytes(sound.samples.data.cast("B"))


def receive_batch(connection: Connection) -> Batch:
    """Returns the next batch with its samples; waits for it.

    Raises:
        EOFError, OSError: the parent has hung up.
    """
    batch: Batch = connection.recv()
    sounds = [
        sound.with_samples(np.frombuffer(connection.recv_bytes(), dtype=np.float32))
        for sound in batch.sounds
    ]
    return replace(batch, sounds=sounds)
