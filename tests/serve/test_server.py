"""Real processes, real sockets, real signals: where the server listens and how it stops."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from decoder_processes import until
from raw_http import FILE, MULTIPART, RawClient, exchange, form, part, request

from whisperlab.errors import ConfigError
from whisperlab.serve.connection import LINGERING_SHARE
from whisperlab.serve.server import OWN_FILES, listen

CHECKOUT = Path(__file__).parents[2]
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Child:
    """One server process."""

    def __init__(self, host: str, files: int | None, **limits: float) -> None:
        shell = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh"]
        self.process = subprocess.Popen(
            [
                *(shell if files else ()),
                sys.executable,
                str(CHECKOUT / "tests" / "front_child.py"),
                host,
                json.dumps(limits),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline().rstrip("\n")
        host_and_port = self.line.removeprefix("listening on http://")
        name, _, port = host_and_port.rpartition(":")
        self.address = (name.strip("[]"), int(port or 0))

    def signal(self, number: int) -> float:
        self.process.send_signal(number)
        return time.monotonic()

    def end(self, within: float = 8.0) -> tuple[int, str, str]:
        """Returns the exit code and what was said after the first line, on both channels."""
        out, err = self.process.communicate(timeout=within)
        return self.process.returncode, out, err


@contextmanager
def child(host: str = "127.0.0.1", *, files: int | None = None, **limits: float) -> Iterator[Child]:
    started = Child(host, files, **limits)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.process.kill()
            started.process.communicate()


def ask_slow(client: RawClient, seconds: float) -> None:
    client.send(f"GET /v1/slow?seconds={seconds} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())


def refused(address: tuple[str, int]) -> bool:
    try:
        RawClient(address).socket.close()
    except ConnectionRefusedError:
        return True
    return False


def test_it_says_where_it_listens_reloads_on_sighup_and_stops_at_once_when_idle() -> None:
    with child() as server:
        assert server.line == f"listening on http://127.0.0.1:{server.address[1]}"
        server.signal(signal.SIGHUP)
        assert server.process.stdout is not None
        assert server.process.stdout.readline() == "reloading\n"
        assert exchange(server.address, HEALTH, "GET").status == 200
        began = server.signal(signal.SIGTERM)
        assert server.end() == (0, "draining\n", "")
        assert time.monotonic() - began < 5
        assert refused(server.address)


def test_an_accepted_request_finishes_while_new_connections_are_refused() -> None:
    with child() as server, RawClient(server.address) as client, RawClient(server.address) as idle:
        idle.send(HEALTH)
        assert idle.answer("GET").status == 200
        ask_slow(client, 3)
        time.sleep(0.2)
        server.signal(signal.SIGTERM)
        until(lambda: refused(server.address))
        answer = client.answer("GET")
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert idle.is_closed()
        assert server.end() == (0, "draining\n", "")


def test_a_connection_between_requests_may_send_one_more_and_hears_that_it_is_the_last() -> None:
    with child() as server, RawClient(server.address) as client:
        client.send(HEALTH)
        assert client.answer("GET").status == 200
        server.signal(signal.SIGTERM)
        time.sleep(0.2)
        client.send(HEALTH)
        answer = client.answer("GET")
        assert (answer.status, answer.closed) == (200, True)
        assert server.end()[0] == 0


def test_a_stalled_upload_is_given_up_and_one_with_progress_is_not() -> None:
    body = form(part(FILE, b"x" * 3000))
    with (
        child() as server,
        RawClient(server.address) as stalled,
        RawClient(server.address) as moving,
    ):
        for client in (stalled, moving):
            client.send(request(body, MULTIPART)[:-3000])
        time.sleep(0.1)
        began = server.signal(signal.SIGTERM)
        for _ in range(6):
            time.sleep(0.5)
            moving.send(b"x" * 100)
        moving.send(body[-2400:])
        assert moving.answer().status == 200
        answer = stalled.answer()
        assert (answer.status, answer.code, answer.closed) == (503, "draining", True)
        assert answer.headers["retry-after"] == "1"
        assert server.end() == (0, "draining\nrefused draining\n", "")
        assert time.monotonic() - began < 6


def test_what_takes_longer_than_the_drain_time_gets_503_and_the_exit_code_says_so() -> None:
    with child(drain_seconds=0.5) as server, RawClient(server.address) as client:
        ask_slow(client, 60)
        time.sleep(0.2)
        began = server.signal(signal.SIGINT)
        answer = client.answer("GET")
        assert (answer.status, answer.code) == (503, "draining")
        assert server.end() == (128 + signal.SIGINT, "draining\nrefused draining\n", "")
        assert time.monotonic() - began < 5


def test_a_second_signal_stops_at_once() -> None:
    with child() as server, RawClient(server.address) as client:
        ask_slow(client, 60)
        time.sleep(0.2)
        server.signal(signal.SIGTERM)
        time.sleep(0.3)
        began = server.signal(signal.SIGTERM)
        assert server.end()[0] == 128 + signal.SIGTERM
        assert time.monotonic() - began < 5


def test_sigterm_under_load_loses_no_request() -> None:
    """Every request either got a whole answer or was refused before it could be sent."""
    ends: list[str] = []
    stopped = threading.Event()

    def knock(address: tuple[str, int], keep: bool) -> None:
        while not stopped.is_set():
            with RawClient(address) as client:
                more = True
                while more and not stopped.is_set():
                    ask_slow(client, 0.01)
                    answer = client.answer("GET")
                    ends.append(str(answer.status))
                    more = keep and answer.headers.get("connection") != "close"

    def guarded(address: tuple[str, int], keep: bool) -> None:
        try:
            knock(address, keep)
        except ConnectionRefusedError:
            ends.append("refused")
        except (AssertionError, OSError) as error:
            ends.append(f"lost: {error!r}")

    with child() as server:
        threads = [
            threading.Thread(target=guarded, args=(server.address, k % 2 == 0)) for k in range(12)
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.7)
        server.signal(signal.SIGTERM)
        assert server.end()[0] == 0
        stopped.set()
        for thread in threads:
            thread.join()
    assert set(ends) == {"200", "refused"}
    assert ends.count("refused") == 12
    assert ends.count("200") > 50


def test_a_client_that_does_not_read_its_answer_does_not_block_the_end() -> None:
    with (
        child(drain_seconds=1.0, write_seconds=0.5) as server,
        RawClient(server.address, receive_buffer_bytes=4096) as client,
    ):
        client.send(b"GET /v1/large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.2)
        began = server.signal(signal.SIGTERM)
        server.end()
        assert time.monotonic() - began < 3


def test_ipv6_and_names_are_listened_on() -> None:
    if not _has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    with child("::1") as server:
        assert server.line == f"listening on http://[::1]:{server.address[1]}"
        assert exchange(server.address, HEALTH, "GET").status == 200
        server.signal(signal.SIGTERM)
        assert server.end()[0] == 0
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(listener) for listener in listen("localhost", 0)]
        assert len({listener.getsockname()[1] for listener in sockets}) == 1


def test_an_address_that_cannot_be_listened_on_is_a_configuration_error() -> None:
    (taken,) = listen("127.0.0.1", 0)
    with taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{port}: Address already in use"):
            listen("127.0.0.1", port)
    with pytest.raises(ConfigError, match="host"):
        listen("no-such-host.invalid", 0)
    with child("192.0.2.1") as server:  # TEST-NET-1 is nobody's address
        code, out, err = server.end()
    assert (code, out) == (2, "")
    assert "192.0.2.1" in err
    assert err.count("\n") == 1


FILES = 128


def n_waiting(crowd: list[RawClient]) -> int:
    return sum(not client.has_answer() for client in crowd)


def test_more_connections_than_files_are_refused_and_the_log_stays_quiet() -> None:
    with child(files=FILES) as server:
        with contextlib.ExitStack() as stack:
            crowd = [stack.enter_context(RawClient(server.address)) for _ in range(2 * FILES)]
            # The others are answered 503 or, beyond as many again, dropped.
            until(lambda: n_waiting(crowd) == (FILES - OWN_FILES) // LINGERING_SHARE)
        time.sleep(0.5)
        assert exchange(server.address, HEALTH, "GET").status == 200
        server.signal(signal.SIGTERM)
        code, _, err = server.end()
    assert code == 0
    assert "Too many open files" not in err


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_of_two_servers_on_one_port_the_second_is_refused_before_either_serves() -> None:
    first = listen("127.0.0.1", 0)
    try:
        with pytest.raises(ConfigError, match="in use"):
            listen("127.0.0.1", first[0].getsockname()[1])
    finally:
        for bound in first:
            bound.close()
