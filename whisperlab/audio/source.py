"""Where encoded bytes come from: an upload in memory, or a regular file that is opened safely.

Owns the rule which paths are read at all, and the counting of what is read. Names reach no decoder:
libraries see a ``Window``, a file object over a range of these bytes. It does not know formats.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from time import perf_counter
from typing import BinaryIO

from whisperlab.errors import AudioError

# "https:", "concat:", "subfile,,start,0,end,9,,:": what a path component of a URL or of one of
# FFmpeg's protocols looks like (pathlib folds "http://x" to "http:/x"). Two letters at least, so
# that a Windows drive is none.
_PROTOCOL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+(,[^:]*)?:(?!\s)")

_MOST_BYTES_WITHOUT_SOUND = 256 * 1024 * 1024
"""Bytes that a decoder may read before it hands over a sample: more is a search through junk."""


class ByteSource:
    """Random access to ``size`` encoded bytes, with what was read counted and timed.

    Reading past the end, past the allowance or from a failing disk gives fewer bytes, never an
    exception: the readers are C libraries that cannot pass one on. ``check`` raises it afterwards.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.size = size
        self.seconds_reading = 0.0
        self._file = file
        self._allowance = _MOST_BYTES_WITHOUT_SOUND
        self._failure: OSError | None = None

    def read_at(self, offset: int, length: int) -> bytes:
        """Returns up to ``length`` bytes from ``offset``."""
        length = min(length, self.size - offset, self._allowance)
        if length <= 0 or offset < 0:
            return b""
        started = perf_counter()
        try:
            self._file.seek(offset)
            found = self._file.read(length)
        except OSError as error:
            self._failure = error
            found = b""
        self.seconds_reading += perf_counter() - started
        self._allowance -= len(found)
        return found

    def renew_allowance(self) -> None:
        """Says that sound came out of what was read."""
        self._allowance = _MOST_BYTES_WITHOUT_SOUND

    def check(self) -> None:
        """Raises the read error that ``read_at`` kept back, if there was one."""
        if self._failure is not None:
            raise AudioError(
                f"expected readable bytes, got {self._failure.strerror}; check the disk",
                code="invalid_audio",
            ) from self._failure


class Window(io.RawIOBase):
    """Read-only file object: ``prefix``, then bytes ``start`` (in) to ``end`` (out) of a source.

    >>> whole = ByteSource(io.BytesIO(b"junk-sound-junk"), 15)
    >>> Window(whole, 5, 10, prefix=b"a ").read()
    b'a sound'
    """

    def __init__(
        self, source: ByteSource, start: int, end: int | None = None, prefix: bytes = b""
    ) -> None:
        self._source = source
        self._prefix = prefix
        self._start = start
        self._size = len(prefix) + (source.size if end is None else end) - start
        self._position = 0

    def readable(self) -> bool:  # noqa: D102  io's contract
        return True

    def seekable(self) -> bool:  # noqa: D102  io's contract
        return True

    def tell(self) -> int:  # noqa: D102  io's contract
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:  # noqa: D102  io's contract
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # noqa: D102  libraries hand in memoryviews and cffi buffers; io's contract
        wanted = min(len(buffer), self._size - self._position)
        if wanted <= 0:
            return 0
        # Whole reads, across the seam too: libsndfile takes a short one for the end.
        found = self._prefix[self._position : self._position + wanted]
        if len(found) < wanted:
            inside = self._position + len(found) - len(self._prefix)
            found += self._source.read_at(self._start + inside, wanted - len(found))
        buffer[: len(found)] = found
        self._position += len(found)
        return len(found)


@contextmanager
def open_source(source: bytes | os.PathLike[str]) -> Iterator[ByteSource]:
    """Yields the bytes of an upload or of a regular file; closes the file at the end.

    Raises:
        AudioError: ``unsupported_path`` for what is not a regular file (found out without opening
            it: opening a FIFO can hang) or looks like a URL; ``file_not_found``.
    """
    if isinstance(source, bytes):
        yield ByteSource(io.BytesIO(source), len(source))  # BytesIO shares the bytes until written
        return
    path = os.fspath(source)
    with _open_regular_file(path) as file:
        yield ByteSource(file, os.fstat(file.fileno()).st_size)


def _open_regular_file(path: str) -> BinaryIO:
    try:
        # stat before open: opening may hang (FIFO) or act (a tape rewinds); O_NONBLOCK and the
        # second look are for the moment between the two.
        _require_regular(path, os.stat(path).st_mode)
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
        file = open(path, "rb", buffering=0, opener=lambda name, _: os.open(name, flags))  # noqa: SIM115  the caller closes it
    except (FileNotFoundError, NotADirectoryError) as error:
        if any(_PROTOCOL.match(part) for part in PurePath(path).parts):
            raise AudioError(
                f"expected a file on this machine, got {path!r}, which looks like a URL or a "
                "protocol; download the recording first",
                code="unsupported_path",
            ) from error
        raise AudioError(
            f"expected an audio file, found none at {path!r}; check the path",
            code="file_not_found",
        ) from error
    except (OSError, ValueError) as error:  # no rights, too long, a loop of links, a NUL
        raise AudioError(
            f"expected a readable file at {path!r}, got {error}; check path and rights",
            code="unsupported_path",
        ) from error
    try:
        _require_regular(path, os.fstat(file.fileno()).st_mode)
    except AudioError:
        file.close()
        raise
    return file


def _require_regular(path: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = {
            stat.S_IFDIR: "a directory",
            stat.S_IFIFO: "a FIFO",
            stat.S_IFSOCK: "a socket",
            stat.S_IFCHR: "a device",
            stat.S_IFBLK: "a device",
        }.get(stat.S_IFMT(mode), "something else")
        raise AudioError(
            f"expected a regular file, got {kind} at {path!r}; name an audio file",
            code="unsupported_path",
        )
