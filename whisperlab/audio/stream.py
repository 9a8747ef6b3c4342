"""What every reader gives: blocks of decoded samples, and whether the file was cut.

Owns the contract between readers and ``decode``. It does not know libraries or formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from whisperlab.audio.resample import Block

BLOCK_BYTES = 1024 * 1024
"""Most bytes of one block: limits are looked at after each."""


class SampleStream(Protocol):
    """One sound being decoded."""

    @property
    def rate_hz(self) -> int:
        """Source rate of every block."""

    @property
    def truncated(self) -> bool:
        """Whether the file was cut or broke off; final once ``blocks`` has ended."""

    def blocks(self) -> Iterator[Block]:
        """Yields blocks ``(n_frames, n_channels)`` of at most ``BLOCK_BYTES``."""

    def close(self) -> None:
        """Frees the library's objects."""
