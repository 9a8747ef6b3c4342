"""A classical recogniser, CMU PocketSphinx with the US English model of its wheel: the baseline.

Owns the translation between PocketSphinx and our types. HMMs, a trigram and a dictionary recognise
real speech without any download: the floor that every Whisper should beat. It does not know files.

Every utterance is decoded as if it were the first: PocketSphinx carries its noise estimate and its
cepstral mean from one to the next, which would make a result depend on the order of the dataset and
on where a run was resumed. It is fed in blocks, so that it can be stopped; the cepstral mean, which
PocketSphinx's own whole-utterance mode takes over all frames, is taken beforehand by a second
decoder that has next to nothing to search.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.audio import SAMPLE_RATE_HZ, Samples, Waveform
from whisperlab.device import Device, Quantization
from whisperlab.engine.model import NO_MODEL, ModelSpec, require_no_model
from whisperlab.engine.options import DecodeOptions, Timestamps
from whisperlab.engine.protocol import Watch
from whisperlab.errors import (
    AudioError,
    InferenceError,
    MissingExtraError,
    ModelError,
    UnsupportedOptionError,
)
from whisperlab.stopwatch import Stopwatch
from whisperlab.transcript import Finish, Segment, Transcript, Word

if TYPE_CHECKING:
    from pocketsphinx import Decoder

FRAMES_PER_SECOND: Final = 100
"""PocketSphinx's default frame rate (``frate``)."""
BLOCK_SAMPLES: Final = SAMPLE_RATE_HZ // 2
"""Half a second: how much is decoded before the watch is asked again."""
MEAN_SAMPLES: Final = 60 * SAMPLE_RATE_HZ
"""The first cepstral mean is that of the first minute; PocketSphinx then follows the recording."""
PAUSE_SECONDS: Final = 0.5
"""A silence of this length ends a segment."""
DITHER_LEVEL: Final = 1
"""Sound that never leaves one 16-bit step is digital silence, in which PocketSphinx hears words."""

Beam = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
"""How much less likely than the best a hypothesis may be and still be followed: smaller is wider."""

STATES_AT_ONCE: Final = 30_000
"""PocketSphinx's default (``maxhmmpf``)."""
HISTOGRAM_BEAM: Final = 1e-12
"""Beams up to this one may be cut to the likeliest states. PocketSphinx divides a beam's logarithm by
256 for that, and by the result, which is 0 from 4e-12 on: the process ended by SIGFPE."""

Levels = NDArray[np.int16]
"""Mono samples, shape ``(n_samples,)``, 16-bit integers."""

_HONOURED: Final = frozenset({"language", "timestamps", "timeout_seconds"})
_PRONUNCIATION: Final = re.compile(r"\(\d+\)$")
_MEAN_GRAMMAR: Final = "#JSGF V1.0; grammar mean; public <word> = the;"


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class PocketsphinxSettings:
    """PocketSphinx with the model of its wheel; the defaults are PocketSphinx's own.

    ``beam`` prunes states, ``word_beam`` ends of words. ``language_weight`` is the exponent of the
    language model against the acoustic one, ``word_insertion_penalty`` the factor a further word costs.

    Raises:
        UnsupportedOptionError: a checkpoint, a precision or a GPU was asked for.
    """

    model: ModelSpec = NO_MODEL
    device: Device = Device("auto")
    quantization: Quantization = Quantization("none")
    beam: Beam = 1e-48
    word_beam: Beam = 7e-29
    language_weight: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = 6.5
    word_insertion_penalty: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = 0.65

    def __post_init__(self) -> None:
        require_no_model("pocketsphinx", self.model, self.device, self.quantization)

    def check(self, options: DecodeOptions) -> None:
        """Raises ``UnsupportedOptionError`` unless English is to be transcribed with the defaults."""
        _check(options)

    def load(self) -> PocketsphinxEngine:
        """Returns the engine with its model in memory.

        Raises:
            MissingExtraError: the package is not installed.
            ModelError: its model cannot be read.
        """
        return PocketsphinxEngine(self)


