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
from transformers import (
    StoppingCriteria,
    WhisperForConditionalGeneration,
    WhisperTimeStampLogitsProcessor,
)

from whisperlab.device import synchronise
from whisperlab.engine.decoding.outcome import DecodedSegment, Window
from whisperlab.engine.whisper_alignment import row_alone
from whisperlab.engine.whisper_steps import KeepLogprobs, Margins, TimestampRule, gap
from whisperlab.transcript import Try, compression_ratio

PAST_THE_END = 1 << 30
"""A seek offset in frames beyond any recording: the row's long form is over."""

FRAMES_A_POSITION = 2
"""Feature frames that one encoder position hears: its second convolution has stride 2."""


@dataclass(slots=True)
class Following:
    """What one ``generate`` call tells and asks, row by row (a row is one sound of the batch).

    ``on_segment(row, segment)`` hears each segment when its window has been decoded;
    ``is_cancelled(row)`` is asked at every decode step; ``decode(tokens)`` gives the text of ids
    without <|endoftext|>; ``tries_allowed`` is the number of temperatures, ``max_new_tokens`` the
    cap of a window's text.
    """

    on_segment: Callable[[int, DecodedSegment], None]
    is_cancelled: Callable[[int], bool]
    decode: Callable[[Sequence[int]], str]
    tries_allowed: int
    max_new_tokens: int | None = None
    margins: Margins | None = None
    """Where the choices of a batch of short sounds are watched for near ties."""
    cancelled: set[int] = field(default_factory=set)
    truncated: set[int] = field(default_factory=set)
    language_ids: list[int] | None = None
    encode_seconds: float = 0.0
    first_token_at: float | None = None
    """When the first token was chosen, on the clock of ``perf_counter``."""
    active: list[int] = field(default_factory=list)
    """The rows that the running try decodes, in the order of the decoder's batch."""
    window_rows: list[int] = field(default_factory=list)
    """The rows of the running window, in its first try's order."""
    windows: dict[int, Window] = field(default_factory=dict)
    """The last judged try of each row's running window."""
    no_speech: dict[int, float] = field(default_factory=dict)
    awaits_prefill: bool = False
    encoded: tuple[torch.Tensor, Any] | None = None
    """The features of the last encoder pass, shape ``(n_rows, n_mels, n_frames)``, and its output."""
    step_logprobs: list[torch.Tensor] = field(default_factory=list)
    """Log probabilities of the chosen tokens, one tensor ``(n_rows,)`` a step; not for beams."""
    _tries: dict[int, tuple[Try, ...]] = field(default_factory=dict)
    _unsure: list[int] = field(default_factory=list)

    def begin_window(self, rows: Sequence[int]) -> None:
        """A window of ``rows`` begins."""
        self.window_rows, self._tries = list(rows), {}
        self._begin_try(rows)

    def _begin_try(self, rows: Sequence[int]) -> None:
        self.active, self._unsure = list(rows), []
        self.awaits_prefill, self.step_logprobs = True, []

    def judged(
        self,
        position: int,
        tokens: Sequence[int],
        logprobs: Sequence[float],
        temperature: float,
        *,
        unsure: bool,
    ) -> bool:
        """Notes a try that ``generate`` has judged; returns whether the row is decoded again.

        The rows that are form the next try's batch. After the last temperature there is none,
        however unsure the row.
        """
        row = self.active[position]
        again = unsure and len(self._tries.get(row, ())) + 1 < self.tries_allowed
        average = sum(logprobs) / len(logprobs) if logprobs else 0.0
        ratio = compression_ratio(self.decode(tokens))
        trail = (*self._tries.get(row, ()), Try(temperature, average, ratio, not again))
        self._tries[row] = trail
        self.windows[row] = Window(
            temperature, average, self.no_speech.get(row), ratio, tuple(logprobs), trail
        )
        if again:
            self._unsure.append(row)
        if position == len(self.active) - 1 and self._unsure:
            self._begin_try(self._unsure)
        return again

    def poll(self, row: int) -> bool:
        """Returns whether ``row`` is to stop, and remembers it."""
        if row not in self.cancelled and self.is_cancelled(row):
            self.cancelled.add(row)
        return row in self.cancelled


