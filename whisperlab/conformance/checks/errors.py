"""Errors: always OpenAI's envelope, with a status that the client's retries can trust."""

from __future__ import annotations

import base64
import json
import socket
import ssl
from contextlib import suppress
from http.client import (
    BAD_REQUEST,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    OK,
    REQUEST_ENTITY_TOO_LARGE,
    UNAUTHORIZED,
    UNSUPPORTED_MEDIA_TYPE,
)
from typing import Final
from urllib.parse import urlsplit

from whisperlab.conformance.server import (
    TRANSCRIPTIONS,
    NotOffered,
    Part,
    Reply,
    Server,
    expect,
    multipart,
)
from whisperlab.conformance.sounds import encoded, silence

OPENAI_LIMIT_BYTES: Final = 26_214_400


def _json_refusal(server: Server, body: bytes, codes: set[str]) -> None:
    reply = server.post_json(body)
    if reply.status == UNSUPPORTED_MEDIA_TYPE:
        raise NotOffered("no JSON bodies")
    error = reply.refusal(BAD_REQUEST)
    expect(error["code"] in codes, f"{body[:40]!r}: expected {codes}, got {error['code']}")


def what_is_no_sound_is_refused(server: Server) -> None:
    """Bytes that are no sound: 400, ``Invalid file format. Supported formats: [...]``."""
    error = server.ask(content=b"This is not a sound. " * 50).refusal(BAD_REQUEST)
    expect(error["type"] == "invalid_request_error", f"got type {error['type']}")
    expect(str(error["message"]).startswith("Invalid file format."), f"got {error['message']!r}")


def a_damaged_sound_is_refused(server: Server) -> None:
    """A container whose content is noise: 400, ``param`` file, never an empty text."""
    wav = encoded(server.clip)["flac"]
    server.ask(content=wav[:100] + bytes(range(256)) * 20).refusal(BAD_REQUEST)


def an_empty_file_is_refused(server: Server) -> None:
    """A file of 0 bytes: 400."""
    server.ask(content=b"").refusal(BAD_REQUEST)


def a_missing_file_is_refused(server: Server) -> None:
    """A form without a file: 400, ``param`` file."""
    server.post_parts([Part("model", server.model.encode())]).refusal(BAD_REQUEST, param="file")


def a_sound_under_a_tenth_of_a_second_is_refused(server: Server) -> None:
    """A sound under 0.1 s: 400, ``Audio file is too short. Minimum audio length is 0.1 seconds``."""
    error = server.ask(content=silence(0.05)).refusal(BAD_REQUEST)
    said = str(error["message"])
    expect(said == "Audio file is too short. Minimum audio length is 0.1 seconds.", f"got {said!r}")


def silence_is_an_answer(server: Server) -> None:
    """A second of digital silence is 200 with a text, empty or not."""
    expect(isinstance(server.ask(content=silence(1.0)).ok().json()["text"], str), "no text")


def a_file_over_the_limit_is_refused(server: Server) -> None:
    """Over 25 MiB: 413, ``Maximum content size limit (26214400) exceeded (N bytes read)``."""
    reply = _upload(server, OPENAI_LIMIT_BYTES + (1 << 20))
    if reply.status in (OK, BAD_REQUEST):
        raise NotOffered(f"26 MiB are within this server's limit: {reply.status}")
    error = reply.refusal(REQUEST_ENTITY_TOO_LARGE)
    said = str(error["message"])
    expect(said.startswith("Maximum content size limit ("), f"got {said!r}")


def _upload(server: Server, size: int) -> Reply:
    """Sends a form of ``size`` bytes and reads the answer, also when it comes before the end."""
    media_type, body = multipart(server.form((), b"\0" * size))
    lines = [
        f"POST {server.versioned}{TRANSCRIPTIONS} HTTP/1.1",
        f"Host: {urlsplit(server.base_url).netloc}",
        f"Content-Type: {media_type}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in server.authorization().items()),
    ]
    with _socket(server) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        with suppress(BrokenPipeError, ConnectionResetError):  # refused before the end
            connection.sendall(body)
        received = b""
        while piece := connection.recv(1 << 16):
            received += piece
    head, _, content = received.partition(b"\r\n\r\n")
    expect(head.startswith(b"HTTP/1.1 "), f"no answer, got {head[:80]!r}")
    return Reply(int(head.split(b" ", 2)[1]), {}, content)


