"""What a request brings, whichever way it came: one sound, and text fields by name.

Owns how fields are counted, named, bounded and merged; multipart.py and json_form.py fill it. It
does not know which parameters exist or what their values mean.

``timestamp_granularities[]=word`` and ``timestamp_granularities=word`` are the same field; an empty
value is an absent one; ``chunking_strategy[threshold]`` keeps its brackets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from whisperlab.serve.problems import ApiError

MAX_FIELDS: Final = 32
"""Text fields a request may have; the official client sends at most about 15."""

MAX_FIELD_BYTES: Final = 4096
"""Bytes of one text field (UTF-8)."""

MAX_BYTES_OF: Final[Mapping[str, int]] = {
    "prompt": 8192,
    # Longer than any real one, so that the check of the parameter itself gives the answer.
    "model": 16_384,
    "language": 16_384,
}
"""Bytes of the fields that may be longer."""

FILE_NAMES: Final = ("file", "audio")
"""The sound's names: OpenAI's, and that of the JSON body of the predecessor of this server."""

REFUSED_ANYWAY: Final = frozenset({"known_speaker_references"})
"""Sounds of speakers, as data URLs: nothing here tells speakers apart, however short they are."""

_LISTS: Final = frozenset(
    {"include", "timestamp_granularities", "known_speaker_names", "known_speaker_references"}
)
"""Fields that may be repeated without ``[]``."""

_NAME: Final = re.compile(r"[A-Za-z0-9_.\-]{1,100}(\[[A-Za-z0-9_.\-]{0,100}\]){0,2}")


@dataclass(frozen=True, slots=True)
class RequestForm:
    """One sound and the text fields beside it.

    ``file`` is the sound as sent, or as decoded from base64; empty if it was sent empty. ``fields``
    has the values in order of arrival, by name without ``[]``. A name that is not a list can have
    several values only if it was written with ``[]``; who reads it as a scalar must refuse that.
    """

    file: bytes
    fields: Mapping[str, tuple[str, ...]]


def too_large(limit_bytes: int, read_bytes: int) -> ApiError:
    """Returns OpenAI's answer to a sound or body over the limit."""
    return ApiError(
        "file_too_large",
        f"Maximum content size limit ({limit_bytes}) exceeded ({read_bytes} bytes read)",
        "file",
    )


def missing_file() -> ApiError:
    """Returns the answer to a request without a sound."""
    return ApiError(
        "missing_file",
        "expected the sound in a multipart part file with a filename, or as base64 in the JSON "
        "key audio; got neither",
        "file",
    )


class FormFields:
    """Collects text fields and refuses too many, too long and ambiguous ones."""

    def __init__(self) -> None:
        self._values: dict[str, list[str]] = {}
        self._single: set[str] = set()
        self._count = 0

    def open(self, written_name: str) -> str:
        """Counts one more field.

        Returns:
            Its name without ``[]``.

        Raises:
            ApiError: ``invalid_value`` for a name that cannot be one or too many fields,
                ``duplicate_parameter`` for a second value of what is not a list.
        """
        self._count += 1
        if self._count > MAX_FIELDS:
            raise ApiError("invalid_value", f"expected at most {MAX_FIELDS} fields, got more")
        if not _NAME.fullmatch(written_name):
            raise ApiError(
                "invalid_value",
                "expected field names of at most 100 letters, digits, _, . and -, such as model or "
                "chunking_strategy[type]",
            )
        name = written_name.removesuffix("[]")
        is_list = name in _LISTS or name != written_name
        if name in self._values and (name in self._single or not is_list):
            raise duplicate(name)
        if not is_list:
            self._single.add(name)
        self._values.setdefault(name, [])
        return name

    def put(self, name: str, value: str) -> None:
        """Adds the value of a field that was opened.

        Raises:
            ApiError: ``invalid_value`` for a value that is too long or has a NUL.
        """
        check_length(name, len(value.encode("utf-8")))
        if "\0" in value and name != "model":
            raise ApiError("invalid_value", f"expected text without NUL in {name}", name)
        if value:
            self._values[name].append(value)

    def finish(self) -> dict[str, tuple[str, ...]]:
        """Returns the fields that have a value."""
        return {name: tuple(values) for name, values in self._values.items() if values}


def duplicate(name: str) -> ApiError:
    """Returns the answer to a parameter sent twice: a proxy may have judged the other one."""
    return ApiError("duplicate_parameter", f"expected {name} once, got it twice", name)


def check_length(name: str, n_bytes: int) -> None:
    """Raises ``invalid_value`` if a field called ``name`` must not have ``n_bytes``."""
    allowed = MAX_BYTES_OF.get(name, MAX_FIELD_BYTES)
    if n_bytes > allowed and name in REFUSED_ANYWAY:
        raise ApiError("unsupported_value", "This server does not tell speakers apart.", name)
    if n_bytes > allowed:
        raise ApiError("invalid_value", f"expected at most {allowed} bytes in {name}", name)
