"""Text from a microphone while somebody speaks: what is settled, and what may still change.

Owns the buffer of one recording and the rule by which words settle; it knows no component of the page.

The stretch of sound that is still open is decoded again and again as it grows. Its text settles when
the speaker pauses and two decodings in a row agree: then the stretch ends there, and what was said in
it never changes again. A speaker who does not pause is cut behind a word on which two decodings
agree, before the stretch outgrows the model's window.

Source: agreement of successive decodings, Machacek, Dabre and Bojar 2023, "Turning Whisper into
Real-Time Transcription System" (arXiv 2307.14743), section 3.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from whisperlab.serve.problems import ApiError
from whisperlab.transcript import Word

PAUSE_SECONDS: Final = 0.6
"""Silence behind the last word after which a stretch is over, when two decodings agree on it."""

MARGIN_SECONDS: Final = 0.2
"""What of a pause stays with the stretch before: words end a little later than their times say."""

FULL_SECONDS: Final = 20.0
"""A stretch as long as this is cut behind a word: the model hears 30 s, and grows slower on the way."""

KEPT_WORDS: Final = 2
"""Words at the end of a full stretch that stay open: more sound may still change them."""

SAMPLE_BYTES: Final = 2
MAX_CHUNK_BYTES: Final = 1 << 21
MAX_RECORDING_SECONDS: Final = 3600.0


@dataclass(slots=True)
class OpenStretch:
    """What was heard in the open stretch, decoding by decoding; times from its beginning.

    >>> stretch = OpenStretch()
    >>> said = [Word(0.1, 0.4, "one"), Word(0.5, 0.9, "two")]
    >>> stretch.settle(said, heard_seconds=1.2), stretch.settle(said, heard_seconds=1.8)
    (None, Cut(words=2, seconds=1.1))
    """

    _last: list[str] = field(default_factory=list)

    def settle(self, words: Sequence[Word], heard_seconds: float) -> Cut | None:
        """Returns where the stretch may be cut after one more decoding; ``None`` to go on."""
        said = [word.text for word in words]
        agreed = _common(said, self._last)
        self._last = said
        if not words:
            # Nothing is said yet: silence is let go, but for the beginning of a first word.
            silent = heard_seconds - 2 * PAUSE_SECONDS
            return Cut(0, silent) if silent > PAUSE_SECONDS else None
        if agreed == len(said) and heard_seconds - words[-1].end >= PAUSE_SECONDS:
            return self._cut(words, agreed, min(words[-1].end + MARGIN_SECONDS, heard_seconds))
        if heard_seconds >= FULL_SECONDS:
            kept = max(1, min(agreed, len(words) - KEPT_WORDS))
            following = words[kept].start if kept < len(words) else heard_seconds
            return self._cut(words, kept, (words[kept - 1].end + following) / 2)
        return None

    def _cut(self, words: Sequence[Word], count: int, seconds: float) -> Cut:
        self._last = [word.text for word in words[count:]]
        return Cut(count, seconds)


@dataclass(frozen=True, slots=True)
class Cut:
    """The first ``words`` of a decoding are settled; the next stretch begins at ``seconds``."""

    words: int
    seconds: float


@dataclass(slots=True)
class Recording:
    """16-bit mono sound as it comes, and how much of it is settled."""

    rate_hz: int = 0
    samples: bytearray = field(default_factory=bytearray)
    settled_bytes: int = 0
    settled: list[str] = field(default_factory=list)
    partial: str = ""
    stretch: OpenStretch = field(default_factory=OpenStretch)

    @property
    def seconds(self) -> float:
        """How much was recorded."""
        return self._seconds(len(self.samples))

    @property
    def open_seconds(self) -> float:
        """How much of it is in the open stretch."""
        return self._seconds(len(self.samples) - self.settled_bytes)

    def add(self, chunk: bytes) -> None:
        """Adds a WAV file with the next sound.

        Raises:
            ApiError: it is none of 16 bits, it is too large, or the recording is.
        """
        if len(chunk) > MAX_CHUNK_BYTES:
            raise ApiError("file_too_large", "A piece of a recording has at most 2 MiB.", "file")
        try:
            with wave.open(io.BytesIO(chunk)) as sound:
                rate, channels = sound.getframerate(), sound.getnchannels()
                if sound.getsampwidth() != SAMPLE_BYTES or channels < 1:
                    raise ApiError("invalid_audio", "Expected a recording of 16 bits.", "file")
                frames = sound.readframes(MAX_CHUNK_BYTES)
        except (wave.Error, EOFError) as error:
            raise ApiError("invalid_audio", "Expected a recording as WAV.", "file") from error
        if self.rate_hz not in (0, rate):
            raise ApiError("invalid_audio", "The sample rate changed while recording.", "file")
        self.rate_hz = rate
        whole = len(frames) - len(frames) % (SAMPLE_BYTES * channels)
        self.samples += _first_channel(frames[:whole], channels)
        if self.seconds > MAX_RECORDING_SECONDS:
            raise ApiError("audio_too_long", "A live recording lasts an hour at most.", "file")

    def open_wav(self) -> bytes:
        """Returns the open stretch as a WAV file."""
        return self._wav(self.settled_bytes)

    def whole_wav(self) -> bytes:
        """Returns everything that was recorded as a WAV file."""
        return self._wav(0)

    def heard(self, words: Sequence[Word], text: str, heard_seconds: float) -> None:
        """Takes a decoding of the open stretch's first ``heard_seconds``."""
        cut = self.stretch.settle(words, heard_seconds)
        if cut is None:
            self.partial = text
            return
        self.settled += [word.text for word in words[: cut.words]]
        self.partial = " ".join(word.text for word in words[cut.words :])
        self.settled_bytes += SAMPLE_BYTES * round(cut.seconds * self.rate_hz)

    def _seconds(self, n_bytes: int) -> float:
        return n_bytes / (SAMPLE_BYTES * self.rate_hz) if self.rate_hz else 0.0

    def _wav(self, first_byte: int) -> bytes:
        written = io.BytesIO()
        with wave.open(written, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(SAMPLE_BYTES)
            sound.setframerate(self.rate_hz or 1)
            sound.writeframes(bytes(self.samples[first_byte:]))
        return written.getvalue()


def _first_channel(frames: bytes, channels: int) -> bytes:
    """Returns one channel: a microphone says the same on all of them."""
    if channels == 1:
        return frames
    step = SAMPLE_BYTES * channels
    return b"".join(frames[at : at + SAMPLE_BYTES] for at in range(0, len(frames), step))


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Returns how many words two texts begin with in common."""
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count
