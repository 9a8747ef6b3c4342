"""Mutated requests over bare sockets: an envelope or a closed door, never a 5xx."""

from __future__ import annotations

import random
import socket
from collections import Counter

import pytest
from front_server import running, settings
from raw_http import FILE, RawClient, chunked, exchange, form, part, request

from whisperlab.serve.problems import STATUS_OF_CODE

GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


MUTATIONS = 300
HALF_CLOSED = 0.1


@pytest.mark.parametrize("count", [MUTATIONS, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutated_requests_get_an_envelope_or_a_closed_door_and_never_a_5xx(count: int) -> None:
    chance = random.Random(20261124)
    body = form(part(FILE, b"sound"))
    headers = "Authorization: Bearer good\r\nX-Request-Id: a\r\n"
    seeds = [
        request(body, "multipart/form-data; boundary=b", headers=headers),
        request(b'{"audio": "QUJD", "model": "m"}', "application/json"),
        chunked("multipart/form-data; boundary=b") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body),
    ]
    quick = {"header_seconds": 0.05, "first_byte_seconds": 0.05, "idle_seconds": 0.05}
    statuses: Counter[int] = Counter()
    with running(settings(limits=quick)) as server:
        for _ in range(count):
            mutated = bytearray(chance.choice(seeds))
            for _ in range(chance.randint(1, 6)):
                at = chance.randrange(len(mutated) + 1)
                replacement = chance.choice([b"", b"\r\n", b"\0", b" ", b":", b"-", b"0", b"\xff", chance.randbytes(3)])  # fmt: skip
                mutated[at : at + chance.choice([0, 1, 1, 4])] = replacement
            with RawClient(server.address) as client:
                client.send(bytes(mutated))
                if chance.random() < HALF_CLOSED:
                    client.socket.shutdown(socket.SHUT_WR)
                try:
                    answer = client.answer()
                except AssertionError:
                    statuses[0] += 1
                    continue
            statuses[answer.status] += 1
            assert answer.status < 500
            assert answer.status == 200 or answer.code in STATUS_OF_CODE
        assert exchange(server.address, GET, "GET").status == 200
    assert statuses[200] > 0
    assert statuses[400] > 0
