"""The one door: encoded bytes or a path in, a 16 kHz mono ``Waveform`` or a typed refusal out.

Owns the order of things: size, kind, header, then block by block the samples with the running
limits, down-mix and resampling. It does not know how any format is written.
"""

from __future__ import annotations

import logging
import os
from contextlib import closing

import numpy as np

from whisperlab.audio.aiff import read_aiff_layout
from whisperlab.audio.flac import read_flac_header
from whisperlab.audio.limits import AudioLimits
from whisperlab.audio.matroska import segment_is_cut
from whisperlab.audio.mp4 import inspect_mp4
from whisperlab.audio.mpeg import counted_window, scan_mp3
from whisperlab.audio.ogg import read_ogg_header
from whisperlab.audio.resample import Block, MonoSignal, full_scale
from whisperlab.audio.riff import read_wav_layout
from whisperlab.audio.sniff import AudioFormat, Sniffed, sniff
from whisperlab.audio.source import ByteSource, Window, open_source
from whisperlab.audio.stream import SampleStream
from whisperlab.audio.waveform import SAMPLE_RATE_HZ, Samples, Waveform
from whisperlab.errors import AudioError
from whisperlab.stopwatch import Stopwatch

_logger = logging.getLogger(__name__)

_LOUDEST = 1e6
"""Largest magnitude of a sample: its square, summed over a window, stays far inside float32."""

_MP3_TOLERANCE_FRAMES = 4 * 1152  # encoder delay and padding, which decoders cut off


def decode(
    source: bytes | os.PathLike[str],
    limits: AudioLimits = AudioLimits(),  # noqa: B008  frozen, and the documented default
    *,
    stopwatch: Stopwatch | None = None,
) -> Waveform:
    """Returns the sound of an encoded file as mono float32 at 16 kHz, or says why not.

    The content decides what it is, never the name. WAV, FLAC, Ogg (Opus, Vorbis), MP3, AIFF, MP4/M4A
    and WebM/Matroska are decoded; the first audio stream counts; channels are averaged. Float samples
    in integer scale are divided back (a warning is logged). A file that was cut is decoded as far as
    it goes and says so in ``Waveform.truncated``.

    Args:
        source: the encoded bytes, or the path of a regular file on this machine.
        limits: what the sound may cost.
        stopwatch: receives the stages ``read`` (bytes from disk), ``decode`` and ``resample``.

    Raises:
        AudioError: with one of the codes ``unsupported_path``, ``file_not_found``, ``empty_file``,
            ``file_too_large``, ``audio_too_short``, ``audio_too_long``, ``invalid_audio``,
            ``invalid_samples``, ``invalid_sample_rate``, ``too_many_channels``,
            ``no_audio_stream``, ``unsupported_format``, ``unsupported_codec``, ``decode_memory``.

    >>> import struct
    >>> samples = struct.pack("<1600h", *[16_384] * 1600)
    >>> header = struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", 36 + 3200, b"WAVEfmt ", 16,
    ...                      1, 1, 16_000, 32_000, 2, 16, b"data", 3200)
    >>> waveform = decode(header + samples)
    >>> waveform.duration_seconds, float(waveform.samples[0])
    (0.1, 0.5)
    """
    watch = Stopwatch() if stopwatch is None else stopwatch
    with open_source(source) as encoded:
        try:
            return _decode(encoded, limits, watch)
        except MemoryError as error:
            raise AudioError(
                "expected a sound that fits the memory, ran out while decoding; split it",
                code="decode_memory",
            ) from error
        finally:
            watch.add("read", encoded.seconds_reading)
            watch.add("decode", -encoded.seconds_reading)  # reading happened inside decoding


