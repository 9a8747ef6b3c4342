"""Rows of a table on disk, one at a time: JSON Lines, CSV and TSV, with bounds on what is read.

Owns lines, encodings and syntax. It does not know what the columns mean. One line of each format::

    {"audio_filepath": "audio/a.flac", "text": "the cat sat", "duration": 1.9, "speaker": "s1"}
    audio_filepath,text,duration,speaker          (CSV: header first, RFC 4180 quotes)
    audio_filepath<TAB>text<TAB>duration          (TSV: header first, quotes are letters, no escapes)

A reader is an iterator that survives its own errors: a bad row raises ``RowError``, the next call
goes on with the next row. So one loop can stop at the first bad row or count them all.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NoReturn, Protocol

from whisperlab.errors import DatasetError

TableFormat = Literal["jsonl", "csv", "tsv"]

MAX_LINE_BYTES = 1 << 20
"""1 MiB: an hour of speech with a time for every word is about 0.5 MB of JSON."""

_SUFFIXES: Mapping[str, TableFormat] = {
    ".jsonl": "jsonl",
    ".json": "jsonl",  # NeMo calls its JSON Lines manifests .json
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
}
_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


class RowError(ValueError):
    """One row is wrong, and why; whoever knows the place turns it into a ``DatasetError``."""


class RowReader(Protocol):
    """Rows in order; ``RowError`` for a bad one, after which the next call goes on."""

    def __iter__(self) -> Iterator[Mapping[str, object]]: ...

    def __next__(self) -> Mapping[str, object]: ...

    def pass_over(self) -> None:
        """Goes past one row without understanding it; ``StopIteration`` after the last."""
        ...

    def close(self) -> None:
        """Gives the file back."""
        ...

    @property
    def place(self) -> str:
        """``file:line`` where the row read last (good or bad) begins."""
        ...

    @property
    def sha256(self) -> str:
        """Digest of all bytes read so far, that is of the source once it is exhausted."""
        ...

    @property
    def stamp(self) -> tuple[int, ...]:
        """Size and modification time when opened; another stamp means another content."""
        ...


def table_format(path: Path) -> TableFormat:
    """Returns the format that the name's suffix stands for.

    Raises:
        DatasetError: the suffix stands for none; the message says how to name the format.

    >>> table_format(Path("train.tsv"))
    'tsv'
    """
    known = _SUFFIXES.get(path.suffix.lower())
    if known is None:
        raise DatasetError(
            f"{path}: expected a name ending in {', '.join(sorted(_SUFFIXES))}, got "
            f"{path.suffix or 'no suffix'!r}; name the format: dataset.format=jsonl"
        )
    return known


def open_rows(path: Path, table: TableFormat, max_line_bytes: int = MAX_LINE_BYTES) -> RowReader:
    """Returns the reader of a table.

    Raises:
        DatasetError: there is no such file, it is no regular file, or it is not UTF-8 text.
    """
    lines = Lines(path, max_line_bytes)
    if table == "jsonl":
        return JsonRows(lines)
    return DelimitedRows(lines, table)


class Lines:
    """The lines of a UTF-8 text file with their ends, never more than ``max_bytes`` in memory."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        try:
            mode = path.stat().st_mode
            if not stat.S_ISREG(mode):
                # Asked before opening: opening a FIFO would wait for a writer for ever.
                kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
                raise DatasetError(f"{path}: expected a text file, found {kind}; name the file")
            self._file = path.open("rb")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise DatasetError(f"{path}: cannot be read ({reason}); check the path") from error
        found = os.fstat(self._file.fileno())
        self.path = path
        self.number = 0
        self.stamp: tuple[int, ...] = (found.st_size, found.st_mtime_ns, found.st_ino)
        self.max_bytes = max_bytes
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Hex digest of the bytes read so far."""
        return self._digest.hexdigest()

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self._file.readline(self.max_bytes + 1)
        if not line:
            raise StopIteration
        self._digest.update(line)
        self.number += 1
        if self.number == 1:
            line = self._without_mark(line)
        if len(line) > self.max_bytes:
            self._skip_rest_of_line(line)
            raise RowError(
                f"expected at most {self.max_bytes} bytes in a line, found more; is this the "
                "right file? a larger bound is +dataset.max_line_bytes=N"
            )
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise RowError(
                f"expected UTF-8, got byte 0x{line[error.start]:02x} at column {error.start + 1}; "
                "save the file as UTF-8"
            ) from error

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _without_mark(self, line: bytes) -> bytes:
        """Returns the first line without its byte order mark; other encodings are refused."""
        if line.startswith(_UTF8_BOM):
            return line[len(_UTF8_BOM) :]
        if line.startswith(_UTF16_BOMS) or b"\0" in line:
            what = "UTF-16" if line.startswith(_UTF16_BOMS) else "zero bytes (UTF-16, or no text)"
            raise DatasetError(f"{self.path}:1: expected UTF-8, found {what}; save it as UTF-8")
        return line

    def _skip_rest_of_line(self, line: bytes) -> None:
        while line and not line.endswith(b"\n"):
            line = self._file.readline(self.max_bytes)
            self._digest.update(line)


class _FileRows:
    """What rows of either form know of the file they are read from."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def close(self) -> None:
        """Closes the file."""
        self._lines.close()

    @property
    def place(self) -> str:
        """``file:line`` of the row read last."""
        return f"{self._lines.path}:{self._lines.number}"

    @property
    def sha256(self) -> str:
        """Digest of the bytes read so far."""
        return self._lines.sha256

    @property
    def stamp(self) -> tuple[int, ...]:
        """The file's stamp when opened."""
        return self._lines.stamp


