"""From a composed configuration to a running server: settings, service, guard, sockets."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI

from whisperlab.config.command import chosen, overridden, own_config_dir
from whisperlab.errors import ConfigError
from whisperlab.serve import logs
from whisperlab.serve.application import create_app
from whisperlab.serve.configurations import TRANSCRIBER_KEYS, Offer, offered
from whisperlab.serve.guard import install
from whisperlab.serve.rates import RateLimiter
from whisperlab.serve.server import run_server
from whisperlab.serve.service import Service
from whisperlab.serve.settings import ServeSettings, serve_settings

Mount = Callable[[FastAPI, Service], FastAPI]
"""Puts pages beside the API (``whisperlab.app``)."""


def serve(config: Mapping[str, Any], mount: Mount | None = None) -> int:
    """Returns the exit code of a server that ran until it was told to stop.

    ``mount`` adds pages to the application before the guard is put around both.

    Raises:
        ConfigError: a setting is wrong, or the address would be open to anybody.
    """
    settings = serve_settings(config)
    check_run_alone(settings, overridden())
    offer = offered(config, settings, chosen("preset") or "default", own_config_dir())
    check_exposure(settings)
    logs.configure(settings.log_level)
    announce(offer)
    asyncio.run(check_rate_storage(settings))
    with Service(offer, settings) as service:
        app = create_app(service)
        if mount is not None:
            app = mount(app, service)
        install(app, settings, service.observe)
        code = run_server(
            app,
            settings,
            on_drain=service.drain,
            on_reload=service.keys.reload,
            on_refusal=service.refused,
        )
        if service.failure is not None:
            print(f"error: {service.failure}", file=sys.stderr)
        return service.exit_code or code


async def check_rate_storage(settings: ServeSettings) -> None:
    """Raises unless the rates can be counted: better now than at the first request.

    Raises:
        ConfigError: Redis does not answer.
    """
    limiter = RateLimiter(settings.rates)
    await limiter.connect()
    await limiter.close()


def check_exposure(settings: ServeSettings) -> None:
    """Raises unless only this machine can come in, or keys are asked for, or it was said explicitly.

    Raises:
        ConfigError: saying what to set.
    """
    if settings.keys_file is not None or settings.allow_keyless or _is_local(settings.host):
        return
    raise ConfigError(
        f"host={settings.host} can be reached from other machines and no keys are asked for; create "
        "one (python -m whisperlab.serve.keys create NAME --file FILE) and set serve.keys_file=FILE, "
        "or say serve.allow_keyless=true"
    )


def check_run_alone(settings: ServeSettings, overrides: Sequence[str]) -> None:
    """Raises if ``run=`` stands beside a setting of the transcriber, which would be without effect.

    Raises:
        ConfigError: naming the setting.
    """
    if settings.run is None:
        return
    for override in overrides:
        key = re.split(r"[.@/=]", override.lstrip("+~"), maxsplit=1)[0]
        if key in (*TRANSCRIBER_KEYS, "preset"):
            raise ConfigError(
                f"{override}: run= serves exactly what was measured; leave it out, or evaluate that "
                "and serve its run"
            )


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def announce(offer: Offer) -> None:
    """Prints what is offered, and what an embedded model can and cannot do."""
    for configuration in offer:
        model = configuration.config["model"]
        note = f"; {model['note']}" if model.get("note") else ""
        print(f"configuration {configuration.name}: {model['name']}{note}")
