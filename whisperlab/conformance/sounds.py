"""The clip in every format that a server must read, encoded here."""

from __future__ import annotations

import io
from typing import Any, Final

import av
import numpy as np
import soundfile

from whisperlab.audio import SAMPLE_RATE_HZ, Samples, decode
from whisperlab.conformance.server import DEMO

LONG_STEPS: Final = 8
LONG_STEP_SECONDS: Final = 10

_SOUNDFILE: Final = {
    "wav": ("WAV", "PCM_16"),
    "wav_float": ("WAV", "FLOAT"),
    "flac": ("FLAC", "PCM_16"),
    "ogg_vorbis": ("OGG", "VORBIS"),
    "ogg_opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
"""Formats that libsndfile writes: container and coding."""

_CONTAINERS: Final = {"m4a": ("ipod", "aac", "fltp"), "webm": ("webm", "libopus", "flt")}
"""Formats that FFmpeg writes: muxer, coder and its sample format."""


def encoded(clip: bytes) -> dict[str, bytes]:
    """Returns the clip in every format, by name."""
    samples = decode(clip).samples
    files = {name: _by_soundfile(samples, *how) for name, how in _SOUNDFILE.items()}
    files |= {name: _by_ffmpeg(samples, *how) for name, how in _CONTAINERS.items()}
    return files


def silence(seconds: float) -> bytes:
    """Returns a WAV file of digital silence."""
    return _by_soundfile(np.zeros(round(seconds * SAMPLE_RATE_HZ), np.float32), "WAV", "PCM_16")


def long_sound() -> bytes:
    """Returns digits of the demo set with pauses, a strand every 10 s, 80 s, as a WAV file.

    Longer than two of Whisper's windows, so that there is something to stream.
    """
    size = LONG_STEP_SECONDS * SAMPLE_RATE_HZ
    samples: Samples = np.zeros(LONG_STEPS * size, np.float32)
    for step, path in enumerate(sorted(DEMO.glob("digits-*.flac"))[:LONG_STEPS]):
        strand = decode(path).samples
        samples[step * size : step * size + len(strand)] = strand
    return _by_soundfile(samples, "WAV", "PCM_16")


def _by_soundfile(samples: Samples, container: str, coding: str) -> bytes:
    written = io.BytesIO()
    soundfile.write(written, samples, SAMPLE_RATE_HZ, format=container, subtype=coding)
    return written.getvalue()


def _by_ffmpeg(samples: Samples, muxer: str, coder: str, sample_format: str) -> bytes:
    written = io.BytesIO()
    with av.open(written, "w", format=muxer) as container:
        stream: Any = container.add_stream(coder, rate=SAMPLE_RATE_HZ, layout="mono")
        resampler = av.AudioResampler(sample_format, "mono", stream.rate)
        # shape (1, n_samples): one channel
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="flt", layout="mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        fifo = av.AudioFifo()
        for part in resampler.resample(frame):
            fifo.write(part)
        size = stream.codec_context.frame_size
        while (part := fifo.read(size, partial=True)) is not None:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return written.getvalue()
