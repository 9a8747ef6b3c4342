"""Rows 1-4, 13-15 of the hostile cases: sizes, clocks and the budget, over bare sockets."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Callable, Iterator

import openai
import pytest
from decoder_processes import until
from front_calls import CAP, LIMITS, SOUND, post, url
from front_server import Front, running, settings
from raw_http import (
    FILE,
    JSON,
    MULTIPART,
    RawClient,
    chunked,
    exchange,
    form,
    part,
    request,
)
from starlette.requests import ClientDisconnect, Request

from whisperlab.serve.body import ByteBudget, read_form
from whisperlab.serve.multipart import MultipartReader


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with running(settings(limits=LIMITS)) as server:
        yield server


@pytest.fixture(scope="module")
def impatient() -> Iterator[Front]:
    limits = {"first_byte_seconds": 0.3, "idle_seconds": 0.4, "body_seconds": 2.0}
    with running(settings(limits=limits)) as server:
        yield server


def test_a_sound_over_the_cap_is_refused_and_one_at_the_cap_is_not(front: Front) -> None:
    exact = post(front, form(part(FILE, b"a" * CAP)))
    assert json.loads(exact.body)["bytes"] == CAP
    over = post(front, form(part(FILE, b"a" * (CAP + 1))))
    assert (over.status, over.code, over.error["param"]) == (413, "file_too_large", "file")
    assert over.error["message"].startswith(f"Maximum content size limit ({CAP}) exceeded (")


@pytest.mark.parametrize("content_type", [MULTIPART, JSON])
def test_an_honest_length_over_the_cap_is_refused_before_the_body(
    content_type: str, front: Front
) -> None:
    head = request(b"", content_type).replace(b"Content-Length: 0", b"Content-Length: 2097152")
    answer = exchange(front.address, head)
    assert (answer.status, answer.code, answer.closed) == (413, "file_too_large", True)
    assert answer.headers["connection"] == "close"
    assert (
        answer.error["message"]
        == f"Maximum content size limit ({CAP}) exceeded (2097152 bytes read)"
    )


@pytest.mark.parametrize("content_type", [MULTIPART, JSON])
def test_a_chunked_body_without_end_is_refused_near_the_cap(
    content_type: str, front: Front
) -> None:
    with RawClient(front.address) as client:
        client.send(chunked(content_type))
        client.send(b"10000\r\n" + form(part(FILE, b""), end=b"").ljust(1 << 16, b"x") + b"\r\n")
        sent = client.send((b"10000\r\n" + b"x" * (1 << 16) + b"\r\n") * 1600)
        answer = client.answer()
    assert (answer.status, answer.code, answer.closed) == (413, "file_too_large", True)
    assert sent < 20 << 20  # of 100 MiB: the cap, 1 MiB, and what kernels buffer on loopback


def test_the_official_client_reads_the_413_of_a_body_it_is_still_sending(front: Front) -> None:
    client = openai.OpenAI(base_url=url(front), api_key="good", max_retries=0)
    with client, pytest.raises(openai.APIStatusError) as caught:
        client.audio.transcriptions.create(model="m", file=("a.wav", b"a" * (40 << 20)))
    assert caught.value.status_code == 413
    assert caught.value.code == "file_too_large"


def test_a_body_cut_by_the_client_leaves_nothing_behind(front: Front) -> None:
    front.answered.clear()
    with RawClient(front.address) as client:
        head = request(b"", MULTIPART).replace(b"Content-Length: 0", b"Content-Length: 1000000")
        client.send(head + part(FILE, b"x" * 100))
    until(lambda: front.last().status == 499)
    until(lambda: front.budget.held_bytes == 0)


CUTS: dict[str, Callable[[RawClient], None]] = {
    "no first byte": lambda client: None,
    "a stall": lambda client: _send(client, part(FILE, b"x" * 6)),
    "one byte now and then": lambda client: _drip(client, 0.05),
}


@pytest.mark.parametrize("name", CUTS)
@pytest.mark.parametrize("expect", ["", "Expect: 100-continue\r\n"])
def test_a_stalled_or_dripping_body_gets_408_and_is_closed(
    name: str, expect: str, impatient: Front
) -> None:
    with RawClient(impatient.address) as client:
        head = request(b"", MULTIPART, headers=expect)
        client.send(head.replace(b"Content-Length: 0", b"Content-Length: 1000000"))
        if expect:
            assert client.answer().status == 100
        began = time.monotonic()
        CUTS[name](client)
        answer = client.answer()
        assert time.monotonic() - began < 1.5
    assert (answer.status, answer.code, answer.closed) == (408, "request_timeout", True)
    assert impatient.budget.held_bytes == 0


def test_a_body_that_keeps_the_rate_still_has_to_end(impatient: Front) -> None:
    with RawClient(impatient.address) as client:
        head = request(b"", MULTIPART).replace(b"Content-Length: 0", b"Content-Length: 20000000")
        client.send(head + b"--b\r\nContent-Disposition: " + FILE.encode() + b"\r\n\r\n")
        began = time.monotonic()
        while not client.has_answer() and time.monotonic() - began < 4:
            client.send(b"x" * 1024)
            time.sleep(0.05)
        assert 1.5 < time.monotonic() - began < 3
        assert client.answer().code == "request_timeout"


def test_a_slow_body_within_the_limits_is_read(impatient: Front) -> None:
    body = form(part(FILE, SOUND))
    with RawClient(impatient.address) as client:
        client.send(request(body, MULTIPART)[: -len(body)])
        for start in range(0, len(body), 1024):
            client.send(body[start : start + 1024])
            time.sleep(0.1)
        assert client.answer().status == 200


def test_a_full_byte_budget_answers_503_and_frees_itself() -> None:
    with running(settings(limits={"bytes_in_flight": 1 << 20})) as front:
        with RawClient(front.address) as holding:
            body = form(part(FILE, b"x" * 900_000))
            holding.send(request(body, MULTIPART)[:-1000])
            end = time.monotonic() + 3
            while front.budget.held_bytes < 800_000 and time.monotonic() < end:
                time.sleep(0.01)
            answer = post(front, form(part(FILE, b"x" * 300_000)))
            assert (answer.status, answer.code) == (503, "overloaded")
            assert answer.headers["retry-after"] == "1"
        end = time.monotonic() + 3
        while front.budget.held_bytes and time.monotonic() < end:
            time.sleep(0.01)
        assert post(front, body).status == 200
        assert front.budget.held_bytes == 0


def test_a_body_leaves_its_sound_in_no_cycle_for_the_collector_to_find(front: Front) -> None:
    """Uploads of 25 MiB would pile up by the dozen before it comes."""
    whole = form(part(FILE, b"x" * 100_000))

    def readers() -> list[object]:
        return [one for one in gc.get_objects() if type(one) is MultipartReader]

    gc.collect()
    gc.disable()
    try:
        assert post(front, whole).status == 200
        assert post(front, whole[:-20]).code == "invalid_multipart"
        assert post(front, form(part(FILE, b"x" * (CAP + 1)))).status == 413
        with RawClient(front.address) as client:
            client.send(request(whole, MULTIPART)[:-1000])
        until(lambda: front.answered[-1].status == 499)  # recorded behind the answers before it
        until(lambda: not readers())
    finally:
        gc.enable()


def test_a_client_that_is_gone_is_not_answered() -> None:
    async def gone() -> dict[str, str]:
        return {"type": "http.disconnect"}

    headers = [(b"content-type", MULTIPART.encode())]
    asked = Request({"type": "http", "headers": headers}, gone)
    with ByteBudget(1).lease() as lease, pytest.raises(ClientDisconnect):
        asyncio.run(read_form(asked, settings().limits, lease))


def _send(client: RawClient, data: bytes) -> None:
    client.send(data)


def _drip(client: RawClient, pause: float) -> None:
    for byte in form(part(FILE, b"x" * 1000)):
        if client.has_answer():
            return
        client.send(bytes([byte]))
        time.sleep(pause)
