"""From the headers of a request to who is calling.

Owns the recognition of keys and what a caller is called when no keys are asked for. It does not
know routes, and it keeps no key: only digests are in memory.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from whisperlab.errors import ConfigError
from whisperlab.serve.keys.key_file import KeyFile, StoredKey, digest, now, read_keys
from whisperlab.serve.problems import ApiError

_logger = logging.getLogger(__name__)

MAX_KEY_CHARACTERS: Final = 256
"""The longest key that is looked at; ours have 46 characters."""

CUSTOMER_PREFIX: Final = 64
"""Bits of an IPv6 address that a provider gives to one customer (RFC 6177): the rest is theirs."""

UNKNOWN_ADDRESS: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling: the key's name, or the address where nobody needs a key.

    A limit that is ``None`` is the server's own (``serve.rates``).
    """

    name: str
    anonymous: bool
    requests_per_minute: int | None = None
    audio_seconds_per_minute: float | None = None
    in_flight: int | None = None


class KeyRing:
    """The keys that a server accepts; without a file everyone may call, by their address.

    Raises:
        ConfigError: the file is missing, wrong, or readable by others.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._keys = KeyFile() if path is None else read_keys(path)

    def __len__(self) -> int:
        return len(self._keys.keys)

    def identify(self, authorization: Sequence[str], address: str) -> Caller:
        """Returns the caller of a request that came from ``address``.

        Args:
            authorization: the values of all its Authorization headers. Without a file their content
                is ignored: the official client always sends a key.
            address: of the client, behind trusted proxies.

        Raises:
            ApiError: ``invalid_api_key`` without a valid key, ``invalid_request`` for two headers.
                Each refusal takes the same steps, whatever the key.
        """
        if len(authorization) > 1:
            raise ApiError(
                "invalid_request",
                f"expected one Authorization header, got {len(authorization)}; send one",
            )
        if self._path is None:
            return Caller(_address_name(address), anonymous=True)
        scheme, _, credentials = (authorization[0] if authorization else "").partition(" ")
        key = self._find(credentials.strip())
        if not credentials or scheme.lower() != "bearer":
            raise ApiError(
                "invalid_api_key",
                "You didn't provide an API key. Send it as a header: Authorization: Bearer YOUR_KEY",
            )
        return _caller(key)

    @property
    def asked(self) -> bool:
        """True where nobody may call without a key."""
        return self._path is not None

    def holder(self, sha256: str | None) -> Caller:
        """Returns the caller whose key has that digest: a session that began with the key.

        Raises:
            ApiError: ``invalid_api_key``: the key was revoked or has expired since, or was none.
        """
        found = [key for key in self._keys.keys if key.sha256 == sha256]
        return _caller(found[0] if found else None)

    def reload(self) -> None:
        """Reads the file again; a wrong one is logged, and the keys stay as they were."""
        if self._path is None:
            return
        try:
            self._keys = read_keys(self._path)
        except ConfigError as error:  # its message names the file and the fault, no content
            _logger.error("keys not read again, the old ones stay: %s", error)  # noqa: TRY400
        else:
            _logger.info("keys read again", extra={"count": len(self)})

    def _find(self, presented: str) -> StoredKey | None:
        """Returns the key with that text, after a comparison with every one; hashes a bounded part."""
        found = None
        presented_digest = digest(presented[:MAX_KEY_CHARACTERS].encode(errors="surrogatepass"))
        for key in self._keys.keys:
            if hmac.compare_digest(key.sha256, presented_digest):
                found = key
        return found if len(presented) <= MAX_KEY_CHARACTERS else None


def _caller(key: StoredKey | None) -> Caller:
    if key is None:
        raise ApiError("invalid_api_key", "Incorrect API key provided.")
    if key.expires is not None and key.expires <= now():
        raise ApiError("invalid_api_key", "This API key has expired; ask for a new one.")
    return Caller(
        key.name,
        anonymous=False,
        requests_per_minute=key.requests_per_minute,
        audio_seconds_per_minute=key.audio_seconds_per_minute,
        in_flight=key.in_flight,
    )


def _address_name(address: str) -> str:
    """Returns what an anonymous caller is called; an IPv6 caller by the network that is all theirs.

    >>> _address_name("192.0.2.7"), _address_name("2001:db8:1:2::7"), _address_name("::ffff:192.0.2.7")
    ('192.0.2.7', '2001:db8:1:2::/64', '192.0.2.7')
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return UNKNOWN_ADDRESS
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, CUSTOMER_PREFIX), strict=False))
