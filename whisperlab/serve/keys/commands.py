"""What `python -m whisperlab.serve.keys` does: create, list and revoke keys of a file.

Owns the arguments and what is printed. A key is shown once, when it is made; it is never an argument,
because arguments are in the process list and in the shell's history.
"""

from __future__ import annotations

import argparse
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NoReturn, TextIO

from pydantic import ValidationError

from whisperlab.errors import ConfigError, WriteError
from whisperlab.serve.keys.key_file import (
    StoredKey,
    change_keys,
    digest,
    first_fault,
    new_key,
    now,
    read_keys,
)

SHOWN_DIGITS: Final = 8
"""Hex digits of a digest that `list` shows: enough to tell keys apart."""

UNLIMITED: Final = "-"

COLUMNS: Final = (
    "name",
    "sha256",
    "created",
    "expires",
    "requests/min",
    "audio s/min",
    "in flight",
)


class _Arguments(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(ConfigError.exit_code, f"error: {message}; --help says more\n")


def arguments() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = _Arguments(
        prog="python -m whisperlab.serve.keys",
        description="Keep the API keys of a server (serve.keys_file=FILE).",
        epilog="A running server reads the file again at SIGHUP (kill -HUP PID). "
        "Exit codes: 0 done, 2 usage or a wrong file, 74 cannot write.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="create|list|revoke")
    create = commands.add_parser("create", help="make a key and print it, this once")
    create.add_argument("name", metavar="NAME", help="whose key it is; stands in logs")
    create.add_argument("--expires", metavar="DATE", help="refused from this moment on, UTC: 2027-01-01 or 2027-01-01T12:00")  # fmt: skip
    create.add_argument("--requests-per-minute", type=int, metavar="N")
    create.add_argument("--audio-seconds-per-minute", type=float, metavar="S")
    create.add_argument("--in-flight", type=int, metavar="N", help="requests at a time")
    shown = commands.add_parser("list", help="show the names, limits and the digests' beginnings")
    revoke = commands.add_parser("revoke", help="remove a key")
    revoke.add_argument("name", metavar="NAME")
    for command in (create, shown, revoke):
        command.add_argument("--file", type=Path, required=True, metavar="FILE")
    return parser


def create(given: argparse.Namespace, out: TextIO, notes: TextIO) -> None:
    """Adds a key to the file and writes it to ``out``; takes it back if nobody could read it there.

    Raises:
        ConfigError: a value is out of range, or the name is taken.
        WriteError: the file or ``out`` cannot be written.
    """
    key = new_key()
    expires = None if given.expires is None else moment(given.expires)
    if expires is not None and expires <= now():
        raise ConfigError(f"--expires: {given.expires} has passed; give a later moment")
    stored = _checked(
        name=given.name,
        sha256=digest(key.encode("ascii")),
        created=now(),
        expires=expires,
        requests_per_minute=given.requests_per_minute,
        audio_seconds_per_minute=given.audio_seconds_per_minute,
        in_flight=given.in_flight,
    )
    change_keys(given.file, lambda keys: keys.with_key(stored))
    try:
        print(key, file=out, flush=True)
    except OSError as error:
        change_keys(given.file, lambda keys: keys.without(stored.name))
        with suppress(OSError):
            out.close()  # else Python tries again at its end, and exits with 120
        raise WriteError(f"cannot print the key ({error.strerror}); none was made") from error
    print(f"This is the only time that the key of {stored.name} is shown.", file=notes)


def show(given: argparse.Namespace, out: TextIO) -> None:
    """Writes a table of the keys to ``out``.

    Raises:
        ConfigError: there is no such file, or it is wrong.
    """
    rows = [COLUMNS, *(_row(key) for key in read_keys(given.file).keys)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip(), file=out)


def revoke(given: argparse.Namespace, notes: TextIO) -> None:
    """Removes a key from the file.

    Raises:
        ConfigError: there is no key of that name.
        WriteError: the file cannot be written.
    """
    if not given.file.exists():
        read_keys(given.file)  # says that it is missing
    change_keys(given.file, lambda keys: keys.without(given.name))
    print("Revoked; a running server forgets it at SIGHUP.", file=notes)


def moment(text: str) -> datetime:
    """Returns the moment that ISO 8601 ``text`` names; UTC where it names no zone.

    >>> moment("2027-01-01").isoformat()
    '2027-01-01T00:00:00+00:00'

    Raises:
        ConfigError: it names none.
    """
    try:
        named = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--expires: expected a date such as 2027-01-01, got {text!r}") from None
    return named.replace(tzinfo=UTC) if named.tzinfo is None else named.astimezone(UTC)


def _checked(**fields: Any) -> StoredKey:
    try:
        return StoredKey(**fields)
    except ValidationError as error:
        field, wrong = first_fault(error)
        flag = "NAME" if field == "name" else f"--{field.replace('_', '-')}"
        raise ConfigError(f"{flag}: {wrong}") from None


def _row(key: StoredKey) -> tuple[str, ...]:
    limits = (key.requests_per_minute, key.audio_seconds_per_minute, key.in_flight)
    expires = "never" if key.expires is None else key.expires.isoformat()
    if key.expires is not None and key.expires <= now():
        expires += " (expired)"
    return (
        key.name,
        key.sha256[:SHOWN_DIGITS],
        key.created.isoformat(),
        expires,
        *(UNLIMITED if limit is None else f"{limit:g}" for limit in limits),
    )
