"""Sending: the forms in which clients bring sound and fields, all of them equal."""

from __future__ import annotations

import base64
import io
import json
from http.client import BAD_REQUEST, OK, UNSUPPORTED_MEDIA_TYPE

from whisperlab.conformance.server import (
    CLIP,
    NotOffered,
    Part,
    Reply,
    Server,
    expect,
    sound,
)
from whisperlab.conformance.sounds import encoded


def _text(server: Server) -> str:
    return str(server.ask().ok().json()["text"])


def _same(server: Server, reply: Reply) -> None:
    said, plain = reply.ok().json()["text"], _text(server)
    expect(said == plain, f"expected {plain!r}, got {said!r}")


def the_official_client_sends_bytes_paths_files_and_tuples(server: Server) -> None:
    """Raw bytes, a path, an open file and a ``(name, bytes)`` of the official client are equal."""
    plain = _text(server)
    with server.client() as client, CLIP.open("rb") as opened:
        for file in (server.clip, CLIP, opened, ("a b.flac", server.clip)):
            said = client.audio.transcriptions.create(model=server.model, file=file).text
            expect(said == plain, f"{type(file).__name__}: expected {plain!r}, got {said!r}")


def names_and_types_of_files_are_not_trusted(server: Server) -> None:
    """The sound is recognised by its content: a wrong name or type changes nothing."""
    wrong = [
        Part("file", server.clip, "upload", "application/octet-stream"),
        Part("file", server.clip, "speech.mp3", "audio/mpeg"),
        Part("file", server.clip, "notes.txt", "text/plain"),
        Part("file", server.clip, "../../etc/passwd", None),
    ]
    for part in wrong:
        _same(server, server.post_parts([Part("model", server.model.encode()), part]))


def the_file_may_come_first_or_last(server: Server) -> None:
    """The order of a form's parts does not matter."""
    model = Part("model", server.model.encode())
    for parts in ([model, sound(server.clip)], [sound(server.clip), model]):
        _same(server, server.post_parts(parts))


def every_listed_format_is_read(server: Server) -> None:
    """flac, wav, ogg (Vorbis and Opus), mp3, m4a and webm are read."""
    for name, content in encoded(server.clip).items():
        reply = server.ask(content=content)
        expect(reply.status == OK, f"{name}: {reply.shown}")


def wav_flac_and_float_samples_give_one_text(server: Server) -> None:
    """Lossless forms of one sound (FLAC, 16-bit WAV, float WAV) give one text."""
    plain = _text(server)
    for name in ("wav", "wav_float"):
        said = server.ask(content=encoded(server.clip)[name]).ok().json()["text"]
        expect(said == plain, f"{name}: expected {plain!r}, got {said!r}")


def an_empty_field_is_an_absent_one(server: Server) -> None:
    """An empty string is as if the field were not there."""
    names = ("language", "prompt", "response_format", "temperature", "stream")
    _same(server, server.ask(*((name, "") for name in names)))


def lists_are_written_in_four_ways(server: Server) -> None:
    """``name[]`` and ``name``, repeated or comma separated, are one list."""
    both = [
        [("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment")],
        [("timestamp_granularities", "word"), ("timestamp_granularities", "segment")],
        [("timestamp_granularities[]", "word,segment")],
        [("timestamp_granularities", "segment,word")],
    ]
    for fields in both:
        body = server.ask(("response_format", "verbose_json"), *fields).ok().json()
        expect(body.get("words") and body.get("segments"), f"{fields}: got only {sorted(body)}")


def fields_that_nobody_knows_do_no_harm(server: Server) -> None:
    """Unknown fields (SDKs send extras) are ignored."""
    _same(server, server.ask(("user", "someone"), ("x_extra", "1")))


def a_json_body_with_base64_is_the_same_request(server: Server) -> None:
    """``{"audio": "<base64>", "model": ...}`` (the predecessor's) gives the same answer."""
    content = base64.b64encode(server.clip).decode()
    for written in (content, f"data:audio/flac;base64,{content}"):
        body = json.dumps({"audio": written, "model": server.model}).encode()
        reply = server.post_json(body)
        if reply.status in (BAD_REQUEST, UNSUPPORTED_MEDIA_TYPE):
            reply.error()
            raise NotOffered(f"no JSON bodies: {reply.shown}")
        _same(server, reply)


def an_open_stream_can_be_sent(server: Server) -> None:
    """A file object without a name, as the official client sends it, is read."""
    with server.client() as client:
        said = client.audio.transcriptions.create(model=server.model, file=io.BytesIO(server.clip))
    expect(said.text == _text(server), f"got {said.text!r}")