class StopCancelled(StoppingCriteria):  # type: ignore[misc] # transformers is untyped
    """Ends the rows that are cancelled, at the next decode step; notes the chosen tokens' chances."""

    def __init__(self, following: Following, logprobs: KeepLogprobs) -> None:
        self._following = following
        self._logprobs = logprobs

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Returns a bool a decoder row, shape ``(n_rows * n_beams,)``."""
        following = self._following
        if following.first_token_at is None:
            kind: Any = input_ids.device.type
            synchronise(kind)
            following.first_token_at = perf_counter()
        if self._logprobs.last is not None:
            chosen = self._logprobs.last.gather(-1, input_ids[:, -1:]).squeeze(-1)
            following.step_logprobs.append(chosen)
            self._logprobs.last = None
        active = following.active
        stop = torch.tensor([following.poll(row) for row in active], device=input_ids.device)
        return stop.repeat_interleave(input_ids.shape[0] // len(active))


class WatchedWhisper(WhisperForConditionalGeneration):  # type: ignore[misc] # transformers is untyped
    """Whisper whose ``generate`` reports to the ``following`` set before the call."""

    following: Following

    def watch(self) -> None:
        """Lets the encoder's time count apart, no sound be encoded twice, no-speech be read.

        Call once after loading.
        """
        begun: list[float] = []
        kind = self.device.type

        def before(*_: Any) -> None:
            synchronise(kind)
            begun.append(perf_counter())

        def after(*_: Any) -> None:
            synchronise(kind)
            self.following.encode_seconds += perf_counter() - begun.pop()

        encoder = self.get_encoder()
        self._encode_once(encoder)
        encoder.register_forward_pre_hook(before)
        encoder.register_forward_hook(after)
        self.register_forward_hook(self._read_no_speech, with_kwargs=True)

    def _encode_once(self, encoder: Any) -> None:
        """Lets the encoder answer from memory when it is asked for the window it has just encoded.

        ``generate`` encodes a window once to detect the language, again to decode it, and again for
        every temperature of the fallback. Word times need the decoder's attention weights and
        nobody's else: the encoder keeps its fast attention, and gives none.
        """
        encode = encoder.forward
        fast = self.config._attn_implementation

        def forward(input_features: torch.Tensor, *positional: Any, **named: Any) -> Any:
            known = self.following.encoded
            if not positional and known is not None and torch.equal(known[0], input_features):
                return known[1]
            asked = self.config._attn_implementation
            self.config._attn_implementation = fast
            try:
                named["output_attentions"] = False
                encoded = encode(input_features, *positional, **named)
            finally:
                self.config._attn_implementation = asked
            if not positional:
                self.following.encoded = (input_features, encoded)
            return encoded

        encoder.forward = forward

    def _read_no_speech(self, _: Any, __: Any, inputs: dict[str, Any], outputs: Any) -> None:
        """Reads P(<|nospeech|>) after <|startoftranscript|> from the prefill's logits."""
        following, config = self.following, self.generation_config
        marker = getattr(config, "no_timestamps_token_id", None)
        if not following.awaits_prefill or marker is None:
            return
        following.awaits_prefill = False
        ids = inputs["decoder_input_ids"]  # shape (n_rows * n_beams, prompt)
        start = (ids == config.decoder_start_token_id).int().argmax(dim=-1)
        rows = torch.arange(len(ids), device=ids.device)
        chances = outputs.logits[rows, start].float().softmax(dim=-1)[:, marker - 1]
        beams = len(ids) // len(following.active)
        for row, chance in zip(following.active, chances[::beams].tolist(), strict=True):
            following.no_speech[row] = chance

    def generate_with_fallback(self, **arguments: Any) -> Any:
        """As transformers', after noting which rows the window decodes."""
        self.following.begin_window(arguments["batch_idx_map"])
        return super().generate_with_fallback(**arguments)

    def _retrieve_logit_processors(self, *positional: Any, **named: Any) -> list[Any]:
        """As transformers', with its rule of timestamps replaced by ours."""
        rules = super()._retrieve_logit_processors(*positional, **named)
        config = named["generation_config"]
        return [
            TimestampRule(config, rule.begin_index, self.following.margins)
            if isinstance(rule, WhisperTimeStampLogitsProcessor)
            else rule
            for rule in rules
        ]

    def _set_max_new_tokens_and_length(
        self, config: Any, decoder_input_ids: torch.Tensor, generation_config: Any
    ) -> None:
        """As transformers', which refuses a cap that a window's prompt leaves no room for."""
        if self.following.max_new_tokens is not None:
            room = config.max_target_positions - decoder_input_ids.shape[-1]
            generation_config.max_new_tokens = min(self.following.max_new_tokens, room)
        super()._set_max_new_tokens_and_length(config, decoder_input_ids, generation_config)

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
        tokens = seek_sequence.tolist()
        ended = bool(tokens) and tokens[-1] == generation_config.eos_token_id
        if row in following.cancelled:
            needs_fallback = should_skip = False
        again = following.judged(
            index,
            tokens[:-1] if ended else tokens,
            self._logprobs(tokens, seek_outputs, index),
            temperature,
            unsure=needs_fallback,
        )
        # a window that is skipped as silence leaves no text that could be cut
        if not (ended or again or should_skip or row in following.cancelled):
            following.truncated.add(row)
        return needs_fallback, should_skip

    def _logprobs(self, tokens: Sequence[int], seek_outputs: Any, index: int) -> list[float]:
        """Returns one log probability a token, <|endoftext|> included."""
        steps = self.following.step_logprobs
        if steps:
            return [float(step[index]) for step in steps[: len(tokens)]]
        scores = seek_outputs[index]["scores"]  # of the winning beam, one (vocabulary,) a step
        return [float(step[token]) for step, token in zip(scores, tokens, strict=False)]

    def _extract_token_timestamps(
        self,
        generate_outputs: Any,
        alignment_heads: Any,
        time_precision: float = 0.02,
        *,
        num_frames: torch.Tensor,
        num_input_ids: int,
    ) -> torch.Tensor:
        """As transformers', a row at a time; seconds, shape ``(n_rows, prompt + tokens)``.

        There a row that has ended is aligned together with its padding, so that its times depend on
        its neighbours, and a fallback of some rows fails: it looks for the lengths of all.
        """
        following = self.following
        sequences = generate_outputs.sequences
        aligned = []
        for position, row in enumerate(following.active):
            window_row = following.window_rows.index(row)
            times = super()._extract_token_timestamps(
                row_alone(
                    generate_outputs,
                    position,
                    n_rows=len(following.active),
                    prompt=num_input_ids,
                    end=self.generation_config.eos_token_id,
                ),
                alignment_heads,
                time_precision,
                # A window can begin behind the sound, in its padding: that is less than nothing.
                num_frames[window_row : window_row + 1].clamp(min=FRAMES_A_POSITION),
                num_input_ids,
            )[0]
            missing = sequences.shape[-1] - len(times)
            aligned.append(torch.cat([times, times[-1:].expand(missing)]))
        return torch.stack(aligned)

    def _retrieve_segment(self, **arguments: Any) -> tuple[Any, Any]:
        segments, offset = WhisperForConditionalGeneration._retrieve_segment(**arguments)
        row = arguments["prev_idx"]
        window = self.following.windows[row]
        prompt_length = arguments["decoder_input_ids"].shape[-1]
        for segment in segments:
            first, last = (position - prompt_length for position in segment["idxs"])
            ends = segment.get("token_timestamps")
            # A window with one segment gets the window's start from transformers; its own first
            # timestamp says where the speech begins.
            begun = (
                int(segment["tokens"][0]) - arguments["timestamp_begin"]
                if len(segment["tokens"])
                else -1
            )
            offset_seconds = float(arguments["time_offset"][row])
            self.following.on_segment(
                row,
                DecodedSegment(
                    start=offset_seconds + begun * arguments["time_precision"]
                    if begun >= 0
                    else float(segment["start"]),
                    end=float(segment["end"]),
                    tokens=tuple(segment["tokens"].tolist()),
                    token_logprobs=window.token_logprobs[first:last],
                    token_ends=None if ends is None else tuple(ends.tolist()),
                    window=window,
                ),
            )
        return segments, PAST_THE_END if self.following.poll(row) else offset

    def detect_language(self, *positional: Any, **named: Any) -> torch.Tensor:
        """As transformers'; notes the language token of each row, shape ``(n_rows,)``."""
        languages = list(self.generation_config.lang_to_id.values())

        def note(_: Any, __: Any, outputs: Any) -> None:
            scores = outputs.logits[:, -1, languages]
            if self.following.margins is not None and len(languages) > 1:
                self.following.margins.note(gap(scores), torch.ones_like(scores[:, 0]).bool())

        hook = self.register_forward_hook(note)
        try:
            ids: torch.Tensor = super().detect_language(*positional, **named)
        finally:
            hook.remove()
        self.following.language_ids = ids.tolist()
        return ids
