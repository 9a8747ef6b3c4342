"""Headers of every answer: the request's id, its times, the configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.client import BAD_REQUEST
from typing import Final

from whisperlab.conformance.server import Deviation, NotOffered, Reply, Server, expect

_ID: Final = "x-request-id"
_METRIC: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+(;dur=\d+(\.\d+)?|;desc=.+)*")
"""One metric of ``Server-Timing`` (W3C, "Server Timing", 3)."""


def _kinds_of_answers(server: Server) -> Iterator[tuple[str, Reply]]:
    yield "json", server.ask()
    yield "stream", server.ask(("stream", "true"))
    yield "refusal", server.ask(("response_format", "yaml"))
    yield "list of models", server.get("/models")
    yield "unknown route", server.get("/no/such/route")


def every_answer_has_a_request_id(server: Server) -> None:
    """``x-request-id`` stands on answers, streams and errors, another one each time."""
    found = [(kind, reply.headers.get(_ID)) for kind, reply in _kinds_of_answers(server)]
    missing = [kind for kind, name in found if not name]
    expect(not missing, f"none on: {', '.join(missing)}")
    expect(len({name for _, name in found}) == len(found), "ids are not unique")


def a_caller_may_name_its_request(server: Server) -> None:
    """An ``x-request-id`` of letters, digits and hyphens, up to 64, is the answer's."""
    name = "Conformance-" + "0" * 52
    came = server.post_parts(server.form(), headers={_ID: name}).headers.get(_ID)
    if came is not None and came != name:
        raise NotOffered("this server gives its own ids")
    expect(came == name, f"expected {name}, got {came}")


def a_hostile_request_id_does_not_come_back(server: Server) -> None:
    """Any other ``x-request-id`` is replaced."""
    for name in ("a b", "x" * 65, "<script>", "a,b"):
        came = server.send("GET", server.versioned + "/models", {_ID: name}).headers.get(_ID)
        expect(came and came != name, f"for {name!r} came {came!r}")


def server_timing_names_the_stages(server: Server) -> None:
    """``Server-Timing`` has milliseconds by stage, on streams too."""
    for kind, reply in (("json", server.ask()), ("stream", server.ask(("stream", "true")))):
        timing = reply.ok().headers.get("server-timing")
        if timing is None:
            raise NotOffered(f"none on {kind}")
        for metric in timing.split(", "):
            expect(_METRIC.fullmatch(metric), f"{kind}: not a metric: {metric!r}")
        expect("dur=" in timing, f"{kind}: no duration in {timing!r}")


def the_configuration_is_named(server: Server) -> None:
    """``x-whisperlab-config`` is the hash of the configuration that answered, 16 hex digits."""
    found = server.ask().ok().headers.get("x-whisperlab-config")
    if found is None:
        raise NotOffered("no x-whisperlab-config: an extension of whisperlab")
    expect(re.fullmatch(r"[0-9a-f]{16}", found), f"got {found!r}")
    refused = server.ask(content=b"no sound").headers.get("x-whisperlab-config")
    expect(refused == found, f"a refusal says {refused}")


def answers_are_not_kept_or_sniffed(server: Server) -> None:
    """Answers forbid caches and sniffing: ``cache-control: no-store``, ``nosniff``."""
    headers = server.ask().ok().headers
    found = (headers.get("cache-control"), headers.get("x-content-type-options"))
    if found == (None, None):
        raise NotOffered("neither header is there")
    expect(found == ("no-store", "nosniff"), f"got {found}")


def the_official_client_shows_the_headers(server: Server) -> None:
    """``with_raw_response`` of the official client gives id and body."""
    with server.client() as client:
        raw = client.audio.transcriptions.with_raw_response.create(
            model=server.model, file=server.clip
        )
    expect(raw.headers.get(_ID), "no x-request-id")
    expect(raw.parse().text == server.ask().ok().json()["text"], "the raw answer has another text")


def an_error_of_the_official_client_has_the_id(server: Server) -> None:
    """The exceptions of the official client carry ``request_id``, ``code`` and ``param``."""
    from openai import BadRequestError

    with server.client() as client:
        try:
            client.audio.transcriptions.create(model=server.model, file=b"no sound")
        except BadRequestError as error:
            expect(error.request_id, "no request_id")
            expect(error.status_code == BAD_REQUEST and error.code, f"no code: {error}")
            return
    raise Deviation("no BadRequestError for what is no sound")
