"""Any Whisper-family checkpoint through transformers, from the Hub or from a folder.

Owns loading, batching into ``generate`` and turning tokens into transcripts. ``generate`` is called
as its documentation says, so its tokens are the reference for every other engine of ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from time import perf_counter
from typing import Any

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from whisperlab.audio import SAMPLE_RATE_HZ, Waveform
from whisperlab.device import Device, Quantization, require, resolve
from whisperlab.engine.model import ModelSpec
from whisperlab.engine.model import resolve as resolve_model
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import Watch
from whisperlab.errors import InferenceError, ModelError, OutOfMemoryError, UnsupportedOptionError
from whisperlab.transcript import Finish, Segment, Transcript

WINDOW_SECONDS = 30.0
"""What one encoder pass hears (Radford et al. 2022, section 2.2); longer sound is long form."""

FLOAT_TYPES = {"none": "float32", "float16": "float16", "bfloat16": "bfloat16"}
"""torch's type for each quantisation that this engine does."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class HfSettings:
    """The ``hf`` engine: which checkpoint, where, in which precision.

    Raises:
        UnsupportedOptionError: the device or this engine cannot do the quantisation.
    """

    model: ModelSpec
    device: Device
    quantization: Quantization

    def __post_init__(self) -> None:
        if self.quantization.name not in FLOAT_TYPES:
            raise UnsupportedOptionError(
                f"engine=hf cannot do quantization={self.quantization.name}; "
                f"it can do: {', '.join(FLOAT_TYPES)}"
            )

    def check(self, options: DecodeOptions) -> None:
        """Raises ``UnsupportedOptionError`` for what this engine or this model cannot honour."""
        if options.timestamps == "word":
            raise UnsupportedOptionError(
                "decode.timestamps=word is not available in engine=hf yet; choose segment or none"
            )
        if not self.model.multilingual:
            if options.language not in (None, "en"):
                raise UnsupportedOptionError(
                    f"decode.language={options.language}: {self.model.name} knows English only; "
                    "choose a model without .en"
                )
            if options.task != "transcribe":
                raise UnsupportedOptionError(
                    f"decode.task={options.task}: {self.model.name} transcribes English only; "
                    "choose a model without .en"
                )

    def load(self) -> HfEngine:
        """Returns the engine with its weights on the device.

        Raises:
            ModelError: the checkpoint cannot be found, read or trusted.
            ConfigError: the device is not there.
        """
        import torch
        from transformers import WhisperProcessor

        from whisperlab.engine.watched_whisper import WatchedWhisper

        kind = resolve(self.device.kind)
        require(kind, self.quantization)
        folder = resolve_model(self.model)
        try:
            with _quiet_transformers():
                processor = WhisperProcessor.from_pretrained(folder, local_files_only=True)
                model = WatchedWhisper.from_pretrained(
                    folder,
                    local_files_only=True,
                    use_safetensors=True,
                    dtype=getattr(torch, FLOAT_TYPES[self.quantization.name]),
                )
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            raise ModelError(
                f"model {self.model.name} in {folder}: transformers cannot load it: "
                f"{' '.join(str(error).split())[:300]}"
            ) from error
        model.eval().to(kind)
        model.generation_config.max_length = model.config.max_target_positions
        model.watch_encoder()
        return HfEngine(model, processor, multilingual=self.model.multilingual)


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keeps transformers' bars and its lines about max_length off the terminal of a command."""
    from transformers.utils import logging as transformers_logging

    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if shown:
            transformers_logging.enable_progress_bar()


@plain_dataclass(slots=True)
class _Row:
    """What is known of one sound while its batch is decoded."""

    duration_seconds: float
    segments: list[Segment] = field(default_factory=list)
    text_tokens: list[int] = field(default_factory=list)


