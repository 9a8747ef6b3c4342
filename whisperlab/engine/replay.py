"""An engine that plays back stored transcripts: it knows a sound by its samples.

Owns the digest of a sound and the recording file. Interfaces, servers and reports are tested with
it: no weights, no torch, always the same answer, as slowly as one likes. A recording has one JSON
object a line; ``record`` writes it, ``segments`` may be left out::

    {"digest": "87428fc5...", "text": "one two", "language": "en", "segments":
        [{"start": 0.1, "end": 0.9, "text": " one two", "words": [{"start": 0.1, ...}]}]}
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from whisperlab.audio import SAMPLE_RATE_HZ, Waveform
from whisperlab.device import Device, Quantization
from whisperlab.engine.model import NO_MODEL, ModelSpec, require_no_model
from whisperlab.engine.options import DecodeOptions, Timestamps
from whisperlab.engine.protocol import Watch
from whisperlab.errors import InferenceError, ModelError
from whisperlab.transcript import Finish, Segment, Transcript

STEP_SECONDS: Final = 0.01
"""How often a playback that takes its time asks whether it should stop."""

_FIELDS: Final = frozenset(field.name for field in fields(Transcript))

Delay = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]


def digest(waveform: Waveform) -> str:
    """Returns the SHA-256 by which a sound is known: its rate and its samples as 16-bit integers.

    Sixteen bits, so that a sound keeps its digest when it is written to a WAV file and read back.
    ``start`` does not count.

    >>> tone = Waveform(np.full(160, 0.25, dtype=np.float32))
    >>> digest(tone) == digest(replace(tone, start=3.0))
    True
    """
    levels = np.clip(np.rint(waveform.samples * 32_768.0), -32_768, 32_767).astype("<i2")
    return hashlib.sha256(f"{waveform.sample_rate}:".encode() + levels.tobytes()).hexdigest()


def record(waveform: Waveform, transcript: Transcript) -> str:
    """Returns the line of a recording file that plays ``transcript`` back for this sound."""
    content = {"digest": digest(waveform), **asdict(transcript)}
    return json.dumps(content, ensure_ascii=False)


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class ReplaySettings:
    """Plays back the recording file ``path``; ``None`` knows no sound at all.

    A sound that is not in it gives ``default_text``; where that is ``None`` it is an error. An
    answer takes ``seconds_per_utterance`` plus ``seconds_per_audio_second`` times the duration.

    Raises:
        UnsupportedOptionError: a checkpoint, a precision or a GPU was asked for.
    """

    path: Annotated[Path, Field(strict=False)] | None = None
    seconds_per_utterance: Delay = 0.0
    seconds_per_audio_second: Delay = 0.0
    default_text: str | None = None
    model: ModelSpec = NO_MODEL
    device: Device = Device("auto")
    quantization: Quantization = Quantization("none")

    def __post_init__(self) -> None:
        require_no_model("replay", self.model, self.device, self.quantization)

    def check(self, options: DecodeOptions) -> None:
        """Takes every option: a stored transcript is the answer that was given under its own."""

    def load(self) -> ReplayEngine:
        """Returns the engine with the recording in memory; raises ``ModelError`` when it cannot."""
        return ReplayEngine(
            {} if self.path is None else _recording(self.path),
            seconds_per_utterance=self.seconds_per_utterance,
            seconds_per_audio_second=self.seconds_per_audio_second,
            default_text=self.default_text,
        )


class ReplayEngine:
    """Answers with the transcript stored under a sound's ``digest``.

    Segments reach the watch one by one while the answer takes its time. Of the options only
    ``timestamps`` shapes the answer: ``none`` leaves one segment as long as the sound, ``segment``
    leaves the words out.
    """

    sample_rate = SAMPLE_RATE_HZ

    def __init__(
        self,
        transcripts: Mapping[str, Transcript],
        *,
        seconds_per_utterance: float = 0.0,
        seconds_per_audio_second: float = 0.0,
        default_text: str | None = None,
    ) -> None:
        self._transcripts = dict(transcripts)
        self._per_utterance = seconds_per_utterance
        self._per_audio_second = seconds_per_audio_second
        self._default_text = default_text

    def transcribe(
        self, batch: Sequence[Waveform], options: DecodeOptions, watch: Watch
    ) -> list[Transcript]:
        """Returns the stored transcripts, one sound after the other.

        Raises:
            InferenceError: ``not_recorded`` for a sound without a transcript; nothing of the batch
                is played back then.
        """
        found = [self._find(waveform) for waveform in batch]
        return [
            self._play(index, waveform, _timed(transcript, waveform, options.timestamps), watch)
            for index, (waveform, transcript) in enumerate(zip(batch, found, strict=True))
        ]

    def _find(self, waveform: Waveform) -> Transcript:
        key = digest(waveform)
        if key in self._transcripts:
            return self._transcripts[key]
        if self._default_text is None:
            raise InferenceError(
                f"expected a stored transcript for the sound {key[:16]}... "
                f"({waveform.duration_seconds:.3f} s at {waveform.sample_rate} Hz), the recording "
                f"has none among {len(self._transcripts)}; record it or set engine.default_text",
                code="not_recorded",
            )
        text = self._default_text
        span = (Segment(0.0, waveform.duration_seconds, f" {text}"),) if text else ()
        return Transcript(text, segments=span)

    def _play(
        self, index: int, waveform: Waveform, transcript: Transcript, watch: Watch
    ) -> Transcript:
        """Lets the answer take its time; hands over each segment after its share of it."""
        started = time.perf_counter()
        delay = self._per_utterance + self._per_audio_second * waveform.duration_seconds
        parts = max(1, len(transcript.segments))
        for n in range(parts):
            due = started + delay * (n + 1) / parts
            while not (stopped := watch.cancelled(index)) and time.perf_counter() < due:
                time.sleep(min(STEP_SECONDS, max(0.0, due - time.perf_counter())))
            if stopped:
                given = transcript.segments[:n]
                text = "".join(segment.text for segment in given).strip()
                return replace(transcript, text=text, segments=given, finish=Finish.CANCELLED)
            if transcript.segments:
                watch.segment(index, transcript.segments[n], final=True)
        return replace(transcript, stages={"decode_tokens": time.perf_counter() - started})


def _timed(transcript: Transcript, waveform: Waveform, timestamps: Timestamps) -> Transcript:
    """Returns the transcript with times as fine as they were asked for."""
    if timestamps == "word" or not transcript.segments:
        return transcript
    if timestamps == "segment":
        segments = tuple(replace(segment, words=()) for segment in transcript.segments)
        return replace(transcript, segments=segments)
    text = "".join(segment.text for segment in transcript.segments)
    return replace(transcript, segments=(Segment(0.0, waveform.duration_seconds, text),))


def _recording(path: Path) -> dict[str, Transcript]:
    """Reads a recording file; an error names its file and line."""
    stored: TypeAdapter[Transcript] = TypeAdapter(Transcript)
    transcripts: dict[str, Transcript] = {}
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"engine.path={path}: expected a recording (JSON lines in UTF-8), "
            f"got {type(error).__name__}; give a file that exists and can be read"
        ) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            content: Any = json.loads(line)
            key = content.pop("digest")
            if unknown := content.keys() - _FIELDS:
                raise KeyError(*sorted(unknown))  # noqa: TRY301 - told with every other fault below
            transcript = stored.validate_python(content)
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            reason = (
                f"{error.errors()[0]['loc']}: {error.errors()[0]['msg']}"
                if isinstance(error, ValidationError)
                else f"{type(error).__name__}: {error}"
            )
            raise ModelError(
                f"{where}: expected an object with digest, text and segments, got {reason[:200]}; "
                "write the line with whisperlab.engine.replay.record"
            ) from error
        if transcripts.setdefault(str(key), transcript) != transcript:
            raise ModelError(f"{where}: a second transcript for the same sound; keep one of them")
    return transcripts
