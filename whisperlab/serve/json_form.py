"""Reads the JSON body ``{"audio": "<base64>", "model": "whisper-1", ...}`` into the same form.

Owns strict JSON and strict base64: sizes are checked before anything is decoded, and what two
readers could understand differently is refused. Numbers keep their spelling, so that ``1e999`` is
judged where a form's ``temperature=1e999`` is. It does not know which parameters exist.
"""

from __future__ import annotations

import binascii
import json
import re
from codecs import BOM_UTF8
from typing import Any, Final

from whisperlab.serve.form import (
    FILE_NAMES,
    FormFields,
    RequestForm,
    duplicate,
    missing_file,
    too_large,
)
from whisperlab.serve.problems import ApiError

MAX_DEPTH: Final = 20
"""Levels of arrays and objects; a request needs two."""

MAX_STRUCTURE_BYTES: Final = 1 << 16
"""Bytes outside strings; 32 fields need about 1 KiB."""

MAX_QUOTES: Final = 1 << 14
"""Quotation marks of all strings together; a prompt of 8 KiB has at most 4096."""

MAX_NUMBER_CHARACTERS: Final = 40

_SLICE_CHARACTERS: Final = 1 << 20
"""Base64 is decoded in slices, so that other threads can run between them."""

_DATA_URL: Final = re.compile(r"data:audio/[A-Za-z0-9.+\-]{1,64}(;[A-Za-z0-9=.+\-]{1,64})*;base64,")


def json_bytes_for(max_file_bytes: int) -> int:
    """Returns how long a JSON body may be that holds ``max_file_bytes`` of sound in base64."""
    return -(-max_file_bytes // 3) * 4 + MAX_STRUCTURE_BYTES


def read_json_form(body: bytes, max_file_bytes: int) -> RequestForm:
    """Returns the form of a JSON body.

    Raises:
        ApiError: ``invalid_json``, ``invalid_base64``, ``file_too_large``, ``missing_file`` or what
            a form's fields may be refused for.
    """
    root = _parse(body.removeprefix(BOM_UTF8))
    fields = FormFields()
    sound: str | None = None
    for key, value in root.items():
        if key in FILE_NAMES:
            if sound is not None:
                raise duplicate("file")
            sound = _base64_text(key, value)
        else:
            _flatten(fields, key, value)
    if not sound:
        raise missing_file()
    return RequestForm(_decode(sound, max_file_bytes), fields.finish())


class _Number(str):
    """A number as it was spelled."""

    __slots__ = ()


def _parse(body: bytes) -> dict[str, Any]:
    _check_structure(body)
    try:
        root = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_number,
            parse_float=_number,
        )
    except UnicodeDecodeError:
        raise _malformed("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"{error.msg} at character {error.pos}") from None
    if not isinstance(root, dict):
        raise _malformed("the outermost value is not an object")
    return root


def _check_structure(body: bytes) -> None:
    """Bounds what the parser will build, in one pass over the body and without recursion."""
    depth = structure_bytes = position = 0
    in_string = False
    for _ in range(MAX_QUOTES):
        quote = body.find(b'"', position)
        piece = body[position : quote if quote >= 0 else len(body)]
        position = quote + 1
        if not in_string:
            structure_bytes += len(piece)
            depth = _depth_after(piece, depth, structure_bytes)
        if quote < 0:
            return  # the parser says whether a string is left open
        escapes = len(piece) - len(piece.rstrip(b"\\")) if in_string else 0
        in_string ^= escapes % 2 == 0
    raise _malformed(f"it has more than {MAX_QUOTES} quotation marks")


def _depth_after(piece: bytes, depth: int, structure_bytes: int) -> int:
    if structure_bytes > MAX_STRUCTURE_BYTES * 16:  # an attack on memory, not a slip
        raise too_large(MAX_STRUCTURE_BYTES, structure_bytes)
    if structure_bytes > MAX_STRUCTURE_BYTES:
        raise _malformed(f"more than {MAX_STRUCTURE_BYTES} bytes stand outside of strings")
    for byte in piece:
        depth += (byte in b"[{") - (byte in b"]}")
        if depth > MAX_DEPTH:
            raise _malformed(f"arrays and objects are nested deeper than {MAX_DEPTH}")
    return depth


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise _malformed("an object has a key twice")
    return values


def _no_constant(_: str) -> None:
    raise _malformed("NaN and Infinity are not JSON")


def _number(spelled: str) -> _Number:
    if len(spelled) > MAX_NUMBER_CHARACTERS:
        raise _malformed(f"a number has more than {MAX_NUMBER_CHARACTERS} characters")
    return _Number(spelled)


def _flatten(fields: FormFields, key: str, value: object) -> None:
    if isinstance(value, dict):
        for inner, scalar in value.items():
            _put(fields, f"{key}[{inner}]", scalar, key)
    elif isinstance(value, list):
        for scalar in value:
            _put(fields, f"{key.removesuffix('[]')}[]", scalar, key)
    else:
        _put(fields, key, value, key)


def _put(fields: FormFields, written_name: str, value: object, key: str) -> None:
    if value is None:
        return
    if isinstance(value, bool):
        value = "true" if value else "false"
    if not isinstance(value, str):
        raise ApiError("invalid_value", f"expected no further nesting in {key}", key)
    _check_text(value)
    fields.put(fields.open(written_name), value)


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise _malformed("a string has half of a surrogate pair") from None
    if "\0" in text:
        raise _malformed("a string has a NUL")


def _base64_text(key: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or isinstance(value, _Number):
        raise ApiError("invalid_base64", f"expected a base64 string in {key}", "file")
    if value[:5].lower() != "data:":
        return value
    prefix = _DATA_URL.match(value)
    if prefix is None:
        raise ApiError("invalid_base64", f"expected data:audio/...;base64,... in {key}", "file")
    return value[prefix.end() :]


def _decode(text: str, max_file_bytes: int) -> bytes:
    n_bytes = len(text) * 3 // 4 - text[-2:].count("=")
    if n_bytes > max_file_bytes:
        raise too_large(max_file_bytes, n_bytes)
    if "=" in text[:-2]:  # padding at the end of a slice would pass for that of the whole
        raise _not_base64()
    try:
        return b"".join(
            binascii.a2b_base64(text[start : start + _SLICE_CHARACTERS], strict_mode=True)
            for start in range(0, len(text), _SLICE_CHARACTERS)
        )
    except ValueError:  # binascii.Error, or characters outside of ASCII
        raise _not_base64() from None


def _not_base64() -> ApiError:
    return ApiError(
        "invalid_base64",
        "expected base64 of the standard alphabet, padded, without white space (RFC 4648, 4)",
        "file",
    )


def _malformed(what: str) -> ApiError:
    return ApiError("invalid_json", f"expected a JSON object in UTF-8 (RFC 8259): {what}")