class JsonRows(_FileRows):
    """One JSON object a line; blank lines are passed over.

    The traps of JSON are refused: a key named twice, NaN and Infinity, half a surrogate pair.
    """

    def __init__(self, lines: Lines) -> None:
        super().__init__(lines)
        self._quick = json.JSONDecoder(parse_constant=_refuse_constant)
        self._careful = json.JSONDecoder(
            object_pairs_hook=_object_without_repeats, parse_constant=_refuse_constant
        )

    def __iter__(self) -> JsonRows:
        return self

    def __next__(self) -> Mapping[str, object]:
        line = self._next_line()
        try:
            row, end = self._quick.raw_decode(line)
            # Every key written costs a colon: as many colons as keys means that none came twice.
            if not isinstance(row, dict) or line.count(":") != len(row):
                row, end = self._careful.raw_decode(line)
        except RowError:
            raise
        except json.JSONDecodeError as error:
            raise RowError(
                f"expected one JSON object, got {_shown(line)} ({error.msg} at column "
                f"{error.colno}); mend or remove the line"
            ) from error
        except (ValueError, RecursionError) as error:  # 5,000-digit numbers, 10^5 brackets
            raise RowError("expected one flat JSON object; mend or remove the line") from error
        if not isinstance(row, dict) or end != len(line):
            raise RowError(f"expected one JSON object {{...}}, got {_shown(line)}; mend the line")
        if "\\u" in line:
            _refuse_lone_surrogates(row)
        return row

    def pass_over(self) -> None:
        """Goes to the next line that is not blank."""
        self._next_line()

    def _next_line(self) -> str:
        line = next(self._lines).strip()
        while not line:
            line = next(self._lines).strip()
        return line


class DelimitedRows(_FileRows):
    """Rows of CSV or TSV under a header; every row must have as many fields as the header.

    TSV quotes nothing: a quotation mark is a letter (Common Voice's transcripts are full of single
    ones) and a tab always ends a field.
    """

    def __init__(self, lines: Lines, table: Literal["csv", "tsv"]) -> None:
        super().__init__(lines)
        # Of the whole process, so it is only ever raised: csv's own 128 KiB is less than a line may have.
        csv.field_size_limit(max(csv.field_size_limit(), lines.max_bytes))
        self._fields = (
            csv.reader(lines, strict=True)
            if table == "csv"
            else csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
        )
        self._table = table
        self._header: list[str] | None = None
        self._start = 1

    def __iter__(self) -> DelimitedRows:
        return self

    def __next__(self) -> Mapping[str, object]:
        if self._header is None:
            self._header = self._read_header()
        fields = self._next_fields()
        if len(fields) != len(self._header):
            mark = "tab" if self._table == "tsv" else "comma outside quotes"
            raise RowError(
                f"expected {len(self._header)} fields as in the header, got {len(fields)}; "
                f"look for a missing field or a {mark} inside the text"
            )
        return dict(zip(self._header, fields, strict=True))

    def pass_over(self) -> None:
        """Goes past one row, whatever its fields."""
        if self._header is None:
            self._header = self._read_header()
        self._next_fields()

    def _read_header(self) -> list[str]:
        try:
            header = [name.strip() for name in self._next_fields()]
        except RowError as fault:
            # Without its header no row means anything: this cannot be skipped.
            raise DatasetError(f"{self.place}: {fault}") from fault
        repeated = sorted({name for name in header if header.count(name) > 1})
        if repeated:
            raise DatasetError(
                f"{self.place}: expected each column once, got {repeated[0]!r} twice; rename one"
            )
        return header

    def _next_fields(self) -> list[str]:
        while True:
            self._start = self._lines.number + 1
            try:
                fields = next(self._fields)
            except csv.Error as error:
                if "field limit" in str(error):
                    raise RowError(
                        f"is not valid {self._table} ({error}); look for a quotation mark that is not "
                        "closed; a larger bound is +dataset.max_line_bytes=N"
                    ) from error
                raise RowError(f"is not valid {self._table} ({error}); mend the row") from error
            if any(field.strip() for field in fields):
                return fields

    @property
    def place(self) -> str:
        """``file:line`` where the row read last begins (a quoted text may span lines)."""
        return f"{self._lines.path}:{self._start}"


def _object_without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    built = dict(pairs)
    if len(built) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise RowError(f"expected each key once, got {repeated!r} twice; remove one")
    return built


def _refuse_constant(name: str) -> NoReturn:
    raise RowError(f"expected JSON, got {name}, which is none; write a number or null")


def _refuse_lone_surrogates(row: Mapping[str, object]) -> None:
    try:
        json.dumps(row, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise RowError(
            "expected text, got half a surrogate pair (\\ud800 to \\udfff alone); mend the escape"
        ) from error


def _shown(line: str, width: int = 40) -> str:
    return repr(line if len(line) <= width else line[:width] + "...")
