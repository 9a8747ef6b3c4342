"""Walks the boxes of an MP4, M4A or QuickTime file before FFmpeg builds its index from them.

::

    0000001c 66747970 4d344120 ...      28 bytes "ftyp" "M4A "
    00000313 6d6f6f76                   787 bytes "moov": trak > mdia > minf > stbl
      0000001c 7374737a 00000000 00000000 00000018   "stsz": each sample its own size, 24 of them
    000031ea 6d646174 ...               12778 bytes "mdat": the samples

A few bytes here can ask for gigabytes: counts are multiplied with each other and allocated. The walk
refuses tables that are longer than their box and indexes longer than the sound may be. It also
says whether the file is cut. It does not decode.

Source: ISO/IEC 14496-12, sections 4.2, 8.6 to 8.8; FFmpeg ``libavformat/mov.c``, ``mov_build_index``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whisperlab.audio.limits import AudioLimits
from whisperlab.audio.source import ByteSource
from whisperlab.errors import AudioError

_MOST_BOXES = 262_144  # 20 ms fragments for an hour are 180,000 pairs at most; more is no recording
_LARGEST_INDEX_BOX = 64 * 1024 * 1024
_DEEPEST = 10  # moov/trak/mdia/minf/stbl is 5
_MOST_EDITS = 64  # FFmpeg walks the whole index once an edit
_SAMPLES_PER_ENTRY = 1024  # how FFmpeg cuts chunks of PCM (mov.c)
_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf", b"mvex")
# Bytes before the entries of a table (version, flags, count, ...) and bytes an entry.
_TABLES = {
    b"stts": (8, 8),
    b"ctts": (8, 8),
    b"stsc": (8, 12),
    b"stco": (8, 4),
    b"co64": (8, 8),
    b"stss": (8, 4),
}
# What each flag of "trun" adds: bytes once (data offset, first flags) or bytes a sample.
_TRUN_ONCE, _TRUN_EACH = (0x1, 0x4), (0x100, 0x200, 0x400, 0x800)


@dataclass(slots=True)
class _Track:
    """The sizes of one track's tables, as far as they have been seen."""

    samples: int = 0
    chunks: int = 0
    runs: NDArray[np.float64] | None = None  # "stsc": (n, 3): first chunk, samples a chunk, which
    one_tick: bool = False  # every sample lasts one tick: PCM, indexed by chunk

    def index_entries(self) -> int:
        """Returns how many entries FFmpeg will allocate for this track."""
        if not self.one_tick:
            return self.samples
        if self.runs is None or len(self.runs) == 0:
            return 0
        first, samples = self.runs[:, 0], self.runs[:, 1]
        chunks = np.maximum(np.diff(first, append=self.chunks + 1), 0)
        return int((chunks * np.ceil(samples / _SAMPLES_PER_ENTRY)).sum())


