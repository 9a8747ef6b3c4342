"""Any Whisper-family checkpoint on a processor, through graphs that we write for OpenVINO.

Owns the settings, and turning decoded tokens into transcripts. In float32 its tokens are those of
transformers' ``generate``; int8 and bfloat16 are faster and may differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.audio import SAMPLE_RATE_HZ, Waveform
from whisperlab.device import Device, Quantization, QuantizationName
from whisperlab.engine.decoding.fallback import Thresholds
from whisperlab.engine.decoding.network import Network
from whisperlab.engine.decoding.outcome import DecodedSegment
from whisperlab.engine.decoding.segments import FRAMES_A_POSITION
from whisperlab.engine.decoding.sequential import Listener, Plan, Row, Sound, transcribe
from whisperlab.engine.decoding.vocabulary import Vocabulary, read_vocabulary
from whisperlab.engine.log_mel import HOP_SAMPLES, WINDOW_SAMPLES, LogMel
from whisperlab.engine.model import ModelSpec, require_known_language
from whisperlab.engine.model import resolve as resolve_model
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import Watch
from whisperlab.engine.whisper_text import WhisperText
from whisperlab.engine.whisper_words import bytes_of, segment_of
from whisperlab.errors import MissingExtraError, UnsupportedOptionError
from whisperlab.transcript import Finish, Segment, Transcript, compression_ratio

if TYPE_CHECKING:
    from whisperlab.engine.openvino_graph import Storage

STORAGE: Mapping[QuantizationName, Storage] = {
    "none": "float32",
    "bfloat16": "float32",
    "int8": "int8",
}
"""How linear weights are held in each quantisation that this engine does."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class OpenvinoSettings:
    """The ``openvino`` engine: which checkpoint, in which precision, on how many threads.

    ``threads`` ``None`` leaves the number to OpenVINO (one a core).

    Raises:
        UnsupportedOptionError: this engine cannot do the quantisation, or is asked for a GPU.
    """

    model: ModelSpec
    device: Device
    quantization: Quantization
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None

    def __post_init__(self) -> None:
        if self.quantization.name not in STORAGE:
            raise UnsupportedOptionError(
                f"engine=openvino cannot do quantization={self.quantization.name}; "
                f"it can do: {', '.join(STORAGE)}"
            )
        if self.device.kind not in ("cpu", "auto"):
            raise UnsupportedOptionError(
                f"engine=openvino runs on the processor, got device.kind={self.device.kind}; "
                "add device=cpu, or choose engine=hf"
            )

    def check(self, options: DecodeOptions) -> None:
        """Raises ``UnsupportedOptionError`` for what this model cannot honour."""
        require_known_language(self.model, options)

    def load(self) -> OpenvinoEngine:
        """Returns the engine with its graphs compiled.

        Raises:
            MissingExtraError: OpenVINO is not installed.
            ModelError: the checkpoint cannot be found, read or trusted.
        """
        try:
            from whisperlab.engine.openvino_network import OpenvinoNetwork
        except ImportError as error:
            raise MissingExtraError("openvino", "openvino", "engine=openvino") from error
        from whisperlab.engine.openvino_graph import read_shape
        from whisperlab.engine.whisper_weights import Weights

        folder = resolve_model(self.model)
        vocabulary = read_vocabulary(folder)
        shape = read_shape(folder)
        network = OpenvinoNetwork(
            Weights(folder),
            shape,
            STORAGE[self.quantization.name],
            half=self.quantization.name != "none",
            threads=self.threads,
            n_frames=shape.source_positions * FRAMES_A_POSITION,
            heads=vocabulary.alignment_heads,
        )
        return OpenvinoEngine(
            network,
            vocabulary,
            WhisperText(folder, vocabulary),
            Sizes(
                shape.n_mels,
                shape.vocabulary,
                shape.source_positions * FRAMES_A_POSITION,
                shape.filter_width,
            ),
            multilingual=self.model.multilingual,
        )


@plain_dataclass(frozen=True, slots=True)
class Sizes:
    """What decoding needs to know of the network's sizes."""

    n_mels: int
    vocabulary: int
    window_frames: int
    filter_width: int


@plain_dataclass(slots=True)
class _Said:
    """What has been heard of one sound while its batch is decoded."""

    segments: list[Segment] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)


