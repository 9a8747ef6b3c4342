"""Streams: server-sent events with deltas that are the text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import BAD_REQUEST, OK
from time import perf_counter
from typing import Any, Final

from whisperlab.conformance.server import (
    TRANSCRIPTIONS,
    Deviation,
    NotOffered,
    Part,
    Server,
    expect,
    multipart,
)
from whisperlab.conformance.sounds import long_sound

DELTA: Final = "transcript.text.delta"
DONE: Final = "transcript.text.done"
_STREAM: Final = ("stream", "true")
EARLY: Final = 0.5
"""The share of a long answer's time within which its first delta must be there."""


def _events(server: Server, *fields: tuple[str, str]) -> list[dict[str, Any]]:
    reply = server.ask(_STREAM, *fields).ok()
    media_type = reply.headers.get("content-type", "")
    expect(
        not media_type.startswith("application/json"),
        "stream=true was answered with JSON: the official client sees no event and no error",
    )
    expect(media_type.startswith("text/event-stream"), f"got {media_type}")
    return list(_parsed(reply.body.decode("utf-8")))


def _parsed(body: str) -> Iterator[dict[str, Any]]:
    for line in body.splitlines():
        if not line:
            continue
        expect(line.startswith("data: "), f"not a data line: {line[:80]!r}")
        content = line.removeprefix("data: ")
        if content == "[DONE]":
            continue
        try:
            yield json.loads(content)
        except ValueError:
            raise Deviation(f"not JSON: {content[:80]!r}") from None


def a_stream_is_deltas_and_one_end(server: Server) -> None:
    """``stream=true`` is ``text/event-stream``: data lines alone, deltas, then one done."""
    kinds = [event.get("type") for event in _events(server)]
    expect(kinds and kinds[-1] == DONE, f"the last event is {kinds[-1:]}")
    expect(kinds.count(DONE) == 1, f"{kinds.count(DONE)} ends")
    expect(set(kinds[:-1]) == {DELTA}, f"other events: {sorted(set(map(str, kinds[:-1])))}")


def the_deltas_are_the_text(server: Server) -> None:
    """The deltas, put together, are ``done.text`` and the text without a stream."""
    *deltas, done = _events(server)
    joined = "".join(event["delta"] for event in deltas)
    plain = server.ask().ok().json()["text"]
    expect(joined == done["text"], f"deltas give {joined!r}, done {done['text']!r}")
    expect(done["text"] == plain, f"done has {done['text']!r}, without a stream {plain!r}")


def events_are_valid_in_strict_mode(server: Server) -> None:
    """Each event validates as the official client's type; the end has ``usage``."""
    from openai.types.audio import TranscriptionTextDeltaEvent, TranscriptionTextDoneEvent

    *deltas, done = _events(server)
    for event in deltas:
        TranscriptionTextDeltaEvent.model_validate(event, strict=True)
    expect("usage" in done, "the end has no usage")
    TranscriptionTextDoneEvent.model_validate(done, strict=True)


def the_official_client_gets_every_event(server: Server) -> None:
    """The official client's stream yields the deltas and the end as typed events."""
    with server.client() as client:
        stream = client.audio.transcriptions.create(
            model=server.model, file=server.clip, stream=True
        )
        kinds = [event.type for event in stream]
    expect(kinds and kinds[-1] == DONE and DELTA in kinds, f"got {kinds}")


def logprobs_come_with_the_stream(server: Server) -> None:
    """``include[]=logprobs`` with a stream: the end carries them."""
    done = _events(server, ("include[]", "logprobs"))[-1]
    if "logprobs" not in done:
        raise NotOffered("the stream has no logprobs")
    expect(done["logprobs"], "logprobs are empty")


def deltas_come_while_the_sound_is_decoded(server: Server) -> None:
    """The first delta of a long sound comes before half of the answer's time has passed."""
    media_type, body = multipart(server.form([_STREAM], long_sound()))
    headers = {**server.authorization(), "Content-Type": media_type}
    path = server.versioned + TRANSCRIPTIONS
    started = perf_counter()
    arrivals: list[float] = []
    with server.opened("POST", path, headers, body) as answer:
        media_type = answer.getheader("content-type") or ""
        came = f"expected a stream, got {answer.status} {media_type}"
        expect(answer.status == OK and "event-stream" in media_type, came)
        arrivals.extend(perf_counter() - started for line in answer if DELTA.encode() in line)
        whole = perf_counter() - started
    if len(arrivals) <= 1:
        raise NotOffered("the long sound has a single delta")
    expect(arrivals[0] <= EARLY * whole, f"first delta after {arrivals[0]:.2f} of {whole:.2f} s")


def a_refusal_is_no_stream(server: Server) -> None:
    """An error before the first event is an ordinary answer with its status and envelope."""
    for fields, content in (((), b"no sound"), ((("temperature", "7"),), None)):
        server.ask(_STREAM, *fields, content=content).refusal(BAD_REQUEST)


def a_client_that_leaves_does_no_harm(server: Server) -> None:
    """After a client has hung up at its first event the next request is answered."""
    parts: list[Part] = server.form([_STREAM], long_sound())
    media_type, body = multipart(parts)
    headers = {**server.authorization(), "Content-Type": media_type}
    with server.opened("POST", server.versioned + TRANSCRIPTIONS, headers, body) as answer:
        answer.read(1)
    server.ask().ok()
