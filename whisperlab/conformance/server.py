"""The server under test, as the checks see it: bytes out, bytes back, nothing repaired.

Owns requests over the standard library's HTTP client, so that what is sent is exactly what a check
wrote down, and the official client for what it sends itself. It does not know any rule but one: what
an error looks like.
"""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import whisperlab

if TYPE_CHECKING:
    from openai import OpenAI

DEMO: Final = Path(whisperlab.__file__).parent / "dataset" / "demo"
CLIP: Final = DEMO / "digits-09.flac"
"""3.48 s: "five eight six nine"."""

TRANSCRIPTIONS: Final = "/audio/transcriptions"
TRANSLATIONS: Final = "/audio/translations"

ENVELOPE_KEYS: Final = frozenset({"message", "type", "param", "code"})

Fields = Sequence[tuple[str, str]]


class Deviation(Exception):  # noqa: N818 - what was found, not an error of ours
    """The server breaks the rule; the message says what came."""


class NotOffered(Exception):  # noqa: N818 - what was found, not an error of ours
    """The server does not have the feature, and says so properly or need not have it."""


def expect(holds: object, otherwise: str) -> None:
    """Raises ``Deviation`` with ``otherwise`` unless ``holds`` is true."""
    if not holds:
        raise Deviation(otherwise)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: status, headers by lower-case name, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode("utf-8", errors="replace")

    @property
    def shown(self) -> str:
        """The beginning of the answer, for messages."""
        return f"{self.status} {self.text[:160]!r}"

    def json(self) -> Any:
        """Returns the body's JSON; anything else is a deviation."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise Deviation(f"expected JSON, got {self.shown}") from None

    def ok(self) -> Reply:
        """Returns itself if the status is 200.

        Raises:
            NotOffered: a refusal as ``unsupported_value`` in the proper envelope.
            Deviation: any other answer.
        """
        if self.status == http.client.BAD_REQUEST and b"unsupported_value" in self.body:
            raise NotOffered(str(self.error()["message"]))
        expect(self.status == http.client.OK, f"expected 200, got {self.shown}")
        return self

    def error(self) -> dict[str, Any]:
        """Returns the envelope's content; a body of another shape is a deviation."""
        body = self.json()
        expect(
            isinstance(body, dict) and set(body) == {"error"} and isinstance(body["error"], dict),
            f"expected {{'error': {{...}}}} alone, got {self.shown}",
        )
        error: dict[str, Any] = body["error"]
        expect(
            set(error) == ENVELOPE_KEYS, f"expected message, type, param, code; got {self.shown}"
        )
        for key, value in error.items():
            optional = key in ("param", "code")
            expect(
                isinstance(value, str) or (optional and value is None),
                f"expected {key} to be text, got {value!r}",
            )
        return error

    def refusal(self, status: int, *, param: str | None = None) -> dict[str, Any]:
        """Returns the envelope of a refusal with this status, and this ``param`` where given."""
        expect(self.status == status, f"expected {status}, got {self.shown}")
        error = self.error()
        if param is not None:
            expect(error["param"] == param, f"expected param {param}, got {error['param']}")
        return error


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a multipart body; ``file_name`` ``None`` is a text field."""

    name: str
    content: bytes
    file_name: str | None = None
    content_type: str | None = None


def sound(content: bytes, file_name: str = "upload") -> Part:
    """Returns the file part as the official client sends raw bytes."""
    return Part("file", content, file_name, "application/octet-stream")


@dataclass(frozen=True)
class Server:
    """Where the server is and what it is asked for; one request each, no retries.

    ``base_url`` ends with the version (``http://127.0.0.1:8000/v1``). ``key`` ``None`` sends no
    ``Authorization``. ``check_seconds`` bounds a check and every wait within it.
    """

    base_url: str
    model: str
    key: str | None = field(default=None, repr=False)
    check_seconds: float = 60.0

    @cached_property
    def clip(self) -> bytes:
        """The short clip, a FLAC file."""
        return CLIP.read_bytes()

    @property
    def root(self) -> str:
        """The path of the address without its version, where ``/health`` is."""
        return urlsplit(self.base_url).path.rstrip("/").rpartition("/")[0]

    @property
    def versioned(self) -> str:
        """The path of the address, such as ``/v1``."""
        return urlsplit(self.base_url).path.rstrip("/")

    def client(self, **options: Any) -> OpenAI:
        """Returns the official client, its own retries off."""
        from openai import OpenAI

        return OpenAI(
            base_url=self.base_url,
            api_key=self.key or "none",
            max_retries=0,
            timeout=self.check_seconds,
            **options,
        )

    def authorization(self) -> dict[str, str]:
        """Returns the header with the key, if there is one."""
        return {} if self.key is None else {"Authorization": f"Bearer {self.key}"}

    def connect(self) -> http.client.HTTPConnection:
        """Returns a connection that is opened with the first request."""
        parts = urlsplit(self.base_url)
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        return kind(parts.hostname or "", parts.port, timeout=self.check_seconds)

    @contextmanager
    def opened(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """Gives the answer with its body still to be read, as a stream's."""
        connection = self.connect()
        try:
            connection.request(method, path, body, dict(headers))
            yield connection.getresponse()
        finally:
            connection.close()

    def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        """Returns the answer to one request; the key is added unless ``headers`` have one."""
        with self.opened(method, path, {**self.authorization(), **(headers or {})}, body) as answer:
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, names, answer.read())

    def get(self, path: str) -> Reply:
        """Returns the answer to a GET below the version."""
        return self.send("GET", self.versioned + path)

    def post_parts(
        self,
        parts: Sequence[Part],
        route: str = TRANSCRIPTIONS,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Returns the answer to exactly these parts."""
        media_type, body = multipart(parts)
        return self.send(
            "POST", self.versioned + route, {"Content-Type": media_type, **(headers or {})}, body
        )

    def form(self, fields: Fields = (), content: bytes | None = None) -> list[Part]:
        """Returns the parts of a request: model, ``fields``, the sound last (the clip by default)."""
        texts = [Part(name, value.encode()) for name, value in fields]
        if all(name != "model" for name, _ in fields):
            texts.insert(0, Part("model", self.model.encode()))
        return [*texts, sound(self.clip if content is None else content)]

    def ask(
        self, *fields: tuple[str, str], content: bytes | None = None, route: str = TRANSCRIPTIONS
    ) -> Reply:
        """Returns the answer to a request as the official client would send it."""
        return self.post_parts(self.form(fields, content), route)

    def post_json(self, body: bytes) -> Reply:
        """Returns the answer to a JSON body on the route for transcriptions."""
        return self.send(
            "POST", self.versioned + TRANSCRIPTIONS, {"Content-Type": "application/json"}, body
        )


def multipart(parts: Sequence[Part]) -> tuple[str, bytes]:
    """Returns the media type and the body of a form (RFC 7578)."""
    boundary = uuid.uuid4().hex
    body = b""
    for part in parts:
        disposition = f'form-data; name="{part.name}"'
        if part.file_name is not None:
            disposition += f'; filename="{part.file_name}"'
        head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\n"
        if part.content_type is not None:
            head += f"Content-Type: {part.content_type}\r\n"
        body += f"{head}\r\n".encode() + part.content + b"\r\n"
    return f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--\r\n".encode()