class OpenvinoEngine:
    """A loaded Whisper checkpoint; ``transcribe`` takes any length."""

    sample_rate = SAMPLE_RATE_HZ

    def __init__(
        self,
        network: Network,
        vocabulary: Vocabulary,
        text: WhisperText,
        sizes: Sizes,
        *,
        multilingual: bool,
    ) -> None:
        self._network = network
        self._vocabulary = vocabulary
        self._text = text
        self._sizes = sizes
        self._multilingual = multilingual
        self._features = LogMel(sizes.n_mels)
        self._codes = {token: code for code, token in (vocabulary.languages or {}).items()}

    def transcribe(
        self, batch: Sequence[Waveform], options: DecodeOptions, watch: Watch
    ) -> list[Transcript]:
        """Returns one transcript a waveform; none depends on its neighbours.

        A sound of up to 30 s is padded as audio to one window; a longer one goes through Whisper's
        sequential long form, which needs timestamps whatever was asked for.

        Raises:
            UnsupportedOptionError: the checkpoint cannot honour an option.
            InferenceError: the model failed on this batch.
        """
        transcripts: dict[int, Transcript] = {}
        for group in _groups(batch):
            done = self._transcribe([batch[index] for index in group], group, options, watch)
            transcripts.update(zip(group, done, strict=True))
        return [transcripts[index] for index in range(len(batch))]

    def spell(self, segment: Segment) -> list[tuple[bytes, float]]:
        """Returns bytes and log probability of each text token of a segment, in order."""
        known = zip(segment.tokens, segment.token_logprobs, strict=False)
        text = [(token, logprob) for token, logprob in known if token < self._vocabulary.end]
        spelled = bytes_of(self._text.tokenizer, [token for token, _ in text])
        return [(content, logprob) for content, (_, logprob) in zip(spelled, text, strict=True)]

    def _transcribe(
        self,
        waveforms: Sequence[Waveform],
        group: Sequence[int],
        options: DecodeOptions,
        watch: Watch,
    ) -> list[Transcript]:
        said = [_Said() for _ in waveforms]
        plan = self._plan(options, long_form=_is_long(waveforms[0]))
        names = _language_names() if plan.words else {}
        started = perf_counter()
        sounds = [self._sound(waveform) for waveform in waveforms]
        features_ready = perf_counter()

        def on_segment(row: Row, decoded: DecodedSegment) -> None:
            segment = segment_of(
                decoded,
                duration_seconds=waveforms[row.number].duration_seconds,
                text=self._text.decode(decoded.tokens),
                speller=lambda: self._text.tokenizer,
                language=names.get(self._language(options, row) or "en", "english"),
                first_special=self._vocabulary.end,
            )
            said[row.number].segments.append(segment)
            said[row.number].tokens.extend(decoded.tokens)
            watch.segment(group[row.number], segment, final=True)

        listener = Listener(
            on_segment,
            lambda row: watch.cancelled(group[row.number]),
            lambda tokens: compression_ratio(self._text.decode(tokens)),
        )
        recording = transcribe(self._network, sounds, plan, listener)
        decoded_at = perf_counter()
        texts = [self._text.decode(one.tokens).strip() for one in said]
        share = 1 / len(waveforms)
        stages = {
            "features": (features_ready - started) * share,
            "encode": recording.encode_seconds * share,
            "decode_tokens": (decoded_at - features_ready - recording.encode_seconds) * share,
            "detokenise": (perf_counter() - decoded_at) * share,
        }
        return [
            Transcript(
                text=text,
                language=self._language(options, row),
                segments=tuple(said[row.number].segments),
                finish=_finish(row),
                stages=stages,
            )
            for row, text in zip(recording.rows, texts, strict=True)
        ]

    def _sound(self, waveform: Waveform) -> Sound:
        features = self._features(waveform.samples)
        own = -(-len(waveform.samples) // HOP_SAMPLES)
        return Sound(features, min(own, features.shape[1]))

    def _plan(self, options: DecodeOptions, *, long_form: bool) -> Plan:
        vocabulary = self._vocabulary
        words = options.timestamps == "word"
        if words and not vocabulary.alignment_heads:
            raise UnsupportedOptionError(
                "decode.timestamps=word: this checkpoint's generation_config.json names no "
                "alignment_heads; add them, or choose segment"
            )
        timestamps = options.timestamps != "none" or long_form
        if timestamps and vocabulary.no_timestamps is None:
            raise UnsupportedOptionError(
                "decode.timestamps: this checkpoint's generation_config.json names no "
                "no_timestamps_token_id, which timestamps and sounds beyond 30 s need; add it"
            )
        language = None
        if self._multilingual and options.language is not None:
            language = vocabulary.language_id(options.language)
        return Plan(
            vocabulary=vocabulary,
            vocabulary_size=self._sizes.vocabulary,
            window_frames=self._sizes.window_frames,
            timestamps=timestamps,
            words=words,
            language=language,
            task=options.task if self._multilingual else None,
            prompt=None if options.prompt is None else self._text.prompt_ids(options.prompt),
            condition=options.condition_on_previous_text,
            n_beams=options.beam_size,
            temperatures=options.temperatures,
            thresholds=Thresholds(
                options.compression_ratio_threshold,
                options.logprob_threshold,
                options.no_speech_threshold,
            ),
            max_new_tokens=options.max_new_tokens,
            seed=options.seed,
            filter_width=self._sizes.filter_width,
        )

    def _language(self, options: DecodeOptions, row: Row) -> str | None:
        """Returns the language as forced or as detected, an ISO 639-1 code."""
        if not self._multilingual:
            return "en"
        return options.language or self._codes.get(-1 if row.language is None else row.language)


def _language_names() -> dict[str, str]:
    """Returns the English name of each language code, by which words are cut."""
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    names: dict[str, str] = LANGUAGES
    return names


def _is_long(waveform: Waveform) -> bool:
    return len(waveform.samples) > WINDOW_SAMPLES


def _groups(batch: Sequence[Waveform]) -> list[list[int]]:
    """Returns batch rows of short and of long sounds; empty groups are left out."""
    long = [index for index, waveform in enumerate(batch) if _is_long(waveform)]
    short = [index for index in range(len(batch)) if index not in long]
    return [group for group in (short, long) if group]


def _finish(row: Row) -> Finish:
    if row.cancelled:
        return Finish.CANCELLED
    return Finish.TRUNCATED if row.truncated else Finish.COMPLETE
