"""Which server a request means, and which client it comes from.

Owns the reading of Host and X-Forwarded-For. Both are what somebody wrote into a request: a host
must be one of ours (else a page of another name can reach a server that listens on this machine
only), and a forwarded address is believed from known proxies only.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

UNKNOWN_CLIENT: Final = "unknown"
"""The address of a client without one (a Unix socket)."""


class TrustedHosts:
    """The values of Host that are answered: names, addresses, ``*`` and ``*.example.org``.

    >>> hosts = TrustedHosts(["localhost", "::1", "*.example.org"])
    >>> "LocalHost:8000" in hosts, "[0:0::1]:8000" in hosts, "a.b.example.org" in hosts
    (True, True, True)
    >>> "evil" in hosts, "" in hosts, "example.org" in hosts, "notexample.org" in hosts
    (False, False, False, False)
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = frozenset(_canonical(pattern) for pattern in patterns)

    def __contains__(self, host: object) -> bool:
        """Says whether a Host header, with or without its port, is answered."""
        name = _canonical(_without_port(str(host)))
        if "*" in self._patterns or name in self._patterns:
            return True
        parents = (name[dot:] for dot in range(1, len(name)) if name[dot] == ".")
        return any(f"*{parent}" in self._patterns for parent in parents)


class TrustedProxies:
    """The networks whose X-Forwarded-For is believed."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]

    def client(self, peer: tuple[str, int] | None, forwarded: Sequence[bytes]) -> str:
        """Returns who asks.

        The header is read from the right: the first address that is not a trusted proxy's own is
        the client; what stands left of it the client may have written itself.

        >>> proxies = TrustedProxies(["10.0.0.0/8"])
        >>> proxies.client(("10.0.0.1", 1), [b"6.6.6.6, 203.0.113.7, 10.0.0.2"])
        '203.0.113.7'
        >>> proxies.client(("198.51.100.1", 1), [b"6.6.6.6"])
        '198.51.100.1'
        """
        if peer is None:
            return UNKNOWN_CLIENT
        address = _address(peer[0])
        if address is None:
            return peer[0]
        hops = b",".join(forwarded).decode("latin-1").split(",")
        while hops and any(address in network for network in self._networks):
            earlier = _address(hops.pop().strip())
            if earlier is None:
                break
            address = earlier
        return str(address)


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _canonical(host: str) -> str:
    address = _address(host)
    return host.lower() if address is None else str(address)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
