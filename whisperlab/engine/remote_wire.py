"""Sound and transcripts as they travel between us and an OpenAI-compatible server.

Owns the two sample formats and the reading of ``json`` and ``verbose_json`` answers::

    {"task": "transcribe", "language": "english", "duration": 3.32, "text": "One two.",
     "segments": [{"id": 0, "start": 0.0, "end": 3.32, "text": " One two.", "tokens": [50364, ...],
                   "temperature": 0.0, "avg_logprob": -0.2, "compression_ratio": 0.8, "no_speech_prob": 0.01}],
     "words": [{"word": "One", "start": 0.1, "end": 0.4}, ...]}

It does not know addresses, keys or retries.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from whisperlab.audio import Waveform
from whisperlab.engine.options import DecodeOptions
from whisperlab.errors import InferenceError
from whisperlab.languages import language_code
from whisperlab.transcript import Segment, Transcript, Word

ResponseFormat = Literal["verbose_json", "json"]
SampleFormat = Literal["wav_float32", "flac_pcm16"]
"""``wav_float32`` keeps every sample bit for bit: sixteen bits would round what a preprocessor or a
resampler made, and the server would hear another sound than an engine in this process.
``flac_pcm16`` is for long sound and for servers that read no float; it is exact for 16-bit
recordings that reach the engine unchanged."""

_IEEE_FLOAT: Final = 3
"""``WAVE_FORMAT_IEEE_FLOAT`` (Microsoft, "Multimedia Data Standards Update", 1994)."""
_FLOAT_BYTES: Final = 4

_LENIENT: Final = ConfigDict(extra="ignore", allow_inf_nan=False)

Seconds = Annotated[float, Field(ge=0)]
File = tuple[str, bytes, str]
"""A file as the client takes it: name, content, media type."""


def packed(waveform: Waveform, sample_format: SampleFormat) -> File:
    """Returns the sound as a file.

    >>> import numpy as np
    >>> name, content, media_type = packed(Waveform(np.zeros(4, dtype=np.float32)), "wav_float32")
    >>> len(content), content[:4], media_type
    (74, b'RIFF', 'audio/wav')
    """
    if sample_format == "flac_pcm16":
        import soundfile

        written = io.BytesIO()
        soundfile.write(
            written, waveform.samples, waveform.sample_rate, format="FLAC", subtype="PCM_16"
        )
        return "sound.flac", written.getvalue(), "audio/flac"
    samples = waveform.samples.astype("<f4").tobytes()
    rate = waveform.sample_rate
    fmt = struct.pack(
        "<HHIIHHH", _IEEE_FLOAT, 1, rate, rate * _FLOAT_BYTES, _FLOAT_BYTES, 8 * _FLOAT_BYTES, 0
    )
    fact = struct.pack("<I", len(waveform.samples))
    chunks = b"".join(
        name + struct.pack("<I", len(content)) + content
        for name, content in ((b"fmt ", fmt), (b"fact", fact), (b"data", samples))
    )
    return "sound.wav", b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks, "audio/wav"


@dataclass(frozen=True, config=_LENIENT)
class _WireSegment:
    start: Seconds
    end: Seconds
    text: str
    tokens: tuple[int, ...] = ()
    temperature: float | None = None
    avg_logprob: float | None = None
    compression_ratio: float | None = None
    no_speech_prob: float | None = None

    def segment(self) -> Segment:
        return Segment(
            self.start,
            self.end,
            self.text,
            tokens=self.tokens,
            avg_logprob=self.avg_logprob,
            no_speech_prob=self.no_speech_prob,
            compression_ratio=self.compression_ratio,
            temperature=self.temperature,
        )


@dataclass(frozen=True, config=_LENIENT)
class _WireWord:
    word: str
    start: Seconds
    end: Seconds


@dataclass(frozen=True, config=_LENIENT)
class _WireLogprob:
    logprob: float | None = None


@dataclass(frozen=True, config=_LENIENT)
class _WireAnswer:
    text: str
    language: str | None = None
    segments: tuple[_WireSegment, ...] | None = None
    words: tuple[_WireWord, ...] | None = None
    logprobs: tuple[_WireLogprob, ...] | None = None


_ANSWER: Final = TypeAdapter(_WireAnswer)


def read_answer(body: str, duration_seconds: float, options: DecodeOptions) -> Transcript:
    """Returns the transcript that a body holds, with times as fine as ``options`` ask for.

    Raises:
        InferenceError: ``invalid_answer``, the body is not what was asked for.
    """
    try:
        answer = _ANSWER.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise _invalid(f"{where}: {first['msg']}" if where else first["msg"]) from error
    text = answer.text.strip()
    language = None
    if answer.language is not None and options.task == "transcribe":
        language = language_code(answer.language)
    return Transcript(text, language, _segments(answer, text, duration_seconds, options))


def _segments(
    answer: _WireAnswer, text: str, duration_seconds: float, options: DecodeOptions
) -> tuple[Segment, ...]:
    if not text:
        return ()
    if options.timestamps == "none":
        known = [one.logprob for one in answer.logprobs or () if one.logprob is not None]
        avg_logprob = fmean(known) if known else None
        return (Segment(0.0, duration_seconds, f" {text}", avg_logprob=avg_logprob),)
    if not answer.segments:
        raise _invalid("text without segments")
    segments = [one.segment() for one in answer.segments]
    if options.timestamps == "word":
        if not answer.words:
            raise _invalid("text without words")
        segments = _with_words(segments, answer.words)
    return tuple(segments)


def _with_words(segments: Sequence[Segment], words: Sequence[_WireWord]) -> list[Segment]:
    """Returns the segments with the words that the API lists beside them.

    A word belongs to the last segment that begins before its middle.
    """
    found: list[list[Word]] = [[] for _ in segments]
    for one in words:
        middle = (one.start + one.end) / 2
        begun = [index for index, segment in enumerate(segments) if segment.start <= middle]
        found[begun[-1] if begun else 0].append(Word(one.start, one.end, one.word.strip()))
    return [
        replace(segment, words=tuple(own)) for segment, own in zip(segments, found, strict=True)
    ]


def _invalid(reason: str) -> InferenceError:
    return InferenceError(
        f"expected OpenAI's JSON for a transcript, got {reason}; if the server knows no "
        "verbose_json, set engine.response_format=json and decode.timestamps=none",
        code="invalid_answer",
    )