def _decode(encoded: ByteSource, limits: AudioLimits, watch: Stopwatch) -> Waveform:
    with watch.stage("decode"):
        limits.check_size(encoded.size)
        opened = _open(encoded, sniff(encoded), limits)
    with closing(opened) as stream:
        samples, scale = _collect(stream, encoded, limits, watch)
        truncated = stream.truncated
    if truncated and limits.strict:
        raise AudioError(
            "expected a whole recording, got one that was cut off; send it again, or decode as far "
            "as it goes with audio.strict=false",
            code="invalid_audio",
        )
    if scale != 1.0:
        _logger.warning("float samples in integer scale were divided by %d", scale)
        samples /= np.float32(scale)
    return Waveform(samples, SAMPLE_RATE_HZ, truncated=truncated)


def _open(encoded: ByteSource, sniffed: Sniffed, limits: AudioLimits) -> SampleStream:
    """Reads the header and returns the stream of blocks."""
    if sniffed.format in (AudioFormat.MP4, AudioFormat.MATROSKA):
        return _open_container(encoded, sniffed.format, limits)
    from whisperlab.audio import soundfile_reader  # loads libsndfile

    if sniffed.format is AudioFormat.FLAC:
        flac = read_flac_header(encoded, sniffed.offset, limits)
        window = Window(encoded, sniffed.offset)
        return soundfile_reader.SoundfileStream(window, expected_frames=flac.frames)
    if sniffed.format is AudioFormat.OGG:
        ogg = read_ogg_header(encoded, limits)
        return soundfile_reader.SoundfileStream(Window(encoded, 0), truncated=ogg.truncated)
    if sniffed.format is AudioFormat.MP3:
        scan = scan_mp3(encoded, sniffed.offset, limits)
        return soundfile_reader.SoundfileStream(
            counted_window(encoded, scan),
            truncated=scan.truncated,
            expected_frames=scan.frames * scan.header.samples,
            tolerance=_MP3_TOLERANCE_FRAMES,
        )
    read_layout = read_wav_layout if sniffed.format is AudioFormat.WAV else read_aiff_layout
    layout = read_layout(encoded, limits)
    if layout.frames is not None:  # plain samples: their bytes are there, so their length is known
        limits.check_too_short(layout.frames, layout.rate_hz)
        limits.check_too_long(layout.frames, layout.rate_hz, layout.channels)
    return soundfile_reader.open_layout(encoded, layout)


def _open_container(encoded: ByteSource, kind: AudioFormat, limits: AudioLimits) -> SampleStream:
    from whisperlab.audio import pyav_reader  # loads FFmpeg

    mp4 = kind is AudioFormat.MP4
    return pyav_reader.PyavStream(
        Window(encoded, 0),
        pyav_reader.MP4_DEMUXER if mp4 else pyav_reader.MATROSKA_DEMUXER,
        limits,
        truncated=inspect_mp4(encoded, limits) if mp4 else segment_is_cut(encoded),
    )


def _collect(
    stream: SampleStream, encoded: ByteSource, limits: AudioLimits, watch: Stopwatch
) -> tuple[Samples, float]:
    """Returns the 16 kHz mono samples and the full scale of the source."""
    limits.check_rate(stream.rate_hz)
    signal, frames, peak = MonoSignal(stream.rate_hz), 0, 0.0
    blocks = stream.blocks()
    while True:
        with watch.stage("decode"):
            block = next(blocks, None)
        encoded.check()
        if block is None:
            break
        encoded.renew_allowance()
        frames += len(block)
        limits.check_too_long(frames, stream.rate_hz, block.shape[1])
        peak = max(peak, _checked_peak(block))
        with watch.stage("resample"):
            signal.add(block)
    limits.check_too_short(frames, stream.rate_hz)
    with watch.stage("resample"):
        return signal.finish(), full_scale(peak)


def _checked_peak(block: Block) -> float:
    if len(block) == 0:
        return 0.0
    # min and max hand a NaN on, and a comparison with NaN is false: two passes find all three.
    low, high = float(block.min()), float(block.max())
    if not (low >= -_LOUDEST and high <= _LOUDEST):
        raise AudioError(
            f"expected finite samples of at most {_LOUDEST:g}, got {low:g} to {high:g}; "
            "repair the recording",
            code="invalid_samples",
        )
    return max(-low, high)
