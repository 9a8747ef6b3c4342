"""What every engine is: settings that load nothing, and the loaded thing that transcribes.

Owns the protocols alone; it imports none of the engines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from whisperlab.audio import Waveform
from whisperlab.engine.options import DecodeOptions
from whisperlab.errors import InferenceError, WhisperlabError
from whisperlab.transcript import Segment, Transcript


class Watch(Protocol):
    """How streaming, progress and cancelling reach the decode loop; ``index`` is the batch row."""

    def segment(self, index: int, segment: Segment, final: bool) -> None:
        """Receives a segment as soon as it is known; ``final`` says that it will not change.

        The texts of a sound's final segments, put together and stripped, are its transcript's text.
        """
        ...

    def cancelled(self, index: int) -> bool:
        """True when row ``index`` should stop; asked at every decode step."""
        ...


class SilentWatch:
    """The watch of someone who neither listens nor cancels."""

    def segment(self, index: int, segment: Segment, final: bool) -> None:
        """Does nothing."""

    def cancelled(self, index: int) -> bool:
        """Returns False."""
        return False


@runtime_checkable
class Engine(Protocol):
    """A loaded recogniser. One owner at a time: engines are not thread-safe."""

    sample_rate: int
    """Hz that ``transcribe`` expects."""

    def transcribe(
        self, batch: Sequence[Waveform], options: DecodeOptions, watch: Watch
    ) -> list[Transcript]:
        """Returns one transcript a waveform, in order, times relative to each waveform's first sample.

        Any length is taken. A cancelled row comes back with ``Finish.CANCELLED``; the others are
        not touched by it.

        Raises:
            UnsupportedOptionError: an option cannot be honoured.
            OutOfMemoryError: a smaller batch may pass.
            RowsFailedError: some rows failed and the others need not be transcribed again.
            InferenceError: the batch failed otherwise.
        """
        ...


@runtime_checkable
class Refilling(Protocol):
    """An engine that decodes ``rows`` of the sounds it is given at a time (``None``: all of them).

    A row that ends makes room for the next sound, which is asked for cancelling before it begins.
    """

    rows: int | None


@runtime_checkable
class Independent(Protocol):
    """An engine that may compute each row by itself in every precision, not in float32 alone.

    Where ``independent`` no text depends on who shares its batch: activations are not scaled by the
    whole batch, nor rounded by its shape.
    """

    independent: bool


@runtime_checkable
class Joining(Protocol):
    """A `Watch` by which sounds join a batch while a `Refilling` engine decodes it, and leave it."""

    def arrivals(self) -> Sequence[Waveform]:
        """Returns sounds that are the batch's next rows; asked between decode steps.

        Where no timestamps are asked for all of the batch have to be short, or long.
        """
        ...

    def left(self, index: int, transcript: Transcript) -> None:
        """Receives the transcript of a row as soon as it has ended; ``transcribe`` returns it too."""
        ...


class RowsFailedError(InferenceError):
    """Some rows of a batch failed; ``results`` holds a transcript or an error for each, in order.

    For engines whose rows are independent of each other, where asking again costs (remote).
    """

    default_code = "rows_failed"

    def __init__(self, results: Sequence[Transcript | WhisperlabError]) -> None:
        failed = sum(isinstance(result, WhisperlabError) for result in results)
        super().__init__(f"{failed} of {len(results)} sounds failed")
        self.results = tuple(results)


@runtime_checkable
class EngineSettings(Protocol):
    """Cheap, frozen settings built from one yaml; building them loads nothing."""

    def load(self) -> Engine:
        """Returns the engine with its weights in memory; raises ``ModelError`` when it cannot."""
        ...

    def check(self, options: DecodeOptions) -> None:
        """Raises ``UnsupportedOptionError`` for an option this engine cannot honour; loads nothing."""
        ...
