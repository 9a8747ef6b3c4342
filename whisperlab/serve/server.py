"""Listens, answers until a signal says stop, and lets what was accepted finish.

Owns sockets, signals and draining. It does not know the application: ``on_drain`` tells it that no
more requests should come, ``on_reload`` that its files may have changed (SIGHUP).

The first SIGTERM or SIGINT drains: nothing new is accepted, what is in flight finishes within
``drain_seconds``, an upload without progress is given up. The second stops at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Final, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.flow_control import CLOSE_HEADER

from whisperlab.errors import ConfigError
from whisperlab.serve.connection import (
    KEEP_ALIVE_SECONDS,
    LINGERING_SHARE,
    Connection,
    OnRefusal,
)
from whisperlab.serve.problems import draining
from whisperlab.serve.settings import LimitSettings, ServeSettings

BACKLOG: Final = 512
"""Connections that wait in the kernel to be accepted."""

ACCEPTED_TOGETHER: Final = 16
"""asyncio accepts so many before any of them can be refused: each takes a file until then."""

OWN_FILES: Final = 64
"""For models, decoders, Redis and those just accepted; the other files are connections'."""

SEND_BUFFER_BYTES: Final = 1 << 17
"""The kernel's share of an answer: small, so that a client that does not read is noticed."""

IDLE_SECONDS: Final = 0.5
"""While draining, how long a connection between two requests may still send one: the client may not
have seen yet that it should not."""

STALL_SECONDS: Final = 2.0
"""While draining, an upload that pauses for so long is given up."""

POLL_SECONDS: Final = 0.05

CLEAN_UP_SECONDS: Final = 5.0
"""For the application's own shutdown, after the last request."""

_logger = logging.getLogger(__name__)

_STOP: Final = (signal.SIGTERM, signal.SIGINT)


def run_server(
    app: ASGIApp,
    settings: ServeSettings,
    *,
    on_drain: Callable[[], None],
    on_reload: Callable[[], None],
    on_refusal: OnRefusal,
) -> int:
    """Serves until a signal; prints one line with the address when ready.

    ``on_refusal`` hears of each answer to what never became a request.

    Returns:
        The exit code: 0 if all that was accepted was answered, 143 or 130 (128 + signal) if some
        of it took longer than ``drain_seconds``.

    Raises:
        ConfigError: The address cannot be listened on.
    """
    sockets = listen(settings.host, settings.port)
    limits = replace(settings.limits, connections=affordable(settings.limits.connections))
    config = uvicorn.Config(
        app,
        http=cast("Any", partial(Connection, limits=limits, on_refusal=on_refusal)),
        loop="asyncio",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",  # its warnings repeat our answers to malformed requests
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=ACCEPTED_TOGETHER,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    server = _Server(config, settings, on_drain, on_reload)
    server.run(sockets)
    return server.exit_code


def affordable(connections: int) -> int:
    """Returns how many connections the process has files for, at most ``connections``.

    Raises its limit of open files as far as it may.
    """
    wanted = LINGERING_SHARE * connections + OWN_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    possible = max(1, (soft - OWN_FILES) // LINGERING_SHARE)
    if possible < connections:
        _logger.warning("open files allow %d connections, not %d", possible, connections)
    return min(connections, possible)


def listen(host: str, port: int) -> list[socket.socket]:
    """Returns a bound socket for every address of ``host``, all with the same port.

    Raises:
        ConfigError: No address of the host can be bound.
    """
    bound: list[socket.socket] = []
    failure: OSError | None = None
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise ConfigError(f"expected host to be an address of this machine, got {host!r}: {error.strerror}; set host=127.0.0.1") from error  # fmt: skip
    for family, address in dict.fromkeys((family, sockaddr) for family, _, _, _, sockaddr in found):
        chosen = bound[0].getsockname()[1] if bound else port
        try:
            bound.append(_bind(family, (address[0], chosen, *address[2:])))
        except OSError as error:
            failure = error
    if not bound:
        reason = failure.strerror if failure else "it has no address"
        raise ConfigError(f"cannot listen on {_url_host(host)}:{port}: {reason}; choose another host= or port=")  # fmt: skip
    return bound


def _bind(family: int, address: tuple[Any, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        # Now, not when it is served from: two servers can bind one port, and only one can listen.
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        settings: ServeSettings,
        on_drain: Callable[[], None],
        on_reload: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._settings = settings
        self._limits: LimitSettings = settings.limits
        self._on_drain = on_drain
        self._on_reload = on_reload
        self._stopped_by: int | None = None
        self.exit_code = 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(BACKLOG)  # asyncio has made it as short as what it accepts together
        port = self.servers[0].sockets[0].getsockname()[1]
        print(f"listening on http://{_url_host(self._settings.host)}:{port}", flush=True)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in _STOP:
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._on_reload)
        try:
            yield
        finally:
            for number in (*_STOP, signal.SIGHUP):
                loop.remove_signal_handler(number)

    def _stop(self, number: int) -> None:
        if self._stopped_by is not None:
            # An engine in the middle of C code would hold back every gentler end.
            os._exit(128 + number)
        self._stopped_by = number
        self.should_exit = True
        self._on_drain()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self._stop_accepting(sockets or [])
        self.server_state.default_headers.append(CLOSE_HEADER)
        while self._connections() or self.server_state.tasks:
            now = loop.time()
            if now > began + self._limits.drain_seconds:
                await self._give_up_rest()
                break
            for connection in self._connections():
                if connection.is_idle and now > began + IDLE_SECONDS:
                    connection.shutdown()
                elif connection.is_uploading and now > connection.last_byte + STALL_SECONDS:
                    connection.give_up(draining())
            await asyncio.sleep(POLL_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLEAN_UP_SECONDS):
                await self.lifespan.shutdown()

    async def _stop_accepting(self, sockets: list[socket.socket]) -> None:
        """Closes the listeners, but takes in who has already connected."""
        loop = asyncio.get_running_loop()
        for listener in sockets:
            loop.remove_reader(listener)
        # What asyncio has just accepted must have its transport: Server.close() would drop it.
        for _ in range(2):
            await asyncio.sleep(0)
        waiting: list[socket.socket] = []
        for server, listener in zip(self.servers, sockets, strict=True):
            with contextlib.suppress(OSError):  # nobody waits any longer, or no file is left
                while True:
                    waiting.append(listener.accept()[0])
            server.close()
        for client in waiting:
            client.setblocking(False)
            await loop.connect_accepted_socket(self._connection, client)

    def _connection(self) -> Connection:
        made: Connection = cast("Any", self.config.http_protocol_class)(
            self.config, self.server_state, self.lifespan.state
        )
        return made

    def _connections(self) -> list[Connection]:
        return [c for c in self.server_state.connections if isinstance(c, Connection)]

    async def _give_up_rest(self) -> None:
        tasks = set(self.server_state.tasks)
        unanswered = [connection for connection in self._connections() if not connection.is_idle]
        if tasks or unanswered:
            self.exit_code = 128 + (self._stopped_by or signal.SIGTERM)
        for connection in unanswered:
            connection.give_up(draining())
        for task in tasks:
            task.cancel("the drain time is over")
        if tasks:
            await asyncio.wait(tasks, timeout=CLEAN_UP_SECONDS)