class PocketsphinxEngine:
    """Decodes one utterance after the other; ``timeout_seconds`` reaches it through the watch.

    Segments are the stretches between pauses. With timestamps ``none`` there is one, as long as
    the sound.
    """

    sample_rate = SAMPLE_RATE_HZ

    def __init__(self, settings: PocketsphinxSettings | None = None) -> None:
        self._settings = settings if settings is not None else PocketsphinxSettings()
        self._decoder = _decoder(self._settings)
        self._mean_decoder = _mean_decoder()

    def transcribe(
        self, batch: Sequence[Waveform], options: DecodeOptions, watch: Watch
    ) -> list[Transcript]:
        """Returns one transcript a waveform, in order.

        Raises:
            UnsupportedOptionError: an option cannot be honoured.
            AudioError: ``invalid_sample_rate`` for sound that is not at 16 kHz.
            InferenceError: PocketSphinx failed.
        """
        _check(options)
        for waveform in batch:
            if waveform.sample_rate != self.sample_rate:
                raise AudioError(
                    f"expected {self.sample_rate} Hz, got {waveform.sample_rate} Hz; resample first",
                    code="invalid_sample_rate",
                )
        return [self._one(index, waveform, options, watch) for index, waveform in enumerate(batch)]

    def _one(
        self, index: int, waveform: Waveform, options: DecodeOptions, watch: Watch
    ) -> Transcript:
        levels = sixteen_bit(waveform.samples)
        stopwatch = Stopwatch()
        finish: Finish = Finish.COMPLETE
        words: tuple[Word, ...] = ()
        if levels.size and int(np.abs(levels.astype(np.int32)).max()) > DITHER_LEVEL:
            try:
                with stopwatch.stage("features"):
                    mean = self._cepstral_mean(levels)
                with stopwatch.stage("decode_tokens"):
                    finish, words = self._decode(index, levels, mean, watch)
            except RuntimeError as error:
                self._decoder, self._mean_decoder = _decoder(self._settings), _mean_decoder()
                raise InferenceError(
                    f"PocketSphinx failed on {waveform.duration_seconds:.3f} s of sound: {error}"
                ) from error
        segments = _segments(words, waveform.duration_seconds, options.timestamps)
        for segment in segments:
            watch.segment(index, segment, final=True)
        return Transcript(
            " ".join(word.text for word in words),
            language="en",
            segments=segments,
            finish=finish,
            stages=dict(stopwatch.seconds),
        )

    def _cepstral_mean(self, levels: Levels) -> str | None:
        """Returns the mean cepstrum of the beginning as PocketSphinx writes it, ``41.2,-5.3,...``.

        ``None`` where no frame had any energy: the mean is then a division by zero.
        """
        decoder = self._mean_decoder
        decoder.reinit_feat()
        decoder.start_utt()
        decoder.process_raw(levels[:MEAN_SAMPLES].tobytes(), full_utt=True)
        mean = str(decoder.get_cmn(False))
        decoder.end_utt()
        return mean if np.isfinite([float(value) for value in mean.split(",")]).all() else None

    def _decode(
        self, index: int, levels: Levels, mean: str | None, watch: Watch
    ) -> tuple[Finish, tuple[Word, ...]]:
        """Feeds the blocks; stops between two of them when the watch says so."""
        decoder = self._decoder
        decoder.reinit_feat()  # forgets the noise of the utterance before
        if mean is not None:
            decoder.set_cmn(mean)
        decoder.start_utt()
        for first in range(0, levels.size, BLOCK_SAMPLES):
            if watch.cancelled(index):
                words = _words(decoder.seg() or ())
                # Ending the utterance would search it twice more: a new decoder is there sooner.
                self._decoder = _decoder(self._settings)
                return Finish.CANCELLED, words
            decoder.process_raw(levels[first : first + BLOCK_SAMPLES].tobytes())
        decoder.end_utt()
        return Finish.COMPLETE, _words(decoder.seg() or ())


