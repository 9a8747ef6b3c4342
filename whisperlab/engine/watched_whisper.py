"""transformers' Whisper with a window into its decoding: segments as they come, cancelling by row.

Owns the hooks into ``WhisperForConditionalGeneration.generate`` (transformers 5); the tokens it
gives are ``generate``'s own, which a test shows. It does not know audio, settings or transcripts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import torch
from transformers import LogitsProcessor, StoppingCriteria, WhisperForConditionalGeneration

from whisperlab.errors import InferenceError

PAST_THE_END = 1 << 30
"""A seek offset in frames beyond any recording: the row's long form is over."""


@dataclass(frozen=True, slots=True)
class DecodedSegment:
    """A segment as ``generate`` gave it: seconds from the row's first sample, and its token ids."""

    start: float
    end: float
    tokens: tuple[int, ...]


@dataclass(slots=True)
class Following:
    """What one ``generate`` call tells and asks, row by row (a row is one sound of the batch).

    ``on_segment(row, segment)`` hears each segment when its window has been decoded;
    ``is_cancelled(row)`` is asked at every decode step.
    """

    on_segment: Callable[[int, DecodedSegment], None]
    is_cancelled: Callable[[int], bool]
    cancelled: set[int] = field(default_factory=set)
    truncated: set[int] = field(default_factory=set)
    language_ids: list[int] | None = None
    encode_seconds: float = 0.0
    active: list[int] = field(default_factory=list)
    """The rows that the running window decodes, in the order of the decoder's batch."""
    _unsure: list[int] = field(default_factory=list)

    def begin_window(self, rows: Sequence[int]) -> None:
        """A window of ``rows`` begins."""
        self.active, self._unsure = list(rows), []

    def asked(self, position: int, needs_fallback: bool) -> None:
        """``generate`` has judged the row at ``position``; unsure rows form the next try's batch."""
        if needs_fallback:
            self._unsure.append(self.active[position])
        if position == len(self.active) - 1 and self._unsure:
            self.begin_window(self._unsure)

    def poll(self, row: int) -> bool:
        """Returns whether ``row`` is to stop, and remembers it."""
        if row not in self.cancelled and self.is_cancelled(row):
            self.cancelled.add(row)
        return row in self.cancelled


class StopCancelled(StoppingCriteria):  # type: ignore[misc] # transformers is untyped
    """Ends the rows that are cancelled, at the next decode step."""

    def __init__(self, following: Following) -> None:
        self._following = following

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Returns a bool a decoder row, shape ``(n_rows * n_beams,)``."""
        active = self._following.active
        stop = torch.tensor([self._following.poll(row) for row in active], device=input_ids.device)
        return stop.repeat_interleave(input_ids.shape[0] // len(active))


class RefuseNaN(LogitsProcessor):  # type: ignore[misc] # transformers is untyped
    """Raises when a window's first logits are not numbers: damaged weights or an overflow."""

    def __init__(self) -> None:
        self._begin_index: int | None = None

    def set_begin_index(self, begin_index: int) -> None:
        """``generate`` says at which position a window's first new token stands."""
        self._begin_index = begin_index

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Returns ``scores`` unchanged; shape ``(n_rows, vocabulary)``."""
        if input_ids.shape[-1] == self._begin_index and bool(torch.isnan(scores).any()):
            raise InferenceError(
                "the model produced non-finite logits; its weights are damaged, or the precision "
                "overflows: try quantization=none",
                code="non_finite_logits",
            )
        return scores


class WatchedWhisper(WhisperForConditionalGeneration):  # type: ignore[misc] # transformers is untyped
    """Whisper whose ``generate`` reports to the ``following`` set before the call."""

    following: Following

    def watch_encoder(self) -> None:
        """Makes the encoder's time count apart from decoding; call once after loading."""
        begun: list[float] = []

        def before(*_: Any) -> None:
            self._synchronise()
            begun.append(perf_counter())

        def after(*_: Any) -> None:
            self._synchronise()
            self.following.encode_seconds += perf_counter() - begun.pop()

        encoder = self.get_encoder()
        encoder.register_forward_pre_hook(before)
        encoder.register_forward_hook(after)

    def _synchronise(self) -> None:
        from whisperlab.device import synchronise

        synchronise(self.device.type)

    def generate_with_fallback(self, **arguments: Any) -> Any:
        """As transformers', after noting which rows the window decodes."""
        self.following.begin_window(arguments["batch_idx_map"])
        return super().generate_with_fallback(**arguments)

    def _need_fallback(
        self,
        seek_sequence: torch.Tensor,
        seek_outputs: Any,
        index: int,
        logits_processor: Any,
        generation_config: Any,
        vocab_size: int,
        temperature: float,
    ) -> tuple[bool, bool]:
        needs_fallback, should_skip = super()._need_fallback(
            seek_sequence,
            seek_outputs,
            index,
            logits_processor,
            generation_config,
            vocab_size,
            temperature,
        )
        following = self.following
        row = following.active[index]
        if row in following.cancelled:
            needs_fallback = should_skip = False
        elif int(seek_sequence[-1]) != generation_config.eos_token_id and not needs_fallback:
            following.truncated.add(row)
        following.asked(index, needs_fallback)
        return needs_fallback, should_skip

    def _retrieve_segment(self, **arguments: Any) -> tuple[Any, Any]:
        segments, offset = WhisperForConditionalGeneration._retrieve_segment(**arguments)
        row = arguments["prev_idx"]
        for segment in segments:
            tokens = tuple(int(token) for token in segment["tokens"])
            self.following.on_segment(
                row, DecodedSegment(float(segment["start"]), float(segment["end"]), tokens)
            )
        return segments, PAST_THE_END if self.following.poll(row) else offset

    def detect_language(self, *positional: Any, **named: Any) -> torch.Tensor:
        """As transformers'; notes the language token of each row, shape ``(n_rows,)``."""
        ids: torch.Tensor = super().detect_language(*positional, **named)
        self.following.language_ids = [int(token) for token in ids]
        return ids