class HfEngine:
    """A loaded Whisper checkpoint; ``transcribe`` takes any length."""

    sample_rate = SAMPLE_RATE_HZ

    def __init__(self, model: Any, processor: Any, *, multilingual: bool) -> None:
        self._model = model
        self._features = processor.feature_extractor
        self._tokenizer = processor.tokenizer
        self._multilingual = multilingual
        self._first_special: int = model.generation_config.eos_token_id
        if isinstance(self._first_special, list):
            self._first_special = self._first_special[0]

    @property
    def precision(self) -> str:
        """Torch's name of the type that the weights are in, such as ``bfloat16``."""
        return str(self._model.dtype).removeprefix("torch.")

    def transcribe(
        self, batch: Sequence[Waveform], options: DecodeOptions, watch: Watch
    ) -> list[Transcript]:
        """Returns one transcript a waveform; short and long sounds go through apart.

        A sound of up to 30 s is padded as audio to one window; a longer one goes through Whisper's
        sequential long form. So a short sound's text does not depend on a long neighbour.

        Raises:
            OutOfMemoryError: the device's memory is full; a smaller batch may pass.
            InferenceError: the model failed on this batch.
        """
        transcripts: dict[int, Transcript] = {}
        for group in self._groups(batch):
            done = self._generate([batch[index] for index in group], group, options, watch)
            transcripts.update(zip(group, done, strict=True))
        return [transcripts[index] for index in range(len(batch))]

    def _groups(self, batch: Sequence[Waveform]) -> list[list[int]]:
        """Returns batch rows of short and of long sounds; empty groups are left out."""
        long = [
            index
            for index, waveform in enumerate(batch)
            if len(waveform.samples) > WINDOW_SECONDS * self.sample_rate
        ]
        short = [index for index in range(len(batch)) if index not in long]
        return [group for group in (short, long) if group]

    def _generate(
        self,
        waveforms: Sequence[Waveform],
        group: Sequence[int],
        options: DecodeOptions,
        watch: Watch,
    ) -> list[Transcript]:
        import torch

        from whisperlab.engine.watched_whisper import (
            DecodedSegment,
            Following,
            RefuseNaN,
            StopCancelled,
        )

        rows = [_Row(waveform.duration_seconds) for waveform in waveforms]

        def on_segment(row: int, decoded: DecodedSegment) -> None:
            segment = self._segment(decoded, rows[row].duration_seconds)
            rows[row].segments.append(segment)
            rows[row].text_tokens.extend(self._text_tokens(decoded.tokens))
            watch.segment(group[row], segment, final=True)

        following = Following(on_segment, lambda row: watch.cancelled(group[row]))
        started = perf_counter()
        inputs = self._inputs(waveforms)
        features_ready = perf_counter()
        self._model.following = following
        try:
            with torch.inference_mode(), _quiet_transformers():
                self._model.generate(
                    **inputs,
                    **self._generate_options(options, long_form="attention_mask" in inputs),
                    logits_processor=[RefuseNaN()],
                    stopping_criteria=[StopCancelled(following)],
                )
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise OutOfMemoryError(
                f"device memory is full at batch {len(waveforms)}; a smaller batch is tried"
            ) from error
        except (RuntimeError, ValueError, IndexError) as error:
            raise InferenceError(
                f"generate failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
            ) from error
        decoded_at = perf_counter()
        texts = [self._decode(row.text_tokens).strip() for row in rows]
        detokenised_at = perf_counter()
        share = 1 / len(rows)
        stages = {
            "features": (features_ready - started) * share,
            "encode": following.encode_seconds * share,
            "decode_tokens": (decoded_at - features_ready - following.encode_seconds) * share,
            "detokenise": (detokenised_at - decoded_at) * share,
        }
        return [
            Transcript(
                text=text,
                language=self._language(options, following.language_ids, index),
                segments=tuple(rows[index].segments),
                finish=_finish(following.cancelled, following.truncated, index),
                stages=stages,
            )
            for index, text in enumerate(texts)
        ]

    def _inputs(self, waveforms: Sequence[Waveform]) -> dict[str, Any]:
        """Returns log-mel features ``(n_rows, n_mels, n_frames)``, with a mask for long form."""
        long_form = any(
            len(waveform.samples) > WINDOW_SECONDS * self.sample_rate for waveform in waveforms
        )
        extracted = self._features(
            [waveform.samples for waveform in waveforms],
            sampling_rate=self.sample_rate,
            return_tensors="pt",
            truncation=False,
            padding="longest" if long_form else "max_length",
            return_attention_mask=long_form,
            device=self._model.device.type,
        )
        features = extracted["input_features"].to(self._model.device, self._model.dtype)
        inputs = {"input_features": features}
        if long_form:
            inputs["attention_mask"] = extracted["attention_mask"].to(self._model.device)
        return inputs

    def _generate_options(self, options: DecodeOptions, *, long_form: bool) -> dict[str, Any]:
        chosen: dict[str, Any] = {
            "num_beams": options.beam_size,
            "do_sample": False,
            # Long form seeks by timestamps, so it decodes them whatever was asked for.
            "return_timestamps": options.timestamps != "none" or long_form,
            "condition_on_prev_tokens": False,
        }
        if self._multilingual:
            chosen |= {"language": options.language, "task": options.task}
        if options.max_new_tokens is not None:
            chosen["max_new_tokens"] = options.max_new_tokens
        return chosen

    def _segment(self, decoded: Any, duration_seconds: float) -> Segment:
        start = min(decoded.start, duration_seconds)
        return Segment(
            start=start,
            end=max(start, min(decoded.end, duration_seconds)),
            text=self._decode(self._text_tokens(decoded.tokens)),
            tokens=decoded.tokens,
        )

    def _text_tokens(self, tokens: Sequence[int]) -> list[int]:
        """Returns the ids that are text: in every Whisper vocabulary <|endoftext|> is the first special."""
        return [token for token in tokens if token < self._first_special]

    def _decode(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode(tokens)) if tokens else ""

    def _language(
        self, options: DecodeOptions, language_ids: Sequence[int] | None, row: int
    ) -> str | None:
        """Returns the language as forced or as detected, an ISO 639-1 code."""
        if not self._multilingual:
            return "en"
        if options.language is not None or language_ids is None:
            return options.language
        return str(self._tokenizer.convert_ids_to_tokens(language_ids[row])).strip("<|>")


def _finish(cancelled: set[int], truncated: set[int], row: int) -> Finish:
    if row in cancelled:
        return Finish.CANCELLED
    return Finish.TRUNCATED if row in truncated else Finish.COMPLETE
