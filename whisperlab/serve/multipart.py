r"""Reads a multipart/form-data body piece by piece (RFC 7578), with limits of its own.

::

    --BOUNDARY\r\n
    Content-Disposition: form-data; name="model"\r\n
    \r\n
    whisper-1\r\n
    --BOUNDARY\r\n
    Content-Disposition: form-data; name="file"; filename="upload"\r\n
    Content-Type: application/octet-stream\r\n
    \r\n
    RIFF....\r\n
    --BOUNDARY--\r\n

Owns the body's grammar; names, file names and types of the sound are never believed, and a
Content-Transfer-Encoding is not undone (RFC 7578, 4.7). It does not know where the bytes come from.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Final, Self

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser

from whisperlab.serve.form import (
    FILE_NAMES,
    FormFields,
    RequestForm,
    check_length,
    duplicate,
    missing_file,
    too_large,
)
from whisperlab.serve.problems import ApiError

# It would write a warning for every malformed body; the answer says the same.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)

MAX_BOUNDARY_BYTES: Final = 200
"""RFC 2046 allows 70; some clients send more."""

MAX_PART_HEADERS: Final = 8
MAX_PART_HEADER_BYTES: Final = 4096

MAX_DELIMITERS: Final = 2000
"""How often what looks like a boundary may stand in a body: the parser is slow there, and RFC 2046
(5.1.1) forbids it in a part. A request has at most 34 real ones."""

_PARAMETER: Final = re.compile(
    rb"""[ \t]*;[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*("(?:[^"\\]|\\"|\\)*"|[^;"]*)"""
)
"""``; name=value`` or ``; name="value"``. A backslash is one unless a quote follows: browsers write
``filename="C:\\a.wav"``."""

_TEXT_CHARSETS: Final = (b"utf-8", b"utf8", b"us-ascii")


def parse_parameters(header: bytes) -> tuple[bytes, Mapping[bytes, bytes]]:
    """Returns a header's value in lower case and its parameters.

    >>> parse_parameters(b'Form-Data; name="a;b"; filename=x')
    (b'form-data', {b'name': b'a;b', b'filename': b'x'})

    Raises:
        ApiError: ``invalid_multipart`` for a parameter given twice or none at all after ``;``.
    """
    value, _, rest = header.partition(b";")
    rest = rest and b";" + rest.rstrip(b" \t;")
    parameters: dict[bytes, bytes] = {}
    position = 0
    while position < len(rest):
        match = _PARAMETER.match(rest, position)
        if match is None:
            raise _malformed("a header's parameters are not name=value")
        name, text = match[1].lower(), match[2].strip(b" \t")
        if name in parameters:
            raise _malformed("a header names a parameter twice")
        if text.startswith(b'"'):
            text = text[1:-1].replace(b'\\"', b'"')
        parameters[name] = text
        position = match.end()
    return value.strip(b" \t").lower(), parameters


def check_charset(parameters: Mapping[bytes, bytes]) -> None:
    """Raises ``invalid_value`` unless text is declared to be UTF-8, or nothing is declared."""
    if parameters.get(b"charset", b"utf-8").lower() not in _TEXT_CHARSETS:
        raise ApiError("invalid_value", "expected charset=utf-8 or none, got another one")


class MultipartReader:
    """Takes a body in pieces of any size and gives the form at its end.

    Args:
        parameters: Those of the Content-Type header.
        max_file_bytes: The largest sound.

    Raises:
        ApiError: From every method; ``invalid_multipart`` where the grammar is broken.
    """

    def __init__(self, parameters: Mapping[bytes, bytes], max_file_bytes: int) -> None:
        check_charset(parameters)
        boundary = parameters.get(b"boundary", b"")
        if not 1 <= len(boundary) <= MAX_BOUNDARY_BYTES or b"\r" in boundary or b"\n" in boundary:
            raise _malformed(f"expected a boundary of 1 to {MAX_BOUNDARY_BYTES} bytes")
        self._delimiter = b"--" + boundary
        self._n_delimiters = 0
        self._max_file_bytes = max_file_bytes
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._part_data,
                "on_part_end": self._part_end,
                "on_end": self._end,
            },
            max_header_count=MAX_PART_HEADERS,
            max_header_size=MAX_PART_HEADER_BYTES,
        )
        self._opening: bytearray | None = bytearray()
        self._fields = FormFields()
        self._file: bytearray | None = None
        self._complete = False
        self._header_name = bytearray()
        self._header_text = bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._name: str | None = None
        self._value = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Lets go of the parser, which knows this reader: the sound need not wait for the collector."""
        self._parser.callbacks.clear()

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the body."""
        if self._opening is not None:
            self._opening += data
            if len(self._opening) < len(self._delimiter) + 2:
                return
            data = self._checked_opening(self._opening)
            self._opening = None
        self._n_delimiters += data.count(b"\r\n" + self._delimiter)
        if self._n_delimiters > MAX_DELIMITERS:
            raise _malformed("the boundary stands in a part")
        try:
            self._parser.write(data)
        except MultipartParseError as error:
            raise _malformed("a boundary or a part's header is malformed or too long") from error

    def finish(self) -> RequestForm:
        """Returns the form; the body must have ended."""
        if not self._complete:
            raise _malformed("the body ends before its last boundary")
        if self._file is None:
            raise missing_file()
        # The one copy of the sound: what is decoded must not change.
        return RequestForm(bytes(self._file), self._fields.finish())

    def _checked_opening(self, opening: bytearray) -> bytes:
        data = bytes(opening.removeprefix(b"\r\n"))
        if not data.startswith(self._delimiter):
            raise _malformed("the body does not begin with the boundary of its Content-Type")
        return data

    def _part_begin(self) -> None:
        self._headers = {}
        self._value = bytearray()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_text += data[start:end]

    def _header_end(self) -> None:
        name = bytes(self._header_name).lower()
        if name in self._headers:
            raise _malformed("a part has a header twice")
        self._headers[name] = bytes(self._header_text)
        self._header_name.clear()
        self._header_text.clear()

    def _headers_finished(self) -> None:
        kind, parameters = parse_parameters(self._headers.get(b"content-disposition", b""))
        if kind != b"form-data" or b"name" not in parameters:
            raise _malformed("a part has no Content-Disposition: form-data with a name")
        # Bytes that no field name may have become one character that none may have either.
        name = parameters[b"name"].decode("ascii", errors="replace")
        is_file = b"filename" in parameters or b"filename*" in parameters
        if is_file != (name == "file") and name in FILE_NAMES:  # "audio" is what JSON calls it
            raise missing_file()
        if name != "file":
            check_charset(parse_parameters(self._headers.get(b"content-type", b""))[1])
            self._name = self._fields.open(name)
            return
        if self._file is not None:
            raise duplicate("file")
        self._name = None
        self._file = bytearray()

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._name is not None:
            check_length(self._name, len(self._value) + end - start)
            self._value += data[start:end]
        elif self._file is not None:
            read_bytes = len(self._file) + end - start
            if read_bytes > self._max_file_bytes:
                raise too_large(self._max_file_bytes, read_bytes)
            self._file += memoryview(data)[start:end]

    def _part_end(self) -> None:
        if self._name is not None:
            self._fields.put(self._name, _text(self._name, bytes(self._value)))

    def _end(self) -> None:
        self._complete = True


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        if name == "model":  # no model has such a name: the answer is 404
            return value.decode("utf-8", errors="replace")
        raise ApiError("invalid_value", f"expected UTF-8 text in {name}", name) from None


def _malformed(what: str) -> ApiError:
    return ApiError("invalid_multipart", f"expected a multipart/form-data body (RFC 7578): {what}")
