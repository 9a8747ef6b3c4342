"""Any Whisper-family checkpoint through transformers, from the Hub or from a folder.

Owns batching into ``generate`` and turning tokens into transcripts. ``generate`` is called as its
documentation says, so its tokens are the reference for every other engine of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from time import perf_counter
from typing import Any

import numpy as np
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from whisperlab.audio import SAMPLE_RATE_HZ, Waveform
from whisperlab.device import Device, Quantization, require, resolve
from whisperlab.engine.decoding.outcome import DecodedSegment
from whisperlab.engine.decoding.vocabulary import Vocabulary, read_vocabulary
from whisperlab.engine.log_mel import FRAME_SAMPLES, HOP_SAMPLES, WINDOW_SAMPLES, LogMel
from whisperlab.engine.model import ModelSpec, require_known_language
from whisperlab.engine.model import resolve as resolve_model
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import Watch
from whisperlab.engine.whisper_loading import check_precision, load_model, quiet_transformers
from whisperlab.engine.whisper_words import bytes_of, segment_of
from whisperlab.errors import InferenceError, ModelError, OutOfMemoryError, UnsupportedOptionError
from whisperlab.transcript import Finish, Segment, Transcript

WINDOW_SECONDS = 30.0
"""What one encoder pass hears (Radford et al. 2022, section 2.2); longer sound is long form."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class HfSettings:
    """The ``hf`` engine: which checkpoint, where, in which precision.

    Raises:
        UnsupportedOptionError: this engine cannot do the quantisation.
    """

    model: ModelSpec
    device: Device
    quantization: Quantization

    def __post_init__(self) -> None:
        check_precision(self.quantization.name)

    def check(self, options: DecodeOptions) -> None:
        """Raises ``UnsupportedOptionError`` for what this engine or this model cannot honour."""
        require_known_language(self.model, options)

    def load(self) -> HfEngine:
        """Returns the engine with its weights on the device.

        Raises:
            ModelError: the checkpoint cannot be found, read or trusted.
            ConfigError: the device is not there, or cannot do the quantisation.
        """
        from transformers import WhisperProcessor

        from whisperlab.engine.watched_whisper import WatchedWhisper

        kind = resolve(self.device.kind)
        require(kind, self.quantization)
        folder = resolve_model(self.model)
        try:
            processor = WhisperProcessor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            raise ModelError(
                f"model {self.model.name} in {folder}: transformers cannot load its tokenizer or "
                f"features: {' '.join(str(error).split())[:300]}"
            ) from error
        model = load_model(WatchedWhisper, folder, self.quantization, kind)
        model.generation_config.max_length = model.config.max_target_positions
        model.watch()
        log_mel = self._log_mel(processor.feature_extractor)
        return HfEngine(
            model,
            processor.tokenizer,
            read_vocabulary(folder),
            log_mel,
            multilingual=self.model.multilingual,
        )

    def _log_mel(self, extractor: Any) -> LogMel:
        """Returns our features, if they are what the checkpoint was trained on."""
        asked = (extractor.n_fft, extractor.hop_length, extractor.n_samples, extractor.dither)
        known = (FRAME_SAMPLES, HOP_SAMPLES, WINDOW_SAMPLES, 0.0)
        if asked != known:
            raise ModelError(
                f"model {self.model.name}: expected Whisper's frame, hop, window and dither {known} "
                f"in preprocessor_config.json, got {asked}; choose a Whisper checkpoint"
            )
        return LogMel(extractor.feature_size)


@plain_dataclass(slots=True)
class _Row:
    """What is known of one sound while its batch is decoded."""

    duration_seconds: float
    segments: list[Segment] = field(default_factory=list)
    text_tokens: list[int] = field(default_factory=list)


