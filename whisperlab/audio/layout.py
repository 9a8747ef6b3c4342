"""Uncompressed (or block-compressed) samples at rest: what the WAV and AIFF walks find.

Owns the one description that both walks hand to the reader, so that no library parses those
headers again and comes to another answer. It does not know chunk formats.
"""

from __future__ import annotations

from dataclasses import dataclass

from whisperlab.errors import AudioError

_BYTES_PER_SAMPLE = {
    "PCM_S8": 1,
    "PCM_U8": 1,
    "PCM_16": 2,
    "PCM_24": 3,
    "PCM_32": 4,
    "FLOAT": 4,
    "DOUBLE": 8,
    "ULAW": 1,
    "ALAW": 1,
}


@dataclass(frozen=True, slots=True)
class SampleLayout:
    """``length`` bytes of samples at ``offset``; ``encoding`` is libsndfile's name of a subtype.

    ``header`` is empty for plain samples; for ADPCM it is a canonical header under which
    libsndfile decodes the blocks. ``truncated`` says that the file's header promised more.

    >>> SampleLayout("PCM_16", 16_000, channels=2, offset=44, length=8).frames
    2
    """

    encoding: str
    rate_hz: int
    channels: int
    offset: int
    length: int
    big_endian: bool = False
    truncated: bool = False
    header: bytes = b""

    @property
    def frames(self) -> int | None:
        """Samples per channel; None where only decoding can tell."""
        if self.header:
            return None
        return self.length // (self.channels * _BYTES_PER_SAMPLE[self.encoding])


def pcm_encoding(bits: int, *, eight_bit: str) -> str:
    """Returns libsndfile's name for integer samples of ``bits``, left-justified in whole bytes.

    Source: RIFF and AIFF alike pad a sample to whole bytes (IBM & Microsoft 1991, "Data Format of
    the Samples"; Apple AIFF 1.3, "Sound Data Chunk").

    >>> pcm_encoding(12, eight_bit="PCM_U8")
    'PCM_16'
    """
    width = (bits + 7) // 8
    names = {1: eight_bit, 2: "PCM_16", 3: "PCM_24", 4: "PCM_32"}
    if width not in names:
        raise AudioError(
            f"expected samples of 1 to 32 bits, got {bits}; the file's header is damaged",
            code="invalid_audio",
        )
    return names[width]


def bytes_per_frame(encoding: str, channels: int) -> int:
    """Returns the block size that the samples of one instant must have."""
    return _BYTES_PER_SAMPLE[encoding] * channels