def _socket(server: Server) -> socket.socket:
    parts = urlsplit(server.base_url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    host = parts.hostname or ""
    plain = socket.create_connection((host, port), timeout=server.check_seconds)
    if not secure:
        return plain
    return ssl.create_default_context().wrap_socket(plain, server_hostname=host)


def a_wrong_key_is_unauthorised(server: Server) -> None:
    """A wrong key: 401 ``invalid_api_key`` with ``WWW-Authenticate``; none at all: 401."""
    if server.key is None:
        raise NotOffered("no key was given (--api-key-env)")
    for headers in ({"Authorization": "Bearer wrong"}, {"Authorization": ""}):
        reply = server.post_parts(server.form(), headers=headers)
        error = reply.refusal(UNAUTHORIZED)
        expect(error["code"] == "invalid_api_key", f"got code {error['code']}")


def an_unknown_route_is_not_found(server: Server) -> None:
    """An unknown route is a 404 in the envelope, no ``{"detail": ...}``."""
    server.get("/audio/no-such-route").refusal(NOT_FOUND)


def a_wrong_method_is_not_allowed(server: Server) -> None:
    """GET on the route for transcriptions is a 405 in the envelope."""
    server.get(TRANSCRIPTIONS).refusal(METHOD_NOT_ALLOWED)


def another_media_type_is_refused(server: Server) -> None:
    """A raw sound or a urlencoded form as body: 415 in the envelope."""
    for media_type in ("audio/wav", "application/x-www-form-urlencoded"):
        server.send(
            "POST", server.versioned + TRANSCRIPTIONS, {"Content-Type": media_type}, server.clip
        ).refusal(UNSUPPORTED_MEDIA_TYPE)


def a_broken_form_is_refused(server: Server) -> None:
    """A form without boundary, or cut off: 400 ``invalid_multipart``."""
    media_type, body = multipart(server.form())
    path = server.versioned + TRANSCRIPTIONS
    for written, content in (("multipart/form-data", body), (media_type, body[:-20])):
        error = server.send("POST", path, {"Content-Type": written}, content).refusal(BAD_REQUEST)
        expect(error["code"] == "invalid_multipart", f"got code {error['code']}")


def broken_base64_is_refused(server: Server) -> None:
    """Base64 with bad padding, other characters or nothing: 400."""
    for audio in ("QUJDQ", "QU JD", "*!", "data:text/html;base64,QUJD", "", " "):
        body = json.dumps({"audio": audio, "model": server.model}).encode()
        _json_refusal(server, body, {"invalid_base64", "missing_file", "empty_file"})


def broken_json_is_refused(server: Server) -> None:
    """JSON that is none, has a key twice, or NaN: 400 ``invalid_json``."""
    audio = base64.b64encode(server.clip)
    for body in (
        b"{",
        b'{"audio": "' + audio + b'", "model": "a", "model": "b"}',
        b'{"audio": "' + audio + b'", "model": "a", "temperature": NaN}',
        b"[" * 100_000,
    ):
        _json_refusal(server, body, {"invalid_json", "duplicate_parameter"})


def the_official_client_raises_its_own_errors(server: Server) -> None:
    """404 and 400 are ``NotFoundError`` and ``BadRequestError`` of the official client."""
    from openai import APIStatusError, BadRequestError, NotFoundError

    asked: list[tuple[type[APIStatusError], str, bytes]] = [
        (NotFoundError, "no-such-model", server.clip),
        (BadRequestError, server.model, silence(0.01)),
    ]
    with server.client() as client:
        for wanted, model, content in asked:
            try:
                client.audio.transcriptions.create(model=model, file=content)
            except APIStatusError as error:
                expect(isinstance(error, wanted), f"expected {wanted.__name__}, got {error!r}")
            else:
                expect(None, f"expected {wanted.__name__}, got an answer")