def sixteen_bit(samples: Samples) -> Levels:
    """Returns the samples as 16-bit integers, clipped; exactly those of a 16-bit file.

    >>> sixteen_bit(np.array([-1.5, -1.0, 0.0, 0.5, 1.0], dtype=np.float32)).tolist()
    [-32768, -32768, 0, 16384, 32767]
    """
    levels: Levels = np.clip(np.rint(samples * np.float32(32_768)), -32_768, 32_767).astype("<i2")
    return levels


class _SpokenUnit(Protocol):
    """What ``Decoder.seg()`` yields: a word or a filler with its first and last frame."""

    word: str
    start_frame: int
    end_frame: int


def _words(units: Iterable[_SpokenUnit]) -> tuple[Word, ...]:
    """Returns the words among the units; fillers such as ``<sil>`` and ``[NOISE]`` fall away."""
    return tuple(
        Word(
            start=unit.start_frame / FRAMES_PER_SECOND,
            end=(unit.end_frame + 1) / FRAMES_PER_SECOND,
            text=_PRONUNCIATION.sub("", unit.word),
        )
        for unit in units
        if not unit.word.startswith(("<", "[", "++"))
    )


def _segments(
    words: tuple[Word, ...], duration_seconds: float, timestamps: Timestamps
) -> tuple[Segment, ...]:
    """Returns the words as segments, cut at pauses, with times as fine as they were asked for."""
    if not words:
        return ()
    if timestamps == "none":
        return (Segment(0.0, duration_seconds, _text(words)),)
    stretches: list[list[Word]] = [[]]
    for word in words:
        if stretches[-1] and word.start - stretches[-1][-1].end >= PAUSE_SECONDS:
            stretches.append([])
        stretches[-1].append(word)
    return tuple(
        Segment(
            stretch[0].start,
            stretch[-1].end,
            _text(stretch),
            words=tuple(stretch) if timestamps == "word" else (),
        )
        for stretch in stretches
    )


def _text(words: Iterable[Word]) -> str:
    """Returns the words with a space before each, as Whisper writes a segment."""
    return "".join(f" {word.text}" for word in words)


def _check(options: DecodeOptions) -> None:
    if options.language not in (None, "en"):
        raise UnsupportedOptionError(
            f"engine=pocketsphinx knows English alone, got decode.language={options.language}; "
            "leave it at null or en, or choose engine=hf"
        )
    defaults = DecodeOptions()
    for option in fields(options):
        value = getattr(options, option.name)
        if option.name not in _HONOURED and value != getattr(defaults, option.name):
            raise UnsupportedOptionError(
                f"engine=pocketsphinx cannot honour decode.{option.name}={value}; "
                "leave it at its default or choose engine=hf"
            )


def _decoder(settings: PocketsphinxSettings) -> Decoder:
    """Returns a decoder for US English speech."""
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise MissingExtraError("pocketsphinx", "baseline", "engine=pocketsphinx") from error
    try:
        return Decoder(
            loglevel="FATAL",
            beam=settings.beam,
            wbeam=settings.word_beam,
            lw=settings.language_weight,
            wip=settings.word_insertion_penalty,
            maxhmmpf=STATES_AT_ONCE if settings.beam <= HISTOGRAM_BEAM else -1,
        )
    except RuntimeError as error:
        raise ModelError(
            f"the US English model of the package pocketsphinx cannot be read: {error}; "
            "run: pip install --force-reinstall pocketsphinx"
        ) from error


def _mean_decoder() -> Decoder:
    """Returns a decoder with the same front end and a grammar of one word, so that it costs little."""
    from pocketsphinx import Decoder

    decoder = Decoder(lm=None, loglevel="FATAL")
    decoder.add_jsgf_string("mean", _MEAN_GRAMMAR)
    decoder.activate_search("mean")
    return decoder
