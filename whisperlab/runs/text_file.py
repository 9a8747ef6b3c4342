"""The text of a file in whatever encoding it has.

Owns decoding and its errors. It does not know what the text means.
"""

from __future__ import annotations

import codecs
from pathlib import Path

from whisperlab.errors import ConfigError, DatasetError

UTF8 = ("utf-8-sig",)
NIST = ("utf-8-sig", "iso-8859-1")
"""ISO 8859-1 is the default of NIST's formats; it takes any bytes."""


def encodings(named: str | None, default: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the encoding that was named, else the default ones.

    Raises:
        ConfigError: Python knows no such encoding of text.
    """
    if named is None:
        return default
    try:
        codecs.lookup(named)
        "".encode(named)
    except LookupError as error:
        raise ConfigError(
            f"--encoding: expected a name such as utf-8, gb18030 or cp1252, got {named!r:.60}"
        ) from error
    return (named,)


def read_text(path: Path, tried: tuple[str, ...]) -> str:
    """Returns the file's text in the first encoding that fits.

    Raises:
        DatasetError: the file cannot be read, or no encoding fits.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    for encoding in tried:
        try:
            return content.decode(encoding)
        except UnicodeError:
            continue
    raise DatasetError(
        f"{path}: expected text in {tried[-1].removesuffix('-sig')}; name its own with --encoding"
    )
