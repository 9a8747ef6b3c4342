"""Decodes with PyAV (FFmpeg): MP4 and Matroska only, with everything else that FFmpeg can do shut.

Owns the lock-down. Given a file object and no forced format, FFmpeg takes an 82-byte text for a session
description and opens UDP sockets, or reads the neighbouring file that an ``ffconcat`` text names.
It does not know limits beyond what it must refuse before decoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import av
import numpy as np

from whisperlab.audio.limits import AudioLimits
from whisperlab.audio.resample import Block
from whisperlab.audio.source import Window
from whisperlab.audio.stream import BLOCK_BYTES
from whisperlab.errors import AudioError

MP4_DEMUXER = "mov,mp4,m4a,3gp,3g2,mj2"
MATROSKA_DEMUXER = "matroska,webm"

_CODECS = (
    *("aac", "alac", "flac", "mp3", "mp3float", "opus", "libopus", "vorbis"),
    *(
        "pcm_alaw",
        "pcm_mulaw",
        "pcm_u8",
        "pcm_s8",
        "pcm_f32le",
        "pcm_f32be",
        "pcm_f64le",
        "pcm_f64be",
    ),
    *("pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be"),
)
_MOST_STREAMS = 64
_JOINED_FRAMES = 16_384  # codec frames of about 1,000 samples are handed on in larger blocks
_MOST_PLANES = 8  # AVFrame.data; PyAV reads behind the table of planes where there are more
# FFmpeg's sample formats ("p": one plane a channel), full scale and zero of the integer ones.
_SAMPLE_TYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "flt": "f4", "dbl": "f8"}
_FULL_SCALE = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31}


class PyavStream:
    """A ``SampleStream`` over the first audio stream of a container.

    Raises:
        AudioError: ``invalid_audio``, ``no_audio_stream``, ``unsupported_codec``, and what the
            limits say of channels and rate before a decoder is started.
    """

    def __init__(self, file: Window, demuxer: str, limits: AudioLimits, *, truncated: bool) -> None:
        self.truncated = truncated
        self._limits = limits
        try:
            self._container: Any = av.open(
                file,
                "r",
                format=demuxer,
                options={
                    "format_whitelist": demuxer,
                    "protocol_whitelist": "none",
                    "codec_whitelist": ",".join(_CODECS),
                    "enable_drefs": "0",
                    "use_absolute_path": "0",
                    "max_streams": str(_MOST_STREAMS),
                },
                metadata_errors="replace",
                io_open=_refuse_reference,
            )
        except av.FFmpegError as error:
            raise _undecodable(error) from error
        try:
            self._stream = self._first_audio_stream()
            self._frames = self._decoded_frames()
            # Only decoding tells the rate: an AAC header may give half of it (HE-AAC).
            self._first = next(self._frames, None)
        except AudioError:
            self.close()
            raise
        context = self._stream.codec_context
        self.rate_hz: int = context.sample_rate if self._first is None else self._first.sample_rate

    def _first_audio_stream(self) -> Any:
        streams = self._container.streams
        if not streams.audio:
            raise AudioError(
                f"expected an audio stream, got {len(streams)} streams without one; "
                "send a recording with sound",
                code="no_audio_stream",
            )
        stream = streams.audio[0]
        codec = "unknown" if stream.codec_context is None else stream.codec_context.name
        if codec not in _CODECS:
            raise AudioError(
                f"expected AAC, ALAC, FLAC, MP3, Opus, Vorbis or PCM, got {codec}; convert it",
                code="unsupported_codec",
            )
        channels = stream.codec_context.channels
        self._limits.check_channels(channels)
        if channels > _MOST_PLANES:
            raise AudioError(
                f"expected at most {_MOST_PLANES} channels in MP4 and Matroska, got {channels}; "
                "mix down first",
                code="too_many_channels",
            )
        self._limits.check_rate(stream.codec_context.sample_rate)
        stream.codec_context.thread_count = 1
        for other in streams:
            if other is not stream:
                other.discard = av.stream.Discard.all  # pictures are not even read
        return stream

    def _decoded_frames(self) -> Iterator[Any]:
        """Yields FFmpeg's frames; an error behind good ones ends them, as a cut does."""
        packets, decoded = 0, False
        try:
            for packet in self._container.demux(self._stream):
                packets += 1
                if packets > self._limits.max_packets:
                    raise AudioError(
                        f"expected at most {self._limits.max_packets} packets, got more; "
                        "split the recording",
                        code="audio_too_long",
                    )
                for frame in packet.decode():
                    decoded = True
                    yield frame
        except av.FFmpegError as error:
            if not decoded:
                raise _undecodable(error) from error
            self.truncated = True

    def blocks(self) -> Iterator[Block]:
        """Yields decoded blocks; a change of rate or channels in mid stream ends them."""
        if self._first is None:
            return
        channels = self._first.layout.nb_channels
        waiting, frames = [_to_block(self._first)], self._first.samples
        for frame in self._frames:
            if (frame.sample_rate, frame.layout.nb_channels) != (self.rate_hz, channels):
                self.truncated = True
                break
            waiting.append(_to_block(frame))
            frames += frame.samples
            if frames >= _JOINED_FRAMES:
                yield from _cut(np.concatenate(waiting))
                waiting, frames = [], 0
        if waiting:
            yield from _cut(np.concatenate(waiting))

    def close(self) -> None:
        """Closes FFmpeg's container."""
        self._container.close()


def _to_block(frame: Any) -> Block:
    """Returns a copy of FFmpeg's frame as float32 in [-1, 1], shape ``(n_frames, n_channels)``."""
    kind, channels = frame.format.name.removesuffix("p"), frame.layout.nb_channels
    if kind not in _SAMPLE_TYPES or channels > _MOST_PLANES:
        raise AudioError(
            f"expected samples of 8 to 32 bits or float, got {frame.format.name} of {channels} "
            "channels; convert the file",
            code="unsupported_codec",
        )
    planes, width = (channels, 1) if frame.format.is_planar else (1, channels)
    block = np.empty((frame.samples, channels), dtype=np.float32)
    # Not frame.to_ndarray(): PyAV 18.1 finds a ninth plane behind eight and reads it (a crash).
    for index, plane in enumerate(frame.planes[:planes]):
        samples = np.frombuffer(plane, dtype=_SAMPLE_TYPES[kind], count=frame.samples * width)
        with np.errstate(over="ignore"):  # a double beyond float32 becomes Inf, which is refused
            block[:, index : index + width] = samples.reshape(-1, width)
    if kind == "u8":
        block -= np.float32(_FULL_SCALE[kind])
    if kind in _FULL_SCALE:
        block /= np.float32(_FULL_SCALE[kind])
    return block


def _cut(block: Block) -> Iterator[Block]:
    frames = max(1, BLOCK_BYTES // (4 * block.shape[1]))
    for start in range(0, len(block), frames):
        yield block[start : start + frames]


def _refuse_reference(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise AudioError(
        "expected a file that is complete in itself, got one that refers to another file; "
        "export it self-contained",
        code="invalid_audio",
    )


def _undecodable(error: Any) -> AudioError:
    reason = error.strerror or type(error).__name__
    return AudioError(
        f"expected decodable audio, got: {reason}; save the recording again", code="invalid_audio"
    )
