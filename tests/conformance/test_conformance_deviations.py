"""Each check can fail: a proxy before our server breaks one rule, and the check says so."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from answering_server import Reply, Request, answering, forwarding
from conformance_server import Keyed, conforming_server

from whisperlab.conformance.check import Finding, Verdict, all_checks, run_check
from whisperlab.conformance.server import Server

Mutation = Callable[[Request, Reply], Reply]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    with conforming_server(tmp_path_factory.mktemp("server")) as keyed:
        yield keyed


def findings(server: Server, names: set[str] | None = None) -> dict[str, Finding]:
    found = {
        f"{check.topic}: {check.name}": run_check(server, check)
        for check in all_checks()
        if names is None or f"{check.topic}: {check.name}" in names
    }
    assert names is None or set(found) == names
    return found


def edited(change: Callable[[dict[str, Any]], object]) -> Mutation:
    """Changes a JSON answer of status 200."""

    def mutate(_: Request, reply: Reply) -> Reply:
        if reply.status != 200 or "json" not in reply.headers.get("content-type", ""):
            return reply
        body = json.loads(reply.body)
        change(body)
        return replace(reply, body=json.dumps(body).encode())

    return mutate


def events(change: Callable[[str], str]) -> Mutation:
    """Changes the text of a stream."""

    def mutate(_: Request, reply: Reply) -> Reply:
        if "event-stream" not in reply.headers.get("content-type", ""):
            return reply
        return replace(reply, body=change(reply.body.decode()).encode())

    return mutate


def text(pattern: str, to: str, format_name: str) -> Mutation:
    """Changes what is written in a format."""

    def mutate(request: Request, reply: Reply) -> Reply:
        if not request.asks("response_format", format_name):
            return reply
        return replace(reply, body=re.sub(pattern, to, reply.body.decode()).encode())

    return mutate


def header(name: str, value: str | None) -> Mutation:
    def mutate(_: Request, reply: Reply) -> Reply:
        kept = {key: one for key, one in reply.headers.items() if key != name}
        return replace(reply, headers=kept if value is None else {**kept, name: value})

    return mutate


def segments(change: Callable[[dict[str, Any]], object]) -> Mutation:
    def each(body: dict[str, Any]) -> None:
        for segment in body.get("segments", ()):
            change(segment)

    return edited(each)


def words(change: Callable[[dict[str, Any]], object]) -> Mutation:
    def each(body: dict[str, Any]) -> None:
        for word in body.get("words", ()):
            change(word)

    return edited(each)


def detail_instead_of_error(_: Request, reply: Reply) -> Reply:
    if reply.status < 400:
        return reply
    body = {"detail": json.loads(reply.body)["error"]["message"]}
    return replace(reply, body=json.dumps(body).encode())


def always_422(_: Request, reply: Reply) -> Reply:
    return replace(reply, status=422) if reply.status == 400 else reply


def always_the_right_key(_: Request, reply: Reply) -> Reply:
    return Reply(b'{"text": "come in"}') if reply.status == 401 else reply


def unknown_formats_are_json(request: Request, reply: Reply) -> Reply:
    if request.asks("response_format", "yaml"):
        return Reply(b'{"text": "as you like"}')
    return reply


def json_instead_of_a_stream(request: Request, reply: Reply) -> Reply:
    return Reply(b'{"text": "all at once"}') if request.asks("stream", "true") else reply


def logprobs(change: Callable[[dict[str, Any]], object]) -> Mutation:
    def mutate(request: Request, reply: Reply) -> Reply:
        if not request.asks("include[]", "logprobs"):
            return reply
        spelled = [
            {"token": "five", "logprob": -0.1, "bytes": list(b"five")},
            {"token": " six", "logprob": -0.2, "bytes": list(b" six")},
        ]
        body = {"text": "five six", "logprobs": spelled}
        change(body)
        return Reply(json.dumps(body).encode())

    return mutate


def late_words(body: dict[str, Any]) -> None:
    body["words"] = list(reversed(body.get("words", [])))


CASES: dict[str, tuple[Mutation, set[str]]] = {
    "an id that is empty": (
        edited(lambda body: [one.update(id="") for one in body.get("data", ())]),
        {"routes: every listed model can be retrieved"},
    ),
    "a model without an owner": (
        edited(lambda body: [one.pop("owned_by", 0) for one in body.get("data", ())]),
        {"routes: models are listed"},
    ),
    "health that is fine": (
        edited(lambda body: body.update(status="fine") if "status" in body else None),
        {"routes: health is healthy"},
    ),
    "FastAPI's detail": (
        detail_instead_of_error,
        {
            "errors: what is no sound is refused", "errors: an unknown route is not found",
            "parameters: model is required", "routes: an unknown model is not found",
        },
    ),
    "422 for everything wrong": (
        always_422,
        {
            "errors: a sound under a tenth of a second is refused", "errors: a broken form is refused",
            "parameters: other temperatures are refused", "parameters: a parameter twice is refused",
            "errors: the official client raises its own errors",
        },
    ),
    "every key opens": (always_the_right_key, {"errors: a wrong key is unauthorised"}),
    "a bogus format answered 200": (
        unknown_formats_are_json,
        {"parameters: an unknown response format is refused"},
    ),
    "no usage": (
        edited(lambda body: body.pop("usage", None)),
        {
            "answers: json is text and usage", "answers: usage is the duration rounded up",
            "answers: verbose json has the keys of openai in order",
        },
    ),
    "usage rounded down": (
        edited(lambda body: body.get("usage", {}).update(seconds=3)),
        {"answers: usage is the duration rounded up"},
    ),
    "a duration as text": (
        edited(lambda body: body.update(duration=str(body.get("duration")))),
        {
            "answers: duration is that of the sound",
            "answers: verbose json is valid in strict mode",
        },
    ),
    "a language as a code": (
        edited(lambda body: body.update(language="en")),
        {"answers: language is an english name", "answers: translations are english"},
    ),
    "segments without their space": (
        segments(lambda one: one.update(text=one["text"].strip())),
        {"answers: text is stripped and segments are not"},
    ),
    "text with a space": (
        edited(lambda body: body.update(text=f" {body.get('text')}")),
        {"answers: text is stripped and segments are not", "answers: every format says the same"},
    ),
    "segments without tokens": (
        segments(lambda one: one.update(tokens=[])),
        {"answers: segments have every field"},
    ),
    "tokens without timestamps": (
        segments(lambda one: one.update(tokens=one["tokens"][1:-1])),
        {"answers: segments begin and end with timestamp tokens"},
    ),
    "a null measure": (
        segments(lambda one: one.update(avg_logprob=None)),
        {"answers: segments have every field", "answers: verbose json is valid in strict mode"},
    ),
    "segments beyond the sound": (
        segments(lambda one: one.update(end=one["end"] + 30)),
        {"answers: segments follow each other within the sound"},
    ),
    "segments though words were asked for": (
        edited(lambda body: body.setdefault("segments", [])),
        {"answers: words alone leave the segments out"},
    ),
    "words though segments were asked for": (
        edited(lambda body: body.setdefault("words", [])),
        {"answers: segments alone leave the words out"},
    ),
    "words with a space": (
        words(lambda one: one.update(word=f" {one['word']}")),
        {"answers: words have no leading space and stand in order"},
    ),
    "words in another order": (
        edited(late_words),
        {"answers: words have no leading space and stand in order"},
    ),
    "logprobs that spell something else": (
        logprobs(lambda body: body.update(text="seven")),
        {"answers: logprobs spell the text"},
    ),
    "logprobs above 0": (
        logprobs(lambda body: body["logprobs"][0].update(logprob=0.5)),
        {"answers: logprobs spell the text"},
    ),
    "logprobs all alike": (
        logprobs(lambda body: [one.update(logprob=-1.0) for one in body["logprobs"]]),
        {"answers: logprobs spell the text"},
    ),
    "srt numbered from 0": (
        text(r"(?m)^1$", "0", "srt"),
        {"subtitles: srt is numbered cues"},
    ),
    "srt with dots": (text(",", ".", "srt"), {"subtitles: srt is numbered cues"}),
    "vtt without hours": (
        text(r"00:(\d\d:\d\d\.)", r"\1", "vtt"),
        {"subtitles: vtt is a header and cues with hours"},
    ),
    "milliseconds cut off": (
        text(",620", ",619", "srt"),
        {"subtitles: times are rounded to milliseconds"},
    ),
    "cues with a space": (
        text(r"\n(six)", r"\n \1", "srt"),
        {"subtitles: cues have the texts of the segments"},
    ),
    "text without its line break": (
        text("\n$", "", "text"),
        {"subtitles: text is plain and ends its line", "answers: every format says the same"},
    ),
    "tsv in seconds": (
        text("1620", "1.62", "tsv"),
        {"subtitles: tsv is the table of whisper"},
    ),
    "JSON instead of a stream": (
        json_instead_of_a_stream,
        {
            "streaming: a stream is deltas and one end",
            "streaming: the official client gets every event",
        },
    ),
    "an empty end": (
        events(lambda body: re.sub(r'("text": )"[^"]*"', r'\1""', body)),
        {"streaming: the deltas are the text"},
    ),
    "a delta twice": (
        events(lambda body: body.partition("\n\n")[0] + "\n\n" + body),
        {"streaming: the deltas are the text"},
    ),
    "named events": (
        events(lambda body: body.replace("data: ", "event: delta\ndata: ")),
        {"streaming: a stream is deltas and one end"},
    ),
    "an end without usage": (
        events(lambda body: body.replace('"usage"', '"used"')),
        {"streaming: events are valid in strict mode"},
    ),
    "a stream that is held back": (
        lambda _, reply: reply,  # the proxy reads it to its end before it hands it on
        {"streaming: deltas come while the sound is decoded"},
    ),
    "one id for all": (
        header("x-request-id", "1"),
        {"headers: every answer has a request id"},
    ),
    "no id": (
        header("x-request-id", None),
        {
            "headers: every answer has a request id", "headers: a caller may name its request",
            "headers: the official client shows the headers",
            "headers: an error of the official client has the id",
        },
    ),
    "a hash that is none": (
        header("x-whisperlab-config", "main"),
        {"headers: the configuration is named"},
    ),
    "times in words": (
        header("server-timing", "fast enough"),
        {"headers: server timing names the stages"},
    ),
    "answers that may be kept": (
        header("cache-control", "public"),
        {"headers: answers are not kept or sniffed"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_broken_rule_fails_its_check(ours: Keyed, case: str) -> None:
    mutate, names = CASES[case]
    upstream = forwarding(ours.base_url)
    with answering(lambda request: mutate(request, upstream(request))) as base_url:
        found = findings(Server(base_url, "whisper-1", ours.key, 30.0), names)
    assert {name: one.verdict for name, one in found.items()} == dict.fromkeys(names, Verdict.FAIL)
    assert all(one.detail for one in found.values())


def test_a_proxy_that_changes_nothing_passes(ours: Keyed) -> None:
    names = {name for _, chosen in CASES.values() for name in chosen}
    names -= {
        "streaming: deltas come while the sound is decoded",  # the proxy holds it back
        "answers: logprobs spell the text",  # replay has none
    }
    with answering(forwarding(ours.base_url)) as base_url:
        found = findings(Server(base_url, "whisper-1", ours.key, 30.0), names)
    assert {name: (one.verdict, one.detail) for name, one in found.items()} == dict.fromkeys(
        names, (Verdict.PASS, "")
    )


def test_a_server_in_ruins_passes_nothing() -> None:
    with answering(lambda _: Reply(b"<h1>Bad Gateway</h1>", 502, {})) as base_url:
        found = findings(Server(base_url, "whisper-1", None, 10.0))
    assert [name for name, one in found.items() if one.verdict is Verdict.PASS] == []
    assert [name for name, one in found.items() if one.verdict is Verdict.NOT_OFFERED] == [
        "errors: a wrong key is unauthorised"
    ]


def test_a_server_that_says_yes_to_everything_is_found_out() -> None:
    yes = b'{"text": "yes", "usage": {"type": "duration", "seconds": 4}}'
    with answering(lambda _: Reply(yes)) as base_url:
        found = findings(Server(base_url, "whisper-1", "key", 10.0))
    refusals = {name for name in found if "refused" in name or "not found" in name or "unauth" in name}  # fmt: skip
    assert len(refusals) > 20
    passed = {name for name in refusals if found[name].verdict is Verdict.PASS}
    assert passed == {
        "parameters: known speakers are used or refused",
    }


def test_a_server_that_does_not_answer_is_given_up_in_time() -> None:
    import time

    def hang(_: Request) -> Reply:
        time.sleep(3)
        return Reply(b"{}")

    with answering(hang) as base_url:
        started = time.perf_counter()
        found = findings(Server(base_url, "m", None, 0.2), {"answers: json is text and usage"})
        assert time.perf_counter() - started < 2
    (finding,) = found.values()
    assert finding.verdict is Verdict.FAIL
