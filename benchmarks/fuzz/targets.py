"""What is fuzzed: each target takes any bytes and raises only where a promise is broken.

A typed refusal is an answer like any other; a traceback of another type, a 5xx, a result that
contradicts itself or an independent reader is a find.
"""

from __future__ import annotations

import atexit
import base64
import binascii
import io
import json
import shutil
import tempfile
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from whisperlab.audio import AudioLimits
from whisperlab.audio.layout import bytes_per_frame
from whisperlab.audio.riff import read_wav_layout
from whisperlab.audio.sniff import sniff
from whisperlab.audio.source import ByteSource
from whisperlab.errors import AudioError, DatasetError, WriteError
from whisperlab.experiment.checked_lines import CheckedLines, read_records
from whisperlab.experiment.ledger import read_ledger, read_texts
from whisperlab.serve.form import MAX_FIELDS, RequestForm
from whisperlab.serve.json_form import read_json_form
from whisperlab.serve.multipart import MultipartReader, parse_parameters
from whisperlab.serve.problems import ApiError

CAP_BYTES = 4096
"""The largest sound that the front takes here: small, so that the limit is met."""

_MEMORY = Path("/dev/shm")


@cache
def _folder() -> Path:
    """Where the ledger's target writes: in memory, where there is a file system in it."""
    folder = tempfile.mkdtemp(prefix="whisperlab-fuzz-", dir=_MEMORY if _MEMORY.is_dir() else None)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def check(holds: object, what: str) -> None:
    """Raises AssertionError; unlike ``assert`` also under ``python -O``."""
    if not holds:
        raise AssertionError(what)


def check_refusal(error: AudioError) -> None:
    """A refusal is one line with a code of its own."""
    check("\n" not in str(error), "a message of several lines")
    check(error.code != "internal_error", "a refusal without a code")


def sniffer(data: bytes) -> None:
    """Names a format and a place within the bytes, or refuses."""
    try:
        found = sniff(ByteSource(io.BytesIO(data), len(data)))
    except AudioError as error:
        check(error.code in ("unsupported_format", "invalid_audio"), error.code)
        check_refusal(error)
        return
    check(0 <= found.offset < max(1, len(data)), f"offset {found.offset} of {len(data)}")


def riff(data: bytes) -> None:
    """Says where whole samples lie within the bytes, or refuses."""
    limits = AudioLimits()
    try:
        layout = read_wav_layout(ByteSource(io.BytesIO(data), len(data)), limits)
    except AudioError as error:
        check_refusal(error)
        return
    check(1 <= layout.channels <= limits.max_channels, f"{layout.channels} channels")
    check(layout.length >= 0, f"{layout.length} bytes of sound")
    check(layout.length == 0 or layout.offset + layout.length <= len(data), "samples past the end")
    if "ADPCM" not in layout.encoding:
        frame = bytes_per_frame(layout.encoding, layout.channels)
        check(layout.length % frame == 0, "half a sample")


def ledger(data: bytes) -> None:
    """Reads a ledger or calls it damaged; what a writer keeps is what a reader saw.

    With a first byte that is odd every line gets a right checksum, so that what is behind it is met.
    """
    content = _checked(data[1:]) if data[:1] and data[0] % 2 else data[1:]
    path = _folder() / "ledger.jsonl"
    path.write_bytes(content)
    for read in (read_ledger, read_texts):
        try:
            list(read(path))
        except DatasetError as error:
            check(error.code == "damaged_ledger", error.code)
    try:
        before = list(read_records(path))
    except DatasetError:
        before = None
    try:
        with CheckedLines(path) as lines:
            lines.write([{"id": "last"}])
    except WriteError as error:
        check(error.code == "damaged_ledger", error.code)
        check(path.read_bytes() == content, "a refused file was changed")
        return
    after = list(_readable(path))
    check(after[-1:] == [{"id": "last"}], "the new record is not the last one")
    check(before is None or after[:-1] == before, "opening for writing changed a record")


def _checked(text: bytes) -> bytes:
    lines = text.split(b"\n")
    whole = [b'{"crc32": "%08x", "record": %s}\n' % (zlib.crc32(one), one) for one in lines[:-1]]
    return b"".join(whole) + lines[-1]


def _readable(path: Path) -> list[dict[str, object]]:
    """The records after a writer; a forged line that is no object may stand before the last."""
    try:
        return list(read_records(path))
    except DatasetError:
        last = path.read_bytes().splitlines(keepends=True)[-1]
        return [json.loads(last)["record"]]


def multipart(data: bytes) -> None:
    """Reads a form or refuses it with a 4xx, the same however the body was cut into pieces."""
    header, _, body = data.partition(b"\n")
    whole = _form(header, [body])
    for size in (1, 7):
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        check(_form(header, pieces) == whole, f"another answer in pieces of {size}")
    if isinstance(whole, RequestForm):
        _check_form(whole)


def _form(header: bytes, pieces: list[bytes]) -> RequestForm | str:
    try:
        _, parameters = parse_parameters(header)
        with MultipartReader(parameters, CAP_BYTES) as reader:
            for piece in pieces:
                reader.feed(piece)
            return reader.finish()
    except ApiError as error:
        check(400 <= error.status < 500, f"status {error.status}")
        return error.code


def json_body(data: bytes) -> None:
    """Reads a JSON body or refuses it with a 4xx; what it accepts Python's own readers accept."""
    try:
        form = read_json_form(data, CAP_BYTES)
    except ApiError as error:
        check(400 <= error.status < 500, f"status {error.status}")
        return
    _check_form(form)
    root = json.loads(data.decode("utf-8-sig"))
    text = root.get("file") or root["audio"]
    try:
        decoded = base64.b64decode(text.rpartition(",")[2], validate=False)
    except binascii.Error:
        decoded = b""
    check(form.file == decoded, "other bytes than Python's base64 gives")


def _check_form(form: RequestForm) -> None:
    check(len(form.file) <= CAP_BYTES, "a sound over the limit")
    check(sum(map(len, form.fields.values())) <= MAX_FIELDS, "too many fields")
    for values in form.fields.values():
        for value in values:
            value.encode("utf-8")


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "sniffer": sniffer,
    "riff": riff,
    "ledger": ledger,
    "multipart": multipart,
    "json": json_body,
}
