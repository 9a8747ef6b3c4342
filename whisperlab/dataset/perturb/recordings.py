"""A folder of recordings to perturb with: noises of one's own, impulse responses of one's own rooms.

Owns finding, naming and reading them. It does not know what is done with them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from whisperlab.audio import SAMPLE_RATE_HZ, AudioLimits, Samples, decode
from whisperlab.errors import DatasetError

SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".m4a", ".mp4", ".webm", ".mka"}
)
"""What is taken for a recording in the folder; the content decides what it is."""

DIGEST_DIGITS = 12

ANY_LENGTH = AudioLimits(min_seconds=0.0)
"""An impulse response may last a hundredth of a second."""


@dataclass(frozen=True)
class Recordings:
    """The recordings below ``folder``, in the order of their paths, each decoded once."""

    folder: Path

    def drawn(self, chance: np.random.Generator, rate_hz: int) -> Samples:
        """Returns one of them, mono, ``(n_samples,)`` at ``rate_hz``."""
        path = self._paths[int(chance.integers(len(self._paths)))]
        if path not in self._decoded:
            self._decoded[path] = decode(path, ANY_LENGTH).samples
        samples = self._decoded[path]
        if rate_hz == SAMPLE_RATE_HZ:
            return samples
        import soxr

        return np.asarray(soxr.resample(samples, SAMPLE_RATE_HZ, rate_hz), dtype=np.float32)

    def digest(self) -> str:
        """Returns a name for what is in the folder: a digest over paths and contents."""
        digest = hashlib.sha256()
        for path in self._paths:
            digest.update(f"{path.relative_to(self.folder).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()[:DIGEST_DIGITS]

    @cached_property
    def _paths(self) -> list[Path]:
        found = sorted(
            path
            for path in self.folder.rglob("*")
            if path.suffix.lower() in SUFFIXES and path.is_file()
        )
        if not found:
            raise DatasetError(
                f"{self.folder}: expected a folder with recordings ({', '.join(sorted(SUFFIXES))}), "
                f"found {'none in it' if self.folder.is_dir() else 'no folder'}; check the path"
            )
        return found

    @cached_property
    def _decoded(self) -> dict[Path, Samples]:
        return {}
