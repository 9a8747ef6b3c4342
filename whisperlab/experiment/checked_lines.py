r"""Files of checked records: one JSON object a line with its CRC-32, append only, crash-safe.

Owns the file format, the lock and what survives a kill. It does not know what a record means.

A line; the CRC is over the bytes of the record exactly as they stand::

    {"crc32": "5f1c3a9e", "record": {"id": "ls-1034", "state": "ok"}}

A torn last line (killed while writing) is cut when the file is opened for writing; a damaged line in
the middle is an error, because it is not ours.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, BinaryIO, Self

from whisperlab.errors import (
    ConfigError,
    DatasetError,
    RunInUseError,
    WhisperlabError,
    WriteError,
)

FSYNC_EVERY_RECORDS = 8
FSYNC_EVERY_SECONDS = 1.0
"""What a power cut may cost at most; a killed process loses nothing that was written."""

_PREFIX = b'{"crc32": "'
_MIDDLE = b'", "record": '
_CRC_DIGITS = 8


class CheckedLines:
    """A file of records, open for appending by exactly one process.

    Opening takes an exclusive lock for the life of the object and cuts a torn tail.

    Raises:
        RunInUseError: another living process has it open.
        WriteError: the file cannot be opened or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._unsynced = 0
        self._synced_at = perf_counter()
        try:
            self._file: BinaryIO = open(path, "a+b", buffering=0)  # noqa: SIM115 - closed by __exit__
        except OSError as error:
            raise _cannot_write(path, error) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise RunInUseError(
                f"{path.parent}: another process is writing this run; wait for it, or choose another run_dir"
            ) from error
        try:
            self._cut_torn_tail()
        except BaseException:  # whatever it was, also a stop signal: the lock must not outlive it
            self._file.close()
            raise

    def write(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Writes one line a record, in order; durable at the latest 8 records or 1 s later.

        Raises:
            WriteError: the disk is full or the file cannot be written; what was recorded stays.
        """
        try:
            for record in records:
                self._write(_line(record))
                self._unsynced += 1
                waited = perf_counter() - self._synced_at
                if self._unsynced >= FSYNC_EVERY_RECORDS or waited >= FSYNC_EVERY_SECONDS:
                    self._sync()
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def sync(self) -> None:
        """Makes everything durable that was written.

        Raises:
            WriteError: the disk is full or the file cannot be written.
        """
        try:
            self._sync()
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def replace(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Writes another content in the place of this one; a kill leaves the one or the other.

        Raises:
            WriteError: it cannot be written; the old content stays.
        """
        path = self.path
        beside = path.with_name(f".{path.name}.tmp")
        beside.unlink(missing_ok=True)
        other = CheckedLines(beside)  # locked before it takes the name
        try:
            other.write(records)
            other.sync()
            beside.replace(path)
        except OSError as error:
            other.close()
            raise _cannot_write(path, error) from error
        except BaseException:  # a stop signal too: the lock of the new file must not outlive it
            other.close()
            raise
        self._file.close()
        self._file = other._file

    def _write(self, line: bytes) -> None:
        # A full disk may take a part of a line; the next open cuts it as a torn tail.
        view = memoryview(line)
        while view:
            view = view[self._file.write(view) :]

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self._unsynced, self._synced_at = 0, perf_counter()

    def _cut_torn_tail(self) -> None:
        """Drops what follows the last complete, undamaged line."""
        good, damaged = 0, 0
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if damaged:
                    raise WriteError(
                        f"{self.path}:{damaged}: damaged record; restore the file or choose another run_dir",
                        code="damaged_ledger",
                    )
                if _is_undamaged(line):
                    good += len(line)
                else:
                    damaged = number
        if damaged:
            try:
                self._file.truncate(good)
                os.fsync(self._file.fileno())
            except OSError as error:
                raise _cannot_write(self.path, error) from error

    def close(self) -> None:
        """Makes everything durable and gives the lock back."""
        if not self._file.closed:
            try:
                self.sync()
            finally:
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps every writer out of a finished run's ledger while the block runs.

    Raises:
        RunInUseError: another living process has it open.
        ConfigError: there is no ledger.
    """
    with _opened(path, ConfigError, "name a run folder") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunInUseError(
                f"{path.parent}: another process is writing this run; wait for it"
            ) from error
        yield


def _opened(path: Path, failed: type[WhisperlabError], remedy: str) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise failed(f"{path}: cannot be read ({error.strerror}); {remedy}") from error


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the records in the order of writing; a torn last line is left out.

    Raises:
        DatasetError: a line before the last is damaged, or there is no such file; names file and line.
    """
    with _opened(path, DatasetError, "restore the file") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            if not _is_undamaged(line):
                raise DatasetError(
                    f"{path}:{number}: damaged record (CRC differs); restore the file",
                    code="damaged_ledger",
                )
            yield _record(path, number, line)


class RecordCount:
    """How many records others have written: a look reads only what a file has grown by since the last one."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[int, int]] = {}

    def of(self, paths: Iterable[Path]) -> int:
        """Returns the records of all ``paths``; a file that is not there yet has none."""
        return sum(self._of(path) for path in paths if path.exists())

    def _of(self, path: Path) -> int:
        size, records = self._read.get(path, (0, 0))
        with path.open("rb") as file:
            if file.seek(0, os.SEEK_END) < size:  # its torn tail was cut
                size = records = 0
            file.seek(size)
            grown = file.read()
        self._read[path] = size + len(grown), records + grown.count(b"\n")
        return self._read[path][1]


def _record(path: Path, number: int, line: bytes) -> dict[str, Any]:
    """Returns an undamaged line's record; a forged line has a right checksum too."""
    try:
        record = json.loads(line)["record"]
    except (ValueError, RecursionError, KeyError) as error:
        raise _no_record(path, number, type(error).__name__) from error
    if not isinstance(record, dict):
        raise _no_record(path, number, type(record).__name__)
    return record


def _no_record(path: Path, number: int, came: str) -> DatasetError:
    return DatasetError(
        f"{path}:{number}: expected a record as a JSON object, got {came}; restore the file",
        code="damaged_ledger",
    )


def _line(record: Mapping[str, Any]) -> bytes:
    text = json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass")
    crc = f"{zlib.crc32(text):0{_CRC_DIGITS}x}".encode()
    return _PREFIX + crc + _MIDDLE + text + b"}\n"


def _is_undamaged(line: bytes) -> bool:
    digits = line[len(_PREFIX) : len(_PREFIX) + _CRC_DIGITS]
    head = _PREFIX + digits + _MIDDLE
    if not line.startswith(head) or not line.endswith(b"}\n"):
        return False
    return f"{zlib.crc32(line[len(head) : -2]):0{_CRC_DIGITS}x}".encode() == digits


def _cannot_write(path: Path, error: OSError) -> WriteError:
    return WriteError(
        f"{path}: cannot write ({error.strerror}); free space or choose another run_dir, "
        "then run the same command again: it goes on where it stopped"
    )
