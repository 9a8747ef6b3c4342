"""Text from a microphone while somebody speaks: what is settled, and what may still change.

Owns the buffer of one recording and the rule by which text settles; it knows no component of the page
and no model.

The stretch of sound that is still open is decoded again and again as it grows. Its text settles when
the speaker pauses and two decodings in a row agree: the stretch ends in the middle of the pause, and
what was said in it never changes again. A speaker who does not pause is cut where it is quietest,
before the stretch outgrows the model's window, and the text of what lies before is settled as it is.
Pauses are heard in the sound and not read off the times of words, which small models only guess: a cut
by those splits words, and both halves are heard. Where nothing is loud nothing is decoded, since models
hear words in silence.

Source: agreement of successive decodings, Machacek, Dabre and Bojar 2023, "Turning Whisper into
Real-Time Transcription System" (arXiv 2307.14743), section 3.
"""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whisperlab.audio import AudioLimits
from whisperlab.serve.problems import ApiError

PAUSE_SECONDS: Final = 0.6
"""Quiet after which a stretch is over, when two decodings agree on it."""

LEAD_SECONDS: Final = 0.3
"""Quiet before the first loud frame that stays: many words begin softly."""

HEARD_SECONDS: Final = 0.4
"""Speech that makes a decoding worth while: less is a part of a word."""

FULL_SECONDS: Final = 20.0
"""A stretch as long as this is cut: the model hears 30 s, and grows slower on the way."""

FRAME_SECONDS: Final = 0.05
"""Levels are taken over so long: two periods of the deepest voice."""

SPEECH_RATIO: Final = 3.0
"""Speech is this much louder than the quiet around it (10 dB); steady noise stays below 2 dB."""

DEEPEST_RATIO: Final = 1000.0
"""Quiet is taken to be at most 60 dB below the loudest frame, so that a soft s is no pause."""

SILENT_LEVEL: Final = 1.0
"""Below one step of 16 bits nothing was recorded: a microphone that warms up, a gate that is shut."""

SAMPLE_BYTES: Final = 2
MAX_CHUNK_BYTES: Final = 1 << 21
MAX_RECORDING_SECONDS: Final = 3600.0
LIMITS: Final = AudioLimits()

Sound = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Asked:
    """A part of the recording that is being decoded, in bytes; ``settles`` is None while it may not."""

    end: int
    settles: int | None
    whatever: bool
    """Settles even if the decoding before said something else."""


