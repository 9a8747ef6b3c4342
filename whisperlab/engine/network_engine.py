"""A Whisper engine over any network that `engine/decoding` can drive: sounds in, transcripts out.

Owns turning decoded tokens into transcripts, and what a network needs to know of its checkpoint. It
does not know how logits come about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from whisperlab.audio import SAMPLE_RATE_HZ, Waveform
from whisperlab.device import GivingBack
from whisperlab.engine.decoding.fallback import Thresholds
from whisperlab.engine.decoding.flow import transcribe
from whisperlab.engine.decoding.network import Network, WritingNetwork
from whisperlab.engine.decoding.outcome import DecodedSegment
from whisperlab.engine.decoding.sequential import Listener, Plan, Row, Sound
from whisperlab.engine.decoding.vocabulary import Vocabulary
from whisperlab.engine.log_mel import HOP_SAMPLES, WINDOW_SAMPLES, LogMel
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import Joining, Watch
from whisperlab.engine.whisper_shape import Shape
from whisperlab.engine.whisper_text import WhisperText
from whisperlab.engine.whisper_words import bytes_of, segment_of
from whisperlab.errors import UnsupportedOptionError
from whisperlab.transcript import Finish, Segment, Transcript, compression_ratio

if TYPE_CHECKING:
    from whisperlab.engine.torch_features import TorchLogMel

Rows = Annotated[int, Field(ge=1, le=4096)] | None
"""How many sounds are decoded at a time; ``None``: all that are given together."""


@dataclass(slots=True)
class _Said:
    """What has been heard of one sound while its batch is decoded."""

    segments: list[Segment] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)


class NetworkEngine:
    """A loaded Whisper checkpoint; ``transcribe`` takes any length.

    ``rows`` sounds are decoded at a time, ``None`` for all of a batch: as soon as one ends another
    takes its place.
    ``features`` computes log-mel features where the network hears them; ``None``: `LogMel`.
    ``independent``: see `Independent`.
    With ``trim`` windows are no longer than their sound. A window that then loops is decoded again
    at full width: such a transcript has the seconds of that among its stages, as ``redo``.
    """

    sample_rate = SAMPLE_RATE_HZ

    def __init__(
        self,
        network: Network | WritingNetwork,
        folder: Path,
        shape: Shape,
        vocabulary: Vocabulary,
        *,
        multilingual: bool,
        rows: Rows = None,
        trim: bool = False,
        independent: bool = False,
        features: LogMel | TorchLogMel | None = None,
    ) -> None:
        self.rows = rows
        self.independent = independent
        self._network = network
        self._vocabulary = vocabulary
        self._text = WhisperText(folder, vocabulary)
        self._shape = shape
        self._multilingual = multilingual
        self._trim = trim
        self._features = features or LogMel(shape.n_mels)
        self._give_back = GivingBack()  # one call can be hours of sound, or a server's evening
        self._codes = {token: code for code, token in (vocabulary.languages or {}).items()}

    def transcribe(
        self, batch: Sequence[Waveform], options: DecodeOptions, watch: Watch
    ) -> list[Transcript]:
        """Returns one transcript a waveform; none depends on its neighbours.

        A sound of up to 30 s is padded as audio to one window; a longer one goes through Whisper's
        sequential long form, which needs timestamps whatever was asked for: beside those without.

        Raises:
            UnsupportedOptionError: the checkpoint cannot honour an option.
            InferenceError: the model failed on this batch.
        """
        plan = self._plan(options)
        said = [_Said() for _ in batch]
        durations = [waveform.duration_seconds for waveform in batch]
        transcripts: dict[int, Transcript] = {}
        names = _language_names() if plan.words else {}
        sounds = [self._sound(waveform, options) for waveform in batch]

        def on_segment(row: Row, decoded: DecodedSegment) -> None:
            segment = segment_of(
                decoded,
                duration_seconds=durations[row.number],
                text=self._text.decode(decoded.tokens),
                speller=lambda: self._text.tokenizer,
                language=names.get(self._language(options, row) or "en", "english"),
                first_special=self._vocabulary.end,
            )
            said[row.number].segments.append(segment)
            said[row.number].tokens.extend(decoded.tokens)
            watch.segment(row.number, segment, final=True)
            self._give_back()

        def on_end(row: Row) -> None:
            transcripts[row.number] = self._transcript(row, said[row.number], options)
            if isinstance(watch, Joining):
                watch.left(row.number, transcripts[row.number])

        def arrivals() -> list[Sound]:
            came = watch.arrivals() if isinstance(watch, Joining) else ()
            for waveform in came:
                # Its samples are kept by who needs them.
                durations.append(waveform.duration_seconds)
                said.append(_Said())
            return [self._sound(waveform, options) for waveform in came]

        listener = Listener(
            on_segment,
            on_end,
            lambda row: watch.cancelled(row.number),
            lambda tokens: compression_ratio(self._text.decode(tokens)),
        )
        transcribe(self._network, sounds, plan, listener, self.rows, arrivals)
        return [transcripts[index] for index in range(len(transcripts))]

    def spell(self, segment: Segment) -> list[tuple[bytes, float]]:
        """Returns bytes and log probability of each text token of a segment, in order."""
        known = zip(segment.tokens, segment.token_logprobs, strict=False)
        text = [(token, logprob) for token, logprob in known if token < self._vocabulary.end]
        spelled = bytes_of(self._text.tokenizer, [token for token, _ in text])
        return [(content, logprob) for content, (_, logprob) in zip(spelled, text, strict=True)]

    def _transcript(self, row: Row, said: _Said, options: DecodeOptions) -> Transcript:
        started = perf_counter()
        text = self._text.decode(said.tokens).strip()
        stages = {
            "features": row.stages.features,
            "encode": row.stages.encode,
            "decode_tokens": row.stages.decode,
            "detokenise": perf_counter() - started,
        }
        return Transcript(
            text=text,
            language=self._language(options, row),
            segments=tuple(said.segments),
            finish=_finish(row),
            stages={**stages, "redo": row.stages.redo} if row.stages.redo else stages,
            first_token_seconds=row.first_token_seconds,
        )

    def _sound(self, waveform: Waveform, options: DecodeOptions) -> Sound:
        samples = waveform.samples
        own = -(-len(samples) // HOP_SAMPLES)
        timestamps = options.timestamps != "none" or len(samples) > WINDOW_SAMPLES
        if timestamps and self._vocabulary.no_timestamps is None:
            raise UnsupportedOptionError(
                "decode.timestamps: this checkpoint's generation_config.json names no "
                "no_timestamps_token_id, which timestamps and sounds beyond 30 s need; add it"
            )
        return Sound(lambda: self._features(samples), own, self._features.widened, timestamps)

    def _plan(self, options: DecodeOptions) -> Plan:
        vocabulary = self._vocabulary
        words = options.timestamps == "word"
        if words and not vocabulary.alignment_heads:
            raise UnsupportedOptionError(
                "decode.timestamps=word: this checkpoint's generation_config.json names no "
                "alignment_heads; add them, or choose segment"
            )
        language = None
        if self._multilingual and options.language is not None:
            language = vocabulary.language_id(options.language)
        return Plan(
            vocabulary=vocabulary,
            vocabulary_size=self._shape.vocabulary,
            window_frames=self._shape.window_frames,
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
            filter_width=self._shape.filter_width,
            trim=self._trim,
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


def _finish(row: Row) -> Finish:
    if row.cancelled:
        return Finish.CANCELLED
    return Finish.TRUNCATED if row.truncated else Finish.COMPLETE
