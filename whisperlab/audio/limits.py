"""What a sound may cost before it is refused: bytes, seconds, channels, rates.

Owns the one set of limits that every door shares, and the checks of single header values against
them. It does not know formats; the running totals are kept in ``decode``.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.errors import AudioError

UPLOAD_MAX_BYTES = 25 * 1024 * 1024
"""What a server accepts in one upload: OpenAI's documented limit for audio files, 25 MB."""

_WIDEST_ORDINARY_RATE_HZ = 48_000  # what meeting rooms and video record at, with any channel count
_BYTES_PER_SAMPLE = 4  # float32
_MOST_PACKETS_PER_SECOND = 500  # Opus' shortest frame is 2.5 ms, 400 packets a second (RFC 6716, 2)


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class AudioLimits:
    """What one sound may cost. The defaults are the same at every door.

    Attributes:
        max_bytes: size of the encoded sound; None (local files) leaves it to the other limits,
            servers set ``UPLOAD_MAX_BYTES``.
        max_seconds: longest sound; counted while decoding, headers are not believed.
        min_seconds: shortest sound.
        max_channels: most channels before the down-mix.
        min_rate_hz: lowest source rate; half of a telephone's.
        max_rate_hz: highest source rate; the highest that studios use.
        strict: refuse files that were cut off instead of decoding as far as they go.

    >>> AudioLimits(max_seconds=60).max_pcm_bytes == 60 * 48_000 * 8 * 4
    True
    """

    max_bytes: Annotated[int, Field(gt=0)] | None = None
    max_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 3600.0
    min_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.1
    max_channels: Annotated[int, Field(ge=1)] = 8
    min_rate_hz: Annotated[int, Field(ge=1)] = 4_000
    max_rate_hz: Annotated[int, Field(ge=1)] = 192_000
    strict: bool = False

    @property
    def max_pcm_bytes(self) -> int:
        """Decoded float32 bytes, all channels: ``max_seconds`` of every channel at 48 kHz."""
        return int(
            self.max_seconds * _WIDEST_ORDINARY_RATE_HZ * self.max_channels * _BYTES_PER_SAMPLE
        )

    @property
    def max_packets(self) -> int:
        """Encoded packets, or entries of a container's index, that one sound may have."""
        return int(self.max_seconds * _MOST_PACKETS_PER_SECOND)

    def check_size(self, size: int) -> None:
        """Raises ``empty_file`` or ``file_too_large`` for an encoded size in bytes."""
        if size == 0:
            raise AudioError("expected audio, got 0 bytes; send the recording", code="empty_file")
        if self.max_bytes is not None and size > self.max_bytes:
            raise AudioError(
                f"expected at most {self.max_bytes} bytes, got {size}; compress or split the file",
                code="file_too_large",
            )

    def check_rate(self, rate_hz: float) -> None:
        """Raises ``invalid_sample_rate`` outside ``min_rate_hz`` to ``max_rate_hz`` (NaN too)."""
        if not self.min_rate_hz <= rate_hz <= self.max_rate_hz:
            raise AudioError(
                f"expected a sample rate of {self.min_rate_hz} to {self.max_rate_hz} Hz, "
                f"got {rate_hz:g}; check the file or resample it",
                code="invalid_sample_rate",
            )

    def check_channels(self, channels: int) -> None:
        """Raises ``invalid_audio`` below one channel, ``too_many_channels`` above the limit."""
        if channels < 1:
            raise AudioError(
                f"expected at least 1 channel, got {channels}; the file's header is damaged",
                code="invalid_audio",
            )
        if channels > self.max_channels:
            raise AudioError(
                f"expected at most {self.max_channels} channels, got {channels}; mix down first",
                code="too_many_channels",
            )

    def check_too_long(self, frames: int, rate_hz: float, channels: int) -> None:
        """Raises ``audio_too_long`` for more frames than seconds or decoded bytes allow."""
        if frames > self.max_seconds * rate_hz:
            raise AudioError(
                f"expected at most {self.max_seconds:g} s of sound, got more; split the recording",
                code="audio_too_long",
            )
        if frames * channels * _BYTES_PER_SAMPLE > self.max_pcm_bytes:
            raise AudioError(
                f"expected at most {self.max_pcm_bytes} decoded bytes, got more from {channels} "
                f"channels at {rate_hz:g} Hz; split, mix down or resample the recording",
                code="audio_too_long",
            )

    def check_too_short(self, frames: int, rate_hz: float) -> None:
        """Raises ``audio_too_short`` for less than ``min_seconds``."""
        if frames == 0 or frames / rate_hz < self.min_seconds:
            least = f"{self.min_seconds:g} s" if self.min_seconds else "one sample"
            raise AudioError(
                f"expected at least {least} of sound, got {frames / rate_hz:g} s; "
                "send a longer recording",
                code="audio_too_short",
            )
