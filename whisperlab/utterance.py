"""A test item and what became of it: Utterance and Outcome.

Owns the pair that every dataset gives and every score reads. It does not know how an utterance was
transcribed, stored or scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from whisperlab.audio import Sound
from whisperlab.transcript import Segment, Word


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording with its reference.

    ``id`` is unique in its dataset. ``audio`` is a file, the bytes of one, or sound made on demand
    (a perturbed copy). ``reference`` is the raw transcript, ``""`` for speechless audio. ``slices``
    are the extra columns (speaker, domain, accent, ...) by which scores are broken down.
    ``declared_seconds`` is what the manifest says of the duration, ``None`` when it says nothing; it
    is checked, never trusted. ``words`` are the reference's words with their true times where the
    corpus knows them.
    """

    id: str
    audio: Path | bytes | Sound
    reference: str
    slices: Mapping[str, str] = field(default_factory=dict)
    declared_seconds: float | None = None
    words: tuple[Word, ...] = ()


class State(StrEnum):
    """What became of an utterance; a failure is a state, never an empty text."""

    OK = "ok"
    EMPTY = "empty"
    """The engine finished and heard nothing."""
    FAILED = "failed"
    TRUNCATED = "truncated"
    """The token cap cut the text; the text is scored as it stands."""
    TIMED_OUT = "timed_out"

    @property
    def scored(self) -> bool:
        """True when the utterance's text counts in a score (failed and timed-out ones do not)."""
        return self not in (State.FAILED, State.TIMED_OUT)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an utterance has no text: a stable ``code`` for programs, a ``message`` for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """One line of the ledger: an utterance, its raw text, its state and its seconds by stage.

    ``audio_seconds`` is the decoded duration, ``None`` when the sound was never decoded.
    ``timings`` are seconds by stage: ``read``, ``decode``, ``resample``, ``preprocess``,
    ``features``, ``encode``, ``decode_tokens``, ``detokenise`` and ``total``, of a remote engine
    ``pack`` (writing the upload), ``remote`` (its last request) and ``retry_wait`` (what came
    before that one, in no ``total``); a stage that did not happen is absent. ``batch_size`` is the number of utterances that
    went through the engine together.
    ``reference_words`` are the reference's words with their true times, where they are known.
    """

    id: str
    state: State
    reference: str
    text: str
    language: str | None = None
    segments: tuple[Segment, ...] = ()
    audio_seconds: float | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    batch_size: int = 1
    attempt: int = 1
    slices: Mapping[str, str] = field(default_factory=dict)
    error: Failure | None = None
    reference_words: tuple[Word, ...] = ()
