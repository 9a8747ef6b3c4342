"""Decodes with libsndfile: plain and ADPCM samples, FLAC, Ogg Opus and Vorbis, MP3.

Owns the calls of ``soundfile``. Headers were read before: plain samples are handed over as RAW, so
that libsndfile parses no WAV and no AIFF. It does not know limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import soundfile

from whisperlab.audio.layout import SampleLayout
from whisperlab.audio.resample import Block
from whisperlab.audio.source import ByteSource, Window
from whisperlab.audio.stream import BLOCK_BYTES
from whisperlab.errors import AudioError

_BYTES_PER_SAMPLE = 4  # float32
_CODEC_FRAMES = 4096  # damage costs the whole read that meets it; a FLAC frame is about this long


class _ForwardOnly(soundfile.SoundFile):  # type: ignore[misc]  # soundfile ships no types
    """``soundfile`` without its seek behind every read.

    That seek decodes again what was just decoded (FLAC is three times slower with it) and resets
    the state that Opus and MP3 carry from packet to packet.
    """

    def seekable(self) -> bool:
        """Returns False: blocks are read from front to back."""
        return False


class SoundfileStream:
    """A ``SampleStream`` over libsndfile.

    Args:
        file: what libsndfile sees.
        truncated: whether the header already shows a cut.
        expected_frames: frames that the header promises, 0 for none; fewer means a cut.
        tolerance: frames that may be missing nevertheless (encoder delay and padding).
        raw: how to read samples without a header.

    Raises:
        AudioError: ``invalid_audio`` when libsndfile refuses the file.
    """

    def __init__(
        self,
        file: Window,
        *,
        truncated: bool = False,
        expected_frames: int = 0,
        tolerance: int = 0,
        raw: dict[str, Any] | None = None,
    ) -> None:
        self.truncated = truncated
        self._expected, self._tolerance = expected_frames, tolerance
        try:
            self._file = _ForwardOnly(file, "r", **(raw or {}))
            if self._file.format == "OGG":
                # libsndfile 1.2.2 drops Opus' pre-skip of a stream that FFmpeg wrote only on a seek:
                # 6.5 ms that nobody said would stand in front.
                self._file.seek(0)
        except soundfile.LibsndfileError as error:
            raise AudioError(
                f"expected decodable audio, got: {_reason(error)}; save the recording again",
                code="invalid_audio",
            ) from error
        self.rate_hz: int = self._file.samplerate
        self.channels: int = self._file.channels

    def blocks(self) -> Iterator[Block]:
        """Yields decoded blocks until the end or, if there was sound before it, an error."""
        frames = BLOCK_BYTES // (_BYTES_PER_SAMPLE * self.channels)
        if self._file.format != "RAW":
            frames = min(frames, _CODEC_FRAMES)
        done = 0
        while True:
            # A new array each time: the consumer may keep a view.
            block = np.empty((frames, self.channels), dtype=np.float32)
            try:
                block = self._file.read(out=block)
            except soundfile.LibsndfileError as error:
                if done == 0:
                    raise AudioError(
                        f"expected decodable audio, got: {_reason(error)}; save it again",
                        code="invalid_audio",
                    ) from error
                self.truncated = True
                return
            if len(block) == 0:
                break
            done += len(block)
            yield block
        self.truncated = self.truncated or done + self._tolerance < self._expected

    def close(self) -> None:
        """Closes libsndfile's handle."""
        self._file.close()


def open_layout(source: ByteSource, layout: SampleLayout) -> SoundfileStream:
    """Returns the samples that a WAV or AIFF walk has found."""
    window = Window(source, layout.offset, layout.offset + layout.length, prefix=layout.header)
    raw = {
        "format": "RAW",
        "subtype": layout.encoding,
        "endian": "BIG" if layout.big_endian else "LITTLE",
        "samplerate": layout.rate_hz,
        "channels": layout.channels,
    }
    return SoundfileStream(window, truncated=layout.truncated, raw=None if layout.header else raw)


def _reason(error: Any) -> str:
    return str(error.error_string).rstrip(".")