@dataclass(slots=True)
class Recording:
    """16-bit mono sound as it comes, and how much of it is settled."""

    rate_hz: int = 0
    samples: bytearray = field(default_factory=bytearray)
    settled_bytes: int = 0
    settled: list[str] = field(default_factory=list)
    partial: str = ""
    _asked: Asked = Asked(0, None, whatever=False)

    @property
    def seconds(self) -> float:
        """How much was recorded."""
        return len(self.samples) / (SAMPLE_BYTES * self.rate_hz) if self.rate_hz else 0.0

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
        if not LIMITS.min_rate_hz <= rate <= LIMITS.max_rate_hz:  # or an hour has no end
            expected = f"{LIMITS.min_rate_hz} to {LIMITS.max_rate_hz} Hz"
            raise ApiError("invalid_sample_rate", f"Expected a recording of {expected}.", "file")
        if self.rate_hz not in (0, rate):
            raise ApiError("invalid_audio", "The sample rate changed while recording.", "file")
        self.rate_hz = rate
        whole = len(frames) - len(frames) % (SAMPLE_BYTES * channels)
        self.samples += _first_channel(frames[:whole], channels)
        if self.seconds > MAX_RECORDING_SECONDS:
            raise ApiError("audio_too_long", "A live recording lasts an hour at most.", "file")

    def next_wav(self) -> bytes | None:
        """Returns what is to be decoded next as a WAV file, ``None`` while there is no speech in it."""
        sound = np.frombuffer(bytes(self.samples[self.settled_bytes :]), "<i2")
        spoken = _spoken(sound, self.rate_hz)
        lead, pause, heard, full = (
            round(seconds * self.rate_hz)
            for seconds in (LEAD_SECONDS, PAUSE_SECONDS, HEARD_SECONDS, FULL_SECONDS)
        )
        if spoken is None:
            self._let_go(len(sound) - 2 * pause)  # the soft beginning of a first word stays
            return None
        first, last = spoken
        if len(sound) - first < heard:
            return None
        let_go = self._let_go(first - lead)
        sound, last = sound[let_go:], last - let_go
        end, settles = len(sound), None
        if whatever := end >= full:
            end = settles = full // 2 + _quietest(sound[full // 2 :], self.rate_hz)
        elif end - last >= pause:
            settles = (last + end) // 2
        self._asked = Asked(
            self.settled_bytes + SAMPLE_BYTES * end,
            None if settles is None else self.settled_bytes + SAMPLE_BYTES * settles,
            whatever,
        )
        return self._wav(self.settled_bytes, self._asked.end)

    def heard(self, text: str) -> None:
        """Takes the text of what ``next_wav`` returned last."""
        asked = self._asked
        if asked.settles is not None and (asked.whatever or text == self.partial):
            if text:
                self.settled.append(text)
            self.partial, self.settled_bytes = "", asked.settles
        else:
            self.partial = text

    def whole_wav(self) -> bytes:
        """Returns everything that was recorded as a WAV file."""
        return self._wav(0, len(self.samples))

    def _let_go(self, count: int) -> int:
        """Takes samples without speech off the open stretch; returns how many."""
        count = max(0, count)
        self.settled_bytes += SAMPLE_BYTES * count
        return count

    def _wav(self, first: int, end: int) -> bytes:
        written = io.BytesIO()
        with wave.open(written, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(SAMPLE_BYTES)
            sound.setframerate(self.rate_hz or 1)
            sound.writeframes(bytes(self.samples[first:end]))
        return written.getvalue()


def _levels(sound: Sound, rate_hz: int) -> tuple[NDArray[np.float64], int]:
    """Returns the root mean square of each frame, and a frame's samples."""
    size = max(1, round(FRAME_SECONDS * rate_hz))
    frames = sound[: len(sound) - len(sound) % size].reshape(-1, size)
    return np.sqrt(np.mean(np.square(frames, dtype=np.float64), axis=1)), size


def _spoken(sound: Sound, rate_hz: int) -> tuple[int, int] | None:
    """Returns where speech begins and where it has ended, in samples; ``None`` where there is none.

    >>> second = np.ones(1000, dtype=np.int16)
    >>> _spoken(np.concatenate([second, 900 * second, second]), rate_hz=1000)
    (1000, 2000)
    >>> _spoken(second, rate_hz=1000)
    """
    levels, size = _levels(sound, rate_hz)
    recorded = levels[levels >= SILENT_LEVEL]
    if not len(recorded):
        return None
    peak = float(recorded.max())
    quiet = max(float(recorded.min()), peak / DEEPEST_RATIO)
    if peak < SPEECH_RATIO * quiet:
        return None
    loud = np.flatnonzero(levels > np.sqrt(quiet * peak))  # half way between them in dB
    return int(loud[0]) * size, (int(loud[-1]) + 1) * size


def _quietest(sound: Sound, rate_hz: int) -> int:
    """Returns the sample in the middle of the quietest frame."""
    levels, size = _levels(sound, rate_hz)
    return int(np.argmin(levels)) * size + size // 2


def _first_channel(frames: bytes, channels: int) -> bytes:
    """Returns one channel: a microphone says the same on all of them."""
    if channels == 1:
        return frames
    step = SAMPLE_BYTES * channels
    return b"".join(frames[at : at + SAMPLE_BYTES] for at in range(0, len(frames), step))
