r"""The crash-safe ledger: one checked line an utterance, append only.

Owns the file format, the lock and what survives a kill. It does not know how an outcome came about.

A line (folded here; the CRC-32 is over the bytes of the record exactly as they stand)::

    {"crc32": "5f1c3a9e", "record": {"id": "ls-1034", "state": "ok", "reference": "CHAPTER",
     "text": "Chapter", "language": "en", "segments": [...], "audio_seconds": 7.875,
     "timings": {"decode": 0.01, "total": 0.4}, "batch_size": 4, "attempt": 1,
     "slices": {"speaker": "ls1034"}, "error": null}}

Where the corpus knows when each word was said, the record has ``reference_words`` as well: words of
the shape of a segment's.

A torn last line (killed while writing) is cut when the ledger is opened for writing; a damaged line
in the middle is an error, because it is not ours.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, BinaryIO, Self

from whisperlab.errors import ConfigError, DatasetError, RunInUseError, WriteError
from whisperlab.transcript import Segment, Try, Word
from whisperlab.utterance import Failure, Outcome, State

FSYNC_EVERY_RECORDS = 8
FSYNC_EVERY_SECONDS = 1.0
"""What a power cut may cost at most; a killed process loses nothing that was written."""

_PREFIX = b'{"crc32": "'
_MIDDLE = b'", "record": '
_CRC_DIGITS = 8


class Ledger:
    """The ledger of a run folder, open for appending by exactly one process.

    Opening takes an exclusive lock for the life of the object, cuts a torn tail and reads what is
    there into ``recorded`` (ids in order).

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
            self.recorded: frozenset[str] = frozenset(outcome.id for outcome in read_ledger(path))
        except BaseException:  # whatever it was, also a stop signal: the lock must not outlive it
            self._file.close()
            raise

    def append(self, outcomes: Sequence[Outcome]) -> None:
        """Writes one line an outcome, in order; durable at the latest 8 records or 1 s later.

        Raises:
            WriteError: the disk is full or the file cannot be written; what was recorded stays.
        """
        try:
            for outcome in outcomes:
                self._write(_line(outcome))
                self._unsynced += 1
                waited = perf_counter() - self._synced_at
                if self._unsynced >= FSYNC_EVERY_RECORDS or waited >= FSYNC_EVERY_SECONDS:
                    self._sync()
        except OSError as error:
            raise _cannot_write(self.path, error) from error

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
                self._sync()
            except OSError as error:
                raise _cannot_write(self.path, error) from error
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
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); name a run folder"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunInUseError(
                f"{path.parent}: another process is writing this run; wait for it"
            ) from error
        yield


def read_ledger(path: Path) -> Iterator[Outcome]:
    """Yields the outcomes of a ledger in the order of writing; a torn last line is left out.

    Raises:
        DatasetError: a line before the last is damaged; names file and line.
    """
    for record in _records(path):
        yield outcome_from_json(record)


def read_texts(path: Path) -> Iterator[Outcome]:
    """Yields the same outcomes without tokens: a fifth of the memory, enough to score and to judge.

    Words stay where a score can need their times: in several segments, or beside reference words.

    Raises:
        DatasetError: a line before the last is damaged; names file and line.
    """
    for record in _records(path):
        segments = record["segments"]
        timed = len(segments) > 1 or bool(record.get("reference_words"))
        slim = [
            {**one, "tokens": (), "token_logprobs": (), "tries": ()}
            if timed
            else {**one, "tokens": (), "token_logprobs": (), "tries": (), "words": ()}
            for one in segments
        ]
        yield outcome_from_json({**record, "segments": slim})


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            if not _is_undamaged(line):
                raise DatasetError(
                    f"{path}:{number}: damaged record (CRC differs); restore the file",
                    code="damaged_ledger",
                )
            yield json.loads(line)["record"]


def _line(outcome: Outcome) -> bytes:
    record = json.dumps(outcome_to_json(outcome), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )
    crc = f"{zlib.crc32(record):0{_CRC_DIGITS}x}".encode()
    return _PREFIX + crc + _MIDDLE + record + b"}\n"


def _is_undamaged(line: bytes) -> bool:
    digits = line[len(_PREFIX) : len(_PREFIX) + _CRC_DIGITS]
    head = _PREFIX + digits + _MIDDLE
    if not line.startswith(head) or not line.endswith(b"}\n"):
        return False
    return f"{zlib.crc32(line[len(head) : -2]):0{_CRC_DIGITS}x}".encode() == digits


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """Returns the ledger's record of an outcome, keys in INTERFACES' order."""
    record = asdict(outcome)
    names = ("id", "state", "reference", "text", "language", "segments", "audio_seconds", "timings")
    rest = ("batch_size", "attempt", "slices", "error")
    known = ("reference_words",) if outcome.reference_words else ()
    return {name: record[name] for name in (*names, *rest, *known)}


def outcome_from_json(record: Mapping[str, Any]) -> Outcome:
    """Returns the outcome that a ledger's record describes."""
    segments = tuple(
        Segment(
            **{
                **segment,
                "tokens": tuple(segment["tokens"]),
                "words": tuple(Word(**word) for word in segment["words"]),
                "token_logprobs": tuple(segment.get("token_logprobs", ())),
                "tries": tuple(Try(**one) for one in segment.get("tries", ())),
            }
        )
        for segment in record["segments"]
    )
    error = record["error"]
    return Outcome(
        **{
            **record,
            "state": State(record["state"]),
            "segments": segments,
            "error": None if error is None else Failure(**error),
            "reference_words": tuple(Word(**word) for word in record.get("reference_words", ())),
        }
    )


def _cannot_write(path: Path, error: OSError) -> WriteError:
    return WriteError(
        f"{path}: cannot write ({error.strerror}); free space or choose another run_dir, "
        "then run the same command again: it goes on where it stopped"
    )