class _Walk:
    """Adds up what the boxes ask for."""

    def __init__(self, limits: AudioLimits) -> None:
        self._limits = limits
        self._boxes = 0
        self._tracks: list[_Track] = [_Track()]
        self._fragment_samples = 0

    def count_box(self) -> None:
        self._boxes += 1
        if self._boxes > _MOST_BOXES:
            raise _damaged(f"at most {_MOST_BOXES} boxes", "more")

    def enter(self, body: memoryview, depth: int) -> None:
        if depth > _DEEPEST:
            raise _damaged(f"boxes at most {_DEEPEST} deep", "deeper ones")
        for name, inner in _boxes(body):
            self.count_box()
            if name == b"trak":
                self._tracks.append(_Track())
            if name in _CONTAINERS:
                self.enter(inner, depth + 1)
            elif name in _TABLES:
                self._read_table(name, inner)
            elif name in (b"stsz", b"stz2"):
                self._read_sizes(name, inner)
            elif name == b"elst":
                self._check_edits(inner)
            elif name == b"trun":
                self._read_run(inner)

    def check_index(self) -> None:
        entries = sum(track.index_entries() for track in self._tracks) + self._fragment_samples
        if entries > self._limits.max_packets:
            raise AudioError(
                f"MP4: expected at most {self._limits.max_packets} packets, its index has {entries}; "
                "split the recording",
                code="audio_too_long",
            )

    def _read_table(self, name: bytes, body: memoryview) -> None:
        before, width = _TABLES[name]
        count = _count(name, body, before, width)
        track = self._tracks[-1]
        if name in (b"stco", b"co64"):
            track.chunks = count
        elif name == b"stsc":
            # Floats: the products of a hostile table do not fit 64 bits.
            table = np.frombuffer(body, dtype=">u4", offset=before, count=3 * count)
            track.runs = table.reshape(count, 3).astype(np.float64)
        elif name == b"stts":
            track.one_tick = count == 1 and struct.unpack(">I", body[12:16])[0] == 1

    def _read_sizes(self, name: bytes, body: memoryview) -> None:
        if len(body) < 12:  # noqa: PLR2004  version and flags, size, count
            raise _damaged(f"a whole {name.decode()} box", f"{len(body)} bytes")
        size, count = struct.unpack(">II", body[4:12])
        bits = 32 if name == b"stsz" else size & 0xFF  # stz2 says how wide its entries are
        shared = name == b"stsz" and size != 0
        if not shared and count * bits > (len(body) - 12) * 8:
            raise _damaged(f"a {name.decode()} table inside its box", f"{count} entries")
        self._tracks[-1].samples = count

    def _check_edits(self, body: memoryview) -> None:
        width = 20 if len(body) > 0 and body[0] == 1 else 12
        count = _count(b"elst", body, 8, width)
        if count > _MOST_EDITS:
            raise _damaged(f"at most {_MOST_EDITS} edits", f"{count}")

    def _read_run(self, body: memoryview) -> None:
        flags = struct.unpack(">I", bytes(body[:4]).rjust(4, b"\0"))[0]
        before = 8 + 4 * sum(1 for flag in _TRUN_ONCE if flags & flag)
        width = 4 * sum(1 for flag in _TRUN_EACH if flags & flag)
        self._fragment_samples += _count(b"trun", body, before, width)


def inspect_mp4(source: ByteSource, limits: AudioLimits) -> bool:
    """Returns whether the file is cut: whether a box claims bytes beyond its end.

    Raises:
        AudioError: ``invalid_audio`` for tables that cannot be; ``audio_too_long`` for an index
            that no sound within the limits has.
    """
    walk = _Walk(limits)
    position, cut = 0, False
    while position < source.size and not cut:
        walk.count_box()
        head = source.read_at(position, 16)
        if len(head) < 8:  # noqa: PLR2004  size and name
            break
        size, name = struct.unpack(">I4s", head[:8])
        header = 8
        if size == 1 and len(head) == 16:  # noqa: PLR2004  the size follows in 8 bytes
            size, header = struct.unpack(">Q", head[8:])[0], 16
        if size == 0:  # to the end of the file
            size = source.size - position
        if size < header:
            break
        cut = position + size > source.size
        if name in (b"moov", b"moof") and not cut:
            if size > _LARGEST_INDEX_BOX:
                raise _damaged(f"an index of at most {_LARGEST_INDEX_BOX} bytes", f"{size}")
            walk.enter(memoryview(source.read_at(position + header, size - header)), depth=1)
        position += size
    walk.check_index()
    return cut


def _boxes(body: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    position = 0
    while position + 8 <= len(body):
        size, name = struct.unpack(">I4s", body[position : position + 8])
        header = 8
        if size == 1 and position + 16 <= len(body):
            size, header = struct.unpack(">Q", body[position + 8 : position + 16])[0], 16
        if size == 0:
            size = len(body) - position
        if size < header:
            return
        yield name, body[position + header : position + size]
        position += size


def _count(name: bytes, body: memoryview, before: int, width: int) -> int:
    """Returns the number of entries of a table, after a look whether they fit their box."""
    if len(body) < 8:  # noqa: PLR2004  version and flags, count
        raise _damaged(f"a whole {name.decode()} box", f"{len(body)} bytes")
    count = int(struct.unpack(">I", body[4:8])[0])
    if count * width > max(0, len(body) - before):
        raise _damaged(f"a {name.decode()} table inside its box", f"{count} entries")
    return count


def _damaged(expected: str, got: str) -> AudioError:
    return AudioError(
        f"MP4: expected {expected}, got {got}; save the recording again", code="invalid_audio"
    )
