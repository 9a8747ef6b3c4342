"""Sending a recording through a codec and back, at the rate of the line that carries it.

Owns the encoders. Decoding is `whisperlab.audio.decode`, the door that real files come through.
"""

from __future__ import annotations

import io
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from whisperlab.audio import AudioLimits, Samples, Waveform, decode

COMPRESSED = {"opus": ("libopus", "ogg"), "mp3": ("libmp3lame", "mp3")}
"""FFmpeg's encoder and container."""

PLAIN = {
    "mulaw": ("WAV", "ULAW"),
    "alaw": ("WAV", "ALAW"),
    "wav16": ("WAV", "PCM_16"),
    "flac24": ("FLAC", "PCM_24"),
}
"""libsndfile's container and samples."""

OPUS_RATES_HZ = (8_000, 12_000, 16_000, 24_000, 48_000)
"""RFC 6716, section 2."""

UNLIMITED = AudioLimits(min_seconds=0.0, max_seconds=1e9)
"""What came through the door once is not refused on its way back."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class Reencode:
    """Encodes at ``rate_hz`` and decodes again; length and place in time stay.

    ``opus`` and ``mp3`` lose what ``bitrate_bps`` has no room for; ``mulaw`` and ``alaw`` are a
    telephone's 8-bit samples (ITU-T G.711); ``wav16`` rounds to 16 bits, and at 8,000 Hz shows what
    the band alone costs; ``flac24`` loses nothing that a recording holds (2^-24 of full scale).
    """

    codec: Literal["opus", "mp3", "mulaw", "alaw", "wav16", "flac24"]
    rate_hz: Annotated[int, Field(ge=8_000, le=48_000)]
    bitrate_bps: Annotated[int, Field(ge=6_000, le=320_000)] | None = None

    @model_validator(mode="after")
    def _settings_fit(self) -> Self:
        if (self.codec in COMPRESSED) != (self.bitrate_bps is not None):
            raise ValueError(
                f"expected bitrate_bps for {' and '.join(COMPRESSED)} and null for the others, got "
                f"codec {self.codec} with {self.bitrate_bps}"
            )
        if self.codec == "opus" and self.rate_hz not in OPUS_RATES_HZ:
            raise ValueError(
                f"expected an Opus rate ({', '.join(map(str, OPUS_RATES_HZ))} Hz), got {self.rate_hz}"
            )
        return self

    def __call__(self, waveform: Waveform, chance: np.random.Generator) -> Waveform:
        """Returns the recording as it comes out; nothing is random."""
        samples = _resampled(waveform.samples, waveform.sample_rate, self.rate_hz)
        decoded = decode(self._encoded(samples), UNLIMITED)
        back = _resampled(decoded.samples, decoded.sample_rate, waveform.sample_rate)
        missing = max(0, len(waveform.samples) - len(back))
        return waveform.with_samples(np.pad(back, (0, missing))[: len(waveform.samples)])

    def label(self) -> str:
        """Returns codec, bit rate and sample rate."""
        bitrate = "" if self.bitrate_bps is None else f" {self.bitrate_bps / 1000:g} kbit/s"
        return f"{self.codec}{bitrate} {self.rate_hz / 1000:g} kHz"

    def _encoded(self, samples: Samples) -> bytes:
        if self.codec in COMPRESSED:
            return self._compressed(samples)
        import soundfile

        container, kind = PLAIN[self.codec]
        encoded = io.BytesIO()
        soundfile.write(encoded, samples, self.rate_hz, format=container, subtype=kind)
        return encoded.getvalue()

    def _compressed(self, samples: Samples) -> bytes:
        import av

        encoder, container = COMPRESSED[self.codec]
        encoded = io.BytesIO()
        with av.open(encoded, "w", format=container) as output:
            stream = output.add_stream(encoder, rate=self.rate_hz, layout="mono")
            stream.bit_rate = self.bitrate_bps
            frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="flt", layout="mono")
            frame.sample_rate = self.rate_hz
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                output.mux(packet)
        return encoded.getvalue()


def _resampled(samples: Samples, rate_hz: int, wanted_hz: int) -> Samples:
    if rate_hz == wanted_hz:
        return samples
    import soxr

    return np.asarray(soxr.resample(samples, rate_hz, wanted_hz, quality="HQ"), dtype=np.float32)
