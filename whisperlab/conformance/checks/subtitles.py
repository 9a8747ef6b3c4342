"""Text formats: text, srt, vtt, and their times against verbose_json's."""

from __future__ import annotations

import re
from http.client import BAD_REQUEST
from typing import Any, Final

from whisperlab.conformance.server import NotOffered, Server, expect

_SRT: Final = re.compile(r"(\d+)\n(\d\d:\d\d:\d\d,\d{3}) --> (\d\d:\d\d:\d\d,\d{3})\n([^\n]+)\n\n")
_VTT: Final = re.compile(r"(\d\d:\d\d:\d\d\.\d{3}) --> (\d\d:\d\d:\d\d\.\d{3})\n([^\n]+)\n\n")


def _written(server: Server, name: str) -> str:
    return server.ask(("response_format", name)).ok().body.decode("utf-8")


def _segments(server: Server) -> list[dict[str, Any]]:
    body = server.ask(("response_format", "verbose_json")).ok().json()
    return [one for one in body["segments"] if one["text"].strip()]


def _clock(seconds: float, mark: str) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{mark}{milliseconds:03d}"


def text_is_plain_and_ends_its_line(server: Server) -> None:
    """``text`` is ``text/plain``, the text and one line break."""
    reply = server.ask(("response_format", "text")).ok()
    media_type = reply.headers.get("content-type", "")
    expect(media_type.startswith("text/plain"), f"got {media_type}")
    expect(reply.text == reply.text.strip() + "\n", f"got {reply.text!r}")


def srt_is_numbered_cues(server: Server) -> None:
    r"""``srt`` is ``1\n00:00:00,000 --> 00:00:03,320\nText\n\n``, nothing else."""
    written = _written(server, "srt")
    rest = _SRT.sub("", written)
    expect(not rest and written, f"not SubRip: {(rest or written)[:80]!r}")
    numbers = [int(match[1]) for match in _SRT.finditer(written)]
    expect(numbers == list(range(1, len(numbers) + 1)), f"numbered {numbers}")


def vtt_is_a_header_and_cues_with_hours(server: Server) -> None:
    r"""``vtt`` is ``WEBVTT\n\n00:00:00.000 --> 00:00:03.320\nText\n\n``, hours always."""
    written = _written(server, "vtt")
    expect(written.startswith("WEBVTT\n\n"), f"no header: {written[:20]!r}")
    rest = _VTT.sub("", written.removeprefix("WEBVTT\n\n"))
    expect(not rest, f"not WebVTT with hours: {rest[:80]!r}")


def times_are_rounded_to_milliseconds(server: Server) -> None:
    """Times of srt and vtt are those of verbose_json, rounded to milliseconds, never cut off."""
    segments = _segments(server)
    for name, pattern, mark in (("srt", _SRT, ","), ("vtt", _VTT, ".")):
        times = [match.groups()[-3:-1] for match in pattern.finditer(_written(server, name))]
        wanted = [(_clock(one["start"], mark), _clock(one["end"], mark)) for one in segments]
        expect(times == wanted, f"{name}: expected {wanted[:2]}, got {times[:2]}")


def cues_have_the_texts_of_the_segments(server: Server) -> None:
    """The texts of the cues are the segments', stripped."""
    wanted = [one["text"].strip() for one in _segments(server)]
    said = [match[4] for match in _SRT.finditer(_written(server, "srt"))]
    expect(said == wanted, f"expected {wanted[:2]}, got {said[:2]}")


def tsv_is_the_table_of_whisper(server: Server) -> None:
    """``tsv`` (an extension) is openai/whisper's table, milliseconds as integers."""
    reply = server.ask(("response_format", "tsv"))
    if reply.status == BAD_REQUEST:
        reply.error()
        raise NotOffered("no tsv")
    first, *rows = reply.ok().text.splitlines()
    expect(first == "start\tend\ttext", f"got the header {first!r}")
    wanted = [
        f"{round(one['start'] * 1000)}\t{round(one['end'] * 1000)}\t{one['text'].strip()}"
        for one in _segments(server)
    ]
    expect(rows == wanted, f"expected {wanted[:1]}, got {rows[:1]}")


def the_official_client_gets_text(server: Server) -> None:
    """The official client returns ``str`` for text, srt and vtt."""
    with server.client() as client:
        for name in ("text", "srt", "vtt"):
            said: Any = client.audio.transcriptions.create(
                model=server.model,
                file=server.clip,
                response_format=name,
            )
            expect(isinstance(said, str), f"{name}: got {type(said).__name__}")
