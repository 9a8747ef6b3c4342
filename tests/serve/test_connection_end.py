"""How connections end: too many, idle, not reading, gone, reset."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator

import pytest
import uvicorn
from decoder_processes import until
from front_server import Front, application, running, settings
from raw_http import RawClient, exchange
from uvicorn.server import ServerState

from whisperlab.serve.connection import Connection

CAP = 1 << 20
GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    limits = {"max_file_bytes": CAP, "header_seconds": 0.4, "write_seconds": 0.5, "connections": 20}
    with running(settings(limits=limits)) as server:
        yield server


def test_connections_over_the_cap_get_503_with_retry_after_and_room_returns(front: Front) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(RawClient(front.address))
            client.send(GET)
            assert client.answer("GET").status == 200
        for _ in range(30):  # the refused ones do not keep the door shut either
            answer = exchange(front.address, GET, "GET")
            assert (answer.status, answer.code) == (503, "overloaded")
            assert answer.headers["retry-after"] == "1"
            assert answer.closed
    until(lambda: exchange(front.address, GET, "GET").status == 200)


def test_a_flood_of_connections_is_dropped_beyond_those_that_get_an_answer(front: Front) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(front.address)) for _ in range(60)]
        until(lambda: sum(client.has_answer() for client in clients) >= 40)
        ends = Counter(_end(client) for client in clients if client.has_answer())
    assert ends.keys() == {"503", "dropped"}
    assert 15 <= ends["503"] <= 20
    assert ends["dropped"] >= 15
    until(lambda: exchange(front.address, GET, "GET").status == 200)


@pytest.mark.parametrize("path", ["/v1/stream", "/v1/large"])
def test_a_client_that_does_not_read_is_dropped(path: str, front: Front) -> None:
    with RawClient(front.address, receive_buffer_bytes=4096) as client:
        front.cancelled.clear()
        front.answered.clear()
        client.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        began = time.monotonic()
        if path == "/v1/stream":
            assert front.cancelled.wait(5)
        else:
            front.last()
            time.sleep(1.2)
        assert time.monotonic() - began < 3
        assert _is_cut(client.socket)


def test_a_client_that_reads_slowly_gets_everything(front: Front) -> None:
    with RawClient(front.address, receive_buffer_bytes=1 << 16) as client:
        client.send(b"GET /v1/large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received = 0
        while piece := client.socket.recv(1 << 17):
            received += len(piece)
            time.sleep(0.01)  # about 8 MiB in 2 s, four times the write time-out
    assert received > 8 << 20


def test_a_client_that_leaves_a_stream_stops_it(front: Front) -> None:
    front.cancelled.clear()
    with RawClient(front.address) as client:
        client.send(b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.socket.recv(1000)
    assert front.cancelled.wait(10)


def test_an_idle_connection_is_closed_after_the_keep_alive_time() -> None:
    with running(keep_alive_seconds=1) as server, RawClient(server.address) as client:
        client.send(GET)
        assert client.answer("GET").status == 200
        began = time.monotonic()
        assert client.is_closed()
        assert 0.8 < time.monotonic() - began < 2.5


def test_a_client_that_resets_while_it_is_refused_does_no_harm(
    front: Front, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(15):
        with RawClient(front.address) as client:
            reset_at_close = struct.pack("ii", 1, 0)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset_at_close)
            client.send(b"nonsense\r\n\r\n")
    assert exchange(front.address, GET, "GET").status == 200
    assert not [r for r in caplog.records if r.name == "asyncio"]


def test_closing_a_connection_that_the_client_has_just_reset_does_not_raise() -> None:
    async def close_after_reset() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            accepted, _ = listener.accept()
        accepted.setblocking(False)
        config = uvicorn.Config(application(settings(), Front()), log_config=None)
        protocol = Connection(
            config,
            ServerState(),
            {},
            loop,
            limits=settings().limits,
            on_refusal=lambda _: None,
        )
        await loop.connect_accepted_socket(lambda: protocol, accepted)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        protocol.shutdown()  # before the loop can see the reset
        await asyncio.sleep(0.05)
        assert protocol.transport.is_closing()

    asyncio.run(close_after_reset())


def _end(client: RawClient) -> str:
    try:
        return str(client.answer().status)
    except AssertionError:
        return "dropped"


def _is_cut(client: socket.socket) -> bool:
    """Reads what is left; the answer must be cut."""
    client.settimeout(3)
    received = 0
    try:
        while piece := client.recv(1 << 16):
            received += len(piece)
    except ConnectionResetError:
        return True
    return received < 8 << 20