class HfEngine:
    """A loaded Whisper checkpoint; ``transcribe`` takes any length."""

    sample_rate = SAMPLE_RATE_HZ

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        vocabulary: Vocabulary,
        log_mel: LogMel,
        *,
        multilingual: bool,
    ) -> None:
        from transformers.models.whisper.tokenization_whisper import LANGUAGES

        self._language_names: dict[str, str] = LANGUAGES
        self._model = model
        self._log_mel = log_mel
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._multilingual = multilingual
        ends = model.generation_config.eos_token_id
        self._ends: list[int] = ends if isinstance(ends, list) else [ends]
        self._first_special = self._ends[0]

    @property
    def precision(self) -> str:
        """Torch's name of the type that the weights are in, such as ``bfloat16``."""
        return str(self._model.dtype).removeprefix("torch.")

    def transcribe(
        self, batch: Sequence[Waveform], options: DecodeOptions, watch: Watch
    ) -> list[Transcript]:
        """Returns one transcript a waveform; short and long sounds go through apart.

        A sound of up to 30 s is padded as audio to one window; a longer one goes through Whisper's
        sequential long form. So a short sound's text does not depend on a long neighbour. Nor does
        it on a short one, greedily and in float32: a row with a near tie, which another batch's
        rounding might decide otherwise, is decoded again alone.

        Raises:
            OutOfMemoryError: the device's memory is full; a smaller batch may pass.
            InferenceError: the model failed on this batch.
        """
        transcripts: dict[int, Transcript] = {}
        for group in self._groups(batch):
            done = self._generate([batch[index] for index in group], group, options, watch)
            for index, transcript in zip(group, done, strict=True):
                transcripts[index] = transcript or self._alone(batch[index], index, options, watch)
        return [transcripts[index] for index in range(len(batch))]

    def _alone(
        self, waveform: Waveform, index: int, options: DecodeOptions, watch: Watch
    ) -> Transcript:
        [transcript] = self._generate([waveform], [index], options, watch)
        if transcript is None:
            raise InferenceError("a sound that was decoded alone was to be decoded alone again")
        return transcript

    def spell(self, segment: Segment) -> list[tuple[bytes, float]]:
        """Returns bytes and log probability of each text token of a segment, in order."""
        known = zip(segment.tokens, segment.token_logprobs, strict=False)
        text = [(token, logprob) for token, logprob in known if token < self._first_special]
        spelled = bytes_of(self._tokenizer, [token for token, _ in text])
        return [(content, logprob) for content, (_, logprob) in zip(spelled, text, strict=True)]

    def _groups(self, batch: Sequence[Waveform]) -> list[list[int]]:
        """Returns batch rows of short and of long sounds; empty groups are left out."""
        long = [index for index, waveform in enumerate(batch) if _is_long(waveform)]
        short = [index for index in range(len(batch)) if index not in long]
        return [group for group in (short, long) if group]

    def _generate(
        self,
        waveforms: Sequence[Waveform],
        group: Sequence[int],
        options: DecodeOptions,
        watch: Watch,
    ) -> list[Transcript | None]:
        """Returns the transcripts; ``None`` for a row that has to be decoded alone to be sure of it.

        Nothing has been told to ``watch`` of such a row.
        """
        import torch

        from whisperlab.engine.watched_whisper import Following, StopCancelled
        from whisperlab.engine.whisper_steps import KeepLogprobs, Margins

        rows = [_Row(waveform.duration_seconds) for waveform in waveforms]

        # a fallback decodes fewer rows again, which the margins cannot tell apart
        greedy = options.beam_size == 1 and tuple(options.temperatures) == (0.0,)
        shared = len(waveforms) > 1 and greedy and not _is_long(waveforms[0])
        margins = Margins() if shared else None

        def on_segment(row: int, decoded: DecodedSegment) -> None:
            if row in unsure():
                return
            language = self._language(options, following.language_ids, row)
            segment = segment_of(
                decoded,
                duration_seconds=rows[row].duration_seconds,
                text=self._decode(self._text_tokens(decoded.tokens)),
                speller=lambda: self._tokenizer,
                language=self._language_names.get(language or "en", "english"),
                first_special=self._first_special,
            )
            rows[row].segments.append(segment)
            rows[row].text_tokens.extend(self._text_tokens(decoded.tokens))
            watch.segment(group[row], segment, final=True)

        following = Following(
            on_segment,
            lambda row: watch.cancelled(group[row]),
            lambda tokens: self._decode(self._text_tokens(tokens)),
            tries_allowed=len(options.temperatures),
            max_new_tokens=options.max_new_tokens,
            margins=margins,
        )

        def unsure() -> set[int]:
            ties = [] if margins is None else margins.near_ties()
            return set(ties) - following.cancelled

        logprobs = KeepLogprobs(keep=options.beam_size == 1, ends=self._ends, margins=margins)
        chosen = self._generate_options(options, long_form=_is_long(waveforms[0]))
        started = perf_counter()
        inputs = self._inputs(waveforms, words=options.timestamps == "word")
        features_ready = perf_counter()
        self._model.following = following
        attention = self._model.config._attn_implementation
        try:
            with torch.inference_mode(), quiet_transformers(), torch.random.fork_rng():
                torch.manual_seed(options.seed)
                self._model.generate(
                    **inputs,
                    **chosen,
                    logits_processor=[logprobs],
                    stopping_criteria=[StopCancelled(following, logprobs)],
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
        finally:
            # Word times switch the model to eager attention and leave it there.
            self._model.config._attn_implementation = attention
        decoded_at = perf_counter()
        texts = [self._decode(row.text_tokens).strip() for row in rows]
        detokenised_at = perf_counter()
        share, first = 1 / len(rows), following.first_token_at
        stages = {
            "features": (features_ready - started) * share,
            "encode": following.encode_seconds * share,
            "decode_tokens": (decoded_at - features_ready - following.encode_seconds) * share,
            "detokenise": (detokenised_at - decoded_at) * share,
        }
        again = unsure()
        return [
            None
            if index in again
            else Transcript(
                text=text,
                language=self._language(options, following.language_ids, index),
                segments=tuple(rows[index].segments),
                finish=_finish(following.cancelled, following.truncated, index),
                stages=stages,
                first_token_seconds=None if first is None else first - started,
            )
            for index, text in enumerate(texts)
        ]

    def _inputs(self, waveforms: Sequence[Waveform], *, words: bool) -> dict[str, Any]:
        """Returns log-mel features ``(n_rows, n_mels, n_frames)``, with a mask where one is needed.

        Long form needs it to know where each row ends, word times to look at the sound alone.
        """
        import torch

        long_form = _is_long(waveforms[0])
        lengths = [len(waveform.samples) for waveform in waveforms]
        features = np.stack(
            [
                self._log_mel(waveform.samples, max(WINDOW_SAMPLES, *lengths))
                for waveform in waveforms
            ]
        )
        inputs = {
            "input_features": torch.from_numpy(features).to(self._model.device, self._model.dtype)
        }
        if long_form or words:
            # A long sound's last part of a frame is in no features of its own: beside a longer one
            # it would be heard.
            own = [
                min(-(-length // HOP_SAMPLES), max(WINDOW_SAMPLES, length) // HOP_SAMPLES)
                for length in lengths
            ]
            heard = np.arange(features.shape[-1]) < np.array(own)[:, None]  # (n_rows, n_frames)
            inputs["attention_mask"] = torch.from_numpy(heard).long().to(self._model.device)
        return inputs

    def _generate_options(self, options: DecodeOptions, *, long_form: bool) -> dict[str, Any]:
        chosen: dict[str, Any] = {
            # Long form seeks by timestamps, so it decodes them whatever was asked for.
            "return_timestamps": options.timestamps != "none" or long_form,
            "num_beams": options.beam_size,
            "temperature": options.temperatures,
            "condition_on_prev_tokens": options.condition_on_previous_text,
            "compression_ratio_threshold": options.compression_ratio_threshold,
            "logprob_threshold": options.logprob_threshold,
            "no_speech_threshold": options.no_speech_threshold,
        }
        if options.timestamps == "word":
            if not getattr(self._model.generation_config, "alignment_heads", None):
                raise UnsupportedOptionError(
                    "decode.timestamps=word: this checkpoint's generation_config.json names no "
                    "alignment_heads; add them, or choose segment"
                )
            chosen["return_token_timestamps"] = True
        if options.beam_size > 1:
            # The winning beam's scores are where its log probabilities are.
            chosen |= {"return_dict_in_generate": True, "output_scores": True}
        if self._multilingual:
            if options.language is not None:
                self._vocabulary.language_id(options.language)
            chosen |= {"language": options.language, "task": options.task}
        if options.max_new_tokens is not None:
            chosen["max_new_tokens"] = options.max_new_tokens
        if options.prompt is not None:
            chosen["prompt_ids"] = self._prompt_ids(options.prompt)
        return chosen

    def _prompt_ids(self, prompt: str) -> Any:
        try:
            ids = self._tokenizer.get_prompt_ids(prompt, return_tensors="pt")
        except ValueError as error:
            raise UnsupportedOptionError(f"decode.prompt: {error}; leave it out") from error
        limit = self._vocabulary.longest_context
        if len(ids) > limit + 1:  # <|startofprev|> is not the prompt's
            raise UnsupportedOptionError(
                f"decode.prompt: expected at most {limit} tokens, got {len(ids) - 1}; shorten it"
            )
        return ids.to(self._model.device)

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


def _is_long(waveform: Waveform) -> bool:
    return len(waveform.samples) > WINDOW_SECONDS * waveform.sample_rate


def _finish(cancelled: set[int], truncated: set[int], row: int) -> Finish:
    if row in cancelled:
        return Finish.CANCELLED
    return Finish.TRUNCATED if row in truncated else Finish.COMPLETE
