"""Rows 5-8, 10-12, 15 and 52 of the hostile cases, over bare sockets."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from front_server import Front, running, settings
from raw_http import RawClient, exchange, request

CAP = 1 << 20
GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    limits = {"max_file_bytes": CAP, "header_seconds": 0.4, "write_seconds": 0.5, "connections": 20}
    with running(settings(limits=limits)) as server:
        yield server


def post(headers: str, body: bytes = b"") -> bytes:
    return f"POST /v1/audio/transcriptions HTTP/1.1\r\n{headers}\r\n".encode("latin-1") + body


MALFORMED = {
    "two lengths": post("Host: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n", b"hello"),
    "two equal lengths": post("Host: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n", b"hello"),
    "lengths in a list": post("Host: localhost\r\nContent-Length: 5, 6\r\n", b"hello"),
    "negative length": post("Host: localhost\r\nContent-Length: -5\r\n"),
    "length with a plus": post("Host: localhost\r\nContent-Length: +5\r\n", b"hello"),
    "length of 30 digits": post("Host: localhost\r\nContent-Length: " + "9" * 30 + "\r\n"),
    "length and coding": post(
        "Host: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"
    ),
    "coding and length": post(
        "Host: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"
    ),
    "length hidden by a space": post(
        "Host: localhost\r\nContent-Length : 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"
    ),
    "two codings": post(
        "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"0\r\n\r\n"
    ),
    "unknown coding": post("Host: localhost\r\nTransfer-Encoding: gzip, chunked\r\n"),
    "chunked in HTTP/1.0": post("Host: a\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n").replace(
        b"HTTP/1.1", b"HTTP/1.0"
    ),
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "no host in HTTP/1.0": b"GET /health HTTP/1.0\r\n\r\n",
    "two hosts": b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
    "folded header": b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: a\r\n b\r\n\r\n",
    "header without colon": b"GET /health HTTP/1.1\r\nHost: localhost\r\nnonsense\r\n\r\n",
    "NUL in a header": b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: a\0b\r\n\r\n",
    "bare LF in a head": b"GET /health HTTP/1.1\nHost: localhost\n\n",
    "one bare LF": b"GET /health HTTP/1.1\r\nHost: localhost\nX-A: b\r\n\r\n",
    "bad request line": b"GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no version": b"GET /health\r\nHost: localhost\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("16030100f5010000f10303") + b"\xaa" * 64,
    "binary path": b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_gets_400_in_our_envelope_and_is_closed(
    name: str, front: Front
) -> None:
    answer = exchange(front.address, MALFORMED[name])
    assert answer.status == 400
    assert answer.code in ("invalid_request", "invalid_host")
    assert answer.error["type"] == "invalid_request_error"
    assert len(answer.headers["x-request-id"]) == 32
    if name != "no host in HTTP/1.0":  # well-formed; the host is missing, not malformed
        assert answer.headers["connection"] == "close"
    assert answer.closed


LARGE = {
    "one header of 100 KB": b"X-A: " + b"a" * 100_000 + b"\r\n",
    "2000 headers": b"X-A: b\r\n" * 2000,
    "101 headers": b"X-A: b\r\n" * 100,
    "a name of 100 KB": b"a" * 100_000 + b": b\r\n",
}


@pytest.mark.parametrize("name", LARGE)
def test_large_headers_get_431_and_the_connection_is_closed(name: str, front: Front) -> None:
    answer = exchange(
        front.address, b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + LARGE[name] + b"\r\n"
    )
    assert (answer.status, answer.code, answer.closed) == (431, "headers_too_large", True)


def test_a_long_request_line_gets_431(front: Front) -> None:
    answer = exchange(
        front.address, b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    assert (answer.status, answer.code) == (431, "headers_too_large")


def test_headers_up_to_the_limits_pass(front: Front) -> None:
    many = b"X-A: b\r\n" * 99
    assert exchange(front.address, GET[:-2] + many + b"\r\n").status == 200
    assert exchange(front.address, GET[:-2] + b"X-A: " + b"a" * 32_000 + b"\r\n\r\n").status == 200


def test_endless_headers_are_refused_at_the_limit_without_waiting_for_their_end(
    front: Front,
) -> None:
    with RawClient(front.address) as client:
        client.send(b"GET /health HTTP/1.1\r\n")
        sent = client.send(b"X-A: b\r\n" * 2_000_000)
        assert client.answer().status == 431
    assert sent < 12_000_000  # kernel buffers on both sides; the rest never left


@pytest.mark.parametrize("beginning", [b"", b"GET /hea", GET[:-2], b"\r\n"[:1]])
def test_a_connection_without_whole_headers_is_closed_in_time(
    beginning: bytes, front: Front
) -> None:
    with RawClient(front.address) as client:
        client.send(beginning)
        began = time.monotonic()
        if beginning.startswith(b"GET"):
            assert client.answer().status == 408
        assert client.is_closed()
        assert time.monotonic() - began < 2.5


def test_slow_headers_are_not_saved_by_a_byte_now_and_then(front: Front) -> None:
    with RawClient(front.address) as client:
        client.send(GET[:-2])
        began = time.monotonic()
        while time.monotonic() - began < 3 and not client.has_answer():
            client.send(b"X-A: b\r\n")
            time.sleep(0.05)
        assert time.monotonic() - began < 1.5
        assert client.answer().status == 408


def test_half_of_a_second_request_is_closed_in_time_as_well(front: Front) -> None:
    with RawClient(front.address) as client:
        client.send(GET + b"GET /hea")
        assert client.answer("GET").status == 200
        assert client.answer().status == 408
        assert client.is_closed()


def test_a_connection_serves_several_requests_pipelined_or_not(front: Front) -> None:
    with RawClient(front.address) as client:
        client.send(GET + GET)
        assert client.answer("GET").status == 200
        assert client.answer("GET").status == 200
        time.sleep(0.6)  # longer than headers may take: idle is not late
        client.send(GET)
        assert client.answer("GET").status == 200


def test_http_1_0_is_answered_and_closed(front: Front) -> None:
    answer = exchange(front.address, GET.replace(b"1.1", b"1.0"), "GET")
    assert (answer.status, answer.closed) == (200, True)


def test_100_continue_is_sent_only_when_the_body_is_wanted(front: Front) -> None:
    body = form(b"sound")
    head = request(body, "multipart/form-data; boundary=b", headers="Expect: 100-continue\r\n")
    head = head[: -len(body)]
    with RawClient(front.address) as client:
        client.send(head)
        assert client.answer().status == 100
        client.send(body)
        assert client.answer().status == 200


def test_a_bad_key_gets_401_instead_of_100_continue(front: Front) -> None:
    headers = "Expect: 100-continue\r\nAuthorization: Bearer bad\r\n"
    head = request(b"x" * 1000, "multipart/form-data; boundary=b", headers=headers)[:-1000]
    answer = exchange(front.address, head)
    assert (answer.status, answer.code, answer.closed) == (401, "invalid_api_key", True)


def test_a_request_after_a_413_on_the_same_connection_is_not_answered(front: Front) -> None:
    with RawClient(front.address) as client:
        head = "Host: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        client.send(post(f"{head}Content-Length: {2 * CAP}\r\n") + GET)
        assert client.answer().status == 413
        assert client.is_closed()


def test_a_malformed_chunk_in_a_body_gets_400(front: Front) -> None:
    head = "Host: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n"  # fmt: skip
    with RawClient(front.address) as client:
        client.send(post(head, b"4\r\n--b\r\r\n"))
        time.sleep(0.1)
        client.send(b"zz\r\n")
        answer = client.answer()
    assert (answer.status, answer.code, answer.closed) == (400, "invalid_request", True)


def test_a_malformed_second_request_does_not_spoil_the_first(front: Front) -> None:
    with RawClient(front.address) as client:
        client.send(GET + b"nonsense\r\n\r\n")
        assert client.answer("GET").status == 200
        assert client.answer().status == 400


def test_a_refusal_is_reported_once_with_its_code(front: Front) -> None:
    front.refused.clear()
    exchange(front.address, MALFORMED["two lengths"])
    exchange(front.address, GET, "GET")
    assert [error.code for error in front.refused] == ["invalid_request"]


def form(sound: bytes) -> bytes:
    return (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        + sound
        + b"\r\n--b--\r\n"
    )
