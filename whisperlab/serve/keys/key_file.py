"""The file of API keys: names, SHA-256 digests, limits; never a key.

::

    {"schema": 1,
     "keys": [{"name": "alice", "sha256": "9f86d081...", "created": "2026-11-24T19:41:00Z",
               "expires": null, "requests_per_minute": 60, "audio_seconds_per_minute": null,
               "in_flight": null}]}

Owns the format, who may read it (its owner alone) and how it is changed: one writer at a time, and
a reader or a crash sees the old file or the new one. It does not know HTTP.

A digest needs no salt and no slow hash: a key has 256 random bits, there is nothing to guess.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from whisperlab.errors import ConfigError, WriteError
from whisperlab.serve.settings import Count

PREFIX: Final = "wl_"
"""What every key begins with, so that people and secret scanners recognise one."""

KEY_BYTES: Final = 32
"""Random bytes of a key."""

OWNER_ONLY: Final = 0o600
"""Mode of the file."""

_STRICT: Final = ConfigDict(extra="forbid", strict=True)


def _not_a_key(name: str) -> str:
    if name.startswith(PREFIX):
        raise ValueError(f"a name cannot begin with {PREFIX}: that is a key; give the key's name")
    return name


Name = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\z"), AfterValidator(_not_a_key)
]
"""Up to 64 letters, digits, dots, underscores, hyphens: safe in a log line and in a Redis key."""

AudioSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, config=_STRICT)
class StoredKey:
    """One key by its digest. A limit that is ``None`` is the server's (``serve.rates``).

    ``expires`` is the first moment at which the key is refused.
    """

    name: Name
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}\z")]
    created: AwareDatetime
    expires: AwareDatetime | None = None
    requests_per_minute: Count | None = None
    audio_seconds_per_minute: AudioSeconds | None = None
    in_flight: Count | None = None


@dataclass(frozen=True, config=_STRICT)
class KeyFile:
    """The content of the file, in the order of creation."""

    schema: Literal[1] = 1
    keys: Annotated[tuple[StoredKey, ...], Field(strict=False)] = ()

    def with_key(self, key: StoredKey) -> KeyFile:
        """Returns the file with one key more.

        Raises:
            ConfigError: the name is taken.
        """
        if any(stored.name == key.name for stored in self.keys):
            raise ConfigError(
                f"a key called {key.name} exists; revoke it first, or choose another name"
            )
        return replace(self, keys=(*self.keys, key))

    def without(self, name: str) -> KeyFile:
        """Returns the file without the key of that name.

        Raises:
            ConfigError: there is none.
        """
        left = tuple(stored for stored in self.keys if stored.name != name)
        if len(left) == len(self.keys):
            # The name is not repeated: someone may have pasted a key.
            raise ConfigError("no key has that name; `list` shows the names")
        return replace(self, keys=left)


_FORMAT: Final = TypeAdapter(KeyFile)


def new_key() -> str:
    """Returns a fresh key, 46 characters: the prefix and 32 random bytes in base64url."""
    token = base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).rstrip(b"=")
    return PREFIX + token.decode("ascii")


def digest(key: bytes) -> str:
    """Returns what the file stores of a key.

    >>> digest(b"abc")[:16]
    'ba7816bf8f01cfea'
    """
    return hashlib.sha256(key).hexdigest()


def read_keys(path: Path) -> KeyFile:
    """Returns the content of the file.

    Raises:
        ConfigError: it is missing, not of this format, or others than its owner may read it.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read()
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file; make one: python -m whisperlab.serve.keys create NAME "
            f"--file {path}"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the keys ({error.strerror})") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{path}: mode {mode:04o} lets others at the keys; run: chmod 600 {path}")
    try:
        found = _FORMAT.validate_json(content)
    except ValidationError as error:
        where, wrong = first_fault(error)
        place = f"{path}: {where}" if where else str(path)
        raise ConfigError(f"{place}: {wrong}; restore the file") from None
    for field in ("name", "sha256"):
        values = [getattr(key, field) for key in found.keys]
        if len(set(values)) < len(values):
            raise ConfigError(f"{path}: two keys have the same {field}; remove one")
    return found


def change_keys(path: Path, change: Callable[[KeyFile], KeyFile]) -> None:
    """Replaces the file, made if it is missing, by what ``change`` returns for its content.

    Raises:
        ConfigError: the present file is wrong, or ``change`` refused.
        WriteError: the new one cannot be written; the present one stays.
    """
    path = path.resolve()  # a link keeps pointing at the file
    with _one_writer(path):
        present = read_keys(path) if path.exists() else KeyFile()
        content = _FORMAT.dump_json(change(present), indent=2) + b"\n"
        try:
            _replace(path, content)
        except OSError as error:
            raise WriteError(f"{path}: cannot write ({error.strerror})") from error


@contextmanager
def _one_writer(path: Path) -> Iterator[None]:
    """Holds a lock on the folder: a lock on the file would go away with the file it replaces."""
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise WriteError(f"{path.parent}: cannot open the folder ({error.strerror})") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _replace(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:  # whatever stopped it, no half file stays; raised again
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # the new name survives a power cut
    finally:
        os.close(folder)


def first_fault(error: ValidationError) -> tuple[str, str]:
    """Returns where the first fault is and what, without the value: pydantic's own text quotes it."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return where, first["msg"].removeprefix("Value error, ")


def now() -> datetime:
    """Returns the moment, in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)
