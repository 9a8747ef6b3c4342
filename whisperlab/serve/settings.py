"""The settings of the server: every field typed, ranged and named in its error.

Owns ``host``, ``port``, ``run`` and the group ``serve`` of conf/serve.yaml. Defaults stand there,
ranges here. It does not know what the settings are used for.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.config.build import validate
from whisperlab.errors import ConfigError
from whisperlab.experiment.settings import MAX_BATCH_SIZE

LogLevel = Literal["debug", "info", "warning", "error"]
Batching = Literal["auto", "on", "off"]

_HOST_NAME: Final = re.compile(r"(?=.{1,253}$)([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*")  # fmt: skip
"""A host name of letters, digits and hyphens (RFC 1123, 2.1)."""

_STRICT: Final = ConfigDict(extra="forbid", strict=True)


def _host(value: str) -> str:
    bare = value.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        # "10.0.0.300" is a host name by its letters and a mistyped address by everybody's reading.
        if not _HOST_NAME.fullmatch(value) or re.fullmatch(r"[\d.]+", value):
            raise ValueError(
                "expected an IPv4 or IPv6 address or a host name, such as 127.0.0.1, ::1, localhost"
            ) from None
        return value
    return bare


def _host_pattern(value: str) -> str:
    if value == "*" or (value.startswith("*.") and _HOST_NAME.fullmatch(value[2:])):
        return value.lower()
    return _host(value).lower()


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or value != f"{parts.scheme}://{parts.netloc}":  # fmt: skip
        raise ValueError("expected an exact origin such as https://example.org:8443, no path, no *")
    return value


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        raise ValueError("expected an address or a network such as 10.0.0.0/8") from None
    return value


def _storage(value: str) -> str:
    if value != "memory" and urlsplit(value).scheme not in ("redis", "rediss", "unix"):
        raise ValueError("expected memory, or a Redis URL such as redis://127.0.0.1:6379/0")
    return value


Host = Annotated[str, AfterValidator(_host)]
HostPattern = Annotated[str, AfterValidator(_host_pattern)]
Origin = Annotated[str, AfterValidator(_origin)]
Network = Annotated[str, AfterValidator(_network)]
Storage = Annotated[str, AfterValidator(_storage)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
# A configuration file can only write a list.
Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)]


@dataclass(frozen=True, config=_STRICT)
class BatchSettings:
    """How requests of different clients go through the engine together.

    ``mode`` ``auto`` batches where the text is known not to depend on the batch (in float32, or in
    an engine that computes row by row; no sampling); ``window_ms`` is how long a request waits for company.
    """

    mode: Batching
    window_ms: Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)]
    max_size: Annotated[int, Field(ge=1, le=MAX_BATCH_SIZE)] | Literal["auto"]


@dataclass(frozen=True, config=_STRICT)
class PoolSettings:
    """How many configurations are in memory, and for how long unused (``None``: for ever)."""

    max_loaded: Count
    idle_seconds: Seconds | None


@dataclass(frozen=True, config=_STRICT)
class RateSettings:
    """What one key, or one address without a key, may do; ``None`` is unlimited.

    ``storage`` is ``memory`` or the URL of a Redis that several server processes share.
    """

    storage: Storage
    requests_per_minute: Count | None
    audio_seconds_per_minute: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
    in_flight: Count | None


@dataclass(frozen=True, config=_STRICT)
class LimitSettings:
    """What one request, and all of them together, may cost.

    ``queue_size`` requests wait at most ``queue_seconds`` for the engine; ``bytes_in_flight`` of
    bodies and sound are held at a time. A body must begin within ``first_byte_seconds``, never
    pause for ``idle_seconds`` and be complete within ``body_seconds``.
    """

    max_file_bytes: Annotated[int, Field(ge=1024, le=1 << 34)]
    max_header_bytes: Annotated[int, Field(ge=1024, le=1 << 20)]
    max_headers: Annotated[int, Field(ge=8, le=10_000)]
    header_seconds: Seconds
    first_byte_seconds: Seconds
    idle_seconds: Seconds
    body_seconds: Seconds
    write_seconds: Seconds
    inference_seconds: Seconds
    queue_size: Count
    queue_seconds: Seconds
    bytes_in_flight: Annotated[int, Field(ge=1 << 20)]
    connections: Count
    decoders: Annotated[int, Field(ge=1, le=64)]
    drain_seconds: Seconds


@dataclass(frozen=True, config=_STRICT)
class ServeSettings:
    """Everything that ``python -m whisperlab.serve`` can be told beside the transcriber itself."""

    host: Host
    port: Annotated[int, Field(ge=0, le=65_535)]
    run: Annotated[tuple[str, ...], Field(strict=False)] | str | None
    presets: Names
    aliases: Mapping[str, str | None]
    keys_file: str | None
    allow_keyless: bool
    trusted_hosts: Annotated[tuple[HostPattern, ...], Field(strict=False)]
    trusted_proxies: Annotated[tuple[Network, ...], Field(strict=False)]
    cors_origins: Annotated[tuple[Origin, ...], Field(strict=False)]
    log_level: LogLevel
    strict_fields: bool
    batch: BatchSettings
    pool: PoolSettings
    rates: RateSettings
    limits: LimitSettings


_PARTS: Final[Mapping[str, type[Any]]] = {
    "batch": BatchSettings,
    "pool": PoolSettings,
    "rates": RateSettings,
    "limits": LimitSettings,
}


def serve_settings(config: Mapping[str, Any]) -> ServeSettings:
    """Returns the settings of ``config``, every value checked.

    Raises:
        ConfigError: names the key of the first wrong value.
    """
    given = dict(config["serve"])
    for name, part in _PARTS.items():
        given[name] = validate(part, given.get(name), f"serve.{name}")
    top = {key: config.get(key) for key in ("host", "port", "run")}
    try:
        return validate(ServeSettings, {**given, **top}, "serve")
    except ConfigError as error:
        words = str(error)
        for key in top:
            if words.startswith(f"serve.{key}:") or words.startswith(f"serve.{key}."):
                raise ConfigError(words.removeprefix("serve.")) from error
        raise
