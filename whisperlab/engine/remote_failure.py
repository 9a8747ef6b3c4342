"""What a refusal of an OpenAI-compatible server means: ask again, or which error of ours it is.

Owns the rules of asking again, which are the official client's (openai 3.57), and the way from a
status and a code to our tree of errors. It does not send anything.
"""

from __future__ import annotations

import email.utils
import math
import random
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from openai import APIConnectionError, APIError, APIStatusError

from whisperlab.errors import (
    InferenceError,
    ModelError,
    UnsupportedOptionError,
    WhisperlabError,
)

if TYPE_CHECKING:
    from whisperlab.engine.remote import RemoteSettings

FIRST_PAUSE_SECONDS: Final = 0.5
MAX_PAUSE_SECONDS: Final = 8.0
JITTER: Final = 0.25
"""The share of a pause that chance may take off, so that refused requests do not return together."""
MAX_RETRY_AFTER_SECONDS: Final = 120.0
RETRIED_STATUSES: Final = frozenset({408, 409, 429})
"""Beside these every status from 500 on."""
SHOWN_CHARACTERS: Final = 300

_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")

Refusal = APIError | TimeoutError


def retry_seconds(error: Refusal, retry: int) -> float | None:
    """Returns how long to wait before asking again; ``None`` says that it is no use.

    A server's ``x-should-retry`` decides first. ``Retry-After`` (seconds, milliseconds or a date) is
    obeyed up to two minutes; a longer one is no use. Without it pauses double from half a second to
    eight. ``retry`` counts from 0.
    """
    if isinstance(error, APIStatusError):
        headers = error.response.headers
        should = headers.get("x-should-retry")
        retried = error.status_code in RETRIED_STATUSES or error.status_code >= 500  # noqa: PLR2004
        if should == "false" or (should != "true" and not retried):
            return None
        asked = retry_after(headers, datetime.now(UTC))
        if asked is not None:
            return asked if asked <= MAX_RETRY_AFTER_SECONDS else None
    elif not isinstance(error, APIConnectionError | TimeoutError):
        return None
    pause = min(FIRST_PAUSE_SECONDS * 2.0**retry, MAX_PAUSE_SECONDS)
    return pause * (1 - JITTER * random.random())  # noqa: S311 - no secret


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Returns the seconds that ``retry-after-ms`` or ``retry-after`` asks for, ``None`` without one.

    Source: RFC 9110, 10.2.3.

    >>> retry_after({"retry-after": "7"}, datetime.now(UTC))
    7.0
    >>> noon = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
    >>> retry_after({"retry-after": "Thu, 01 Jan 2026 12:00:30 GMT"}, noon)
    30.0
    """
    for name, unit_seconds in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit_seconds
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    try:
        date = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())


def failure(error: Refusal, key: str | None, settings: RemoteSettings) -> WhisperlabError:
    """Returns the error of ours: what the server said, with its code, and never the key."""
    where = f"the server at {settings.base_url}"
    if isinstance(error, APIStatusError):
        code = error.code if error.code and _CODE.fullmatch(error.code) else None
        said = " ".join(error.message.split())
        if key:
            said = said.replace(key, "(key)")
        message = f"{where} answered {error.status_code}: {said[:SHOWN_CHARACTERS]}"
        if error.status_code in (401, 403):
            variable = settings.api_key_env
            hint = (
                "set engine.api_key_env" if variable is None else f"look at the key in {variable}"
            )
            return ModelError(f"{message}; {hint}", code=code or "invalid_api_key")
        if error.status_code == 404:  # noqa: PLR2004 - the status itself
            hint = f"model.name={settings.model.name} and engine.base_url must be known there"
            return ModelError(f"{message}; {hint}", code=code or "http_404")
        if code == UnsupportedOptionError.default_code:
            return UnsupportedOptionError(message)
        return InferenceError(message, code=code or f"http_{error.status_code}")
    if isinstance(error, TimeoutError):
        return InferenceError(
            f"{where} did not answer within engine.request_seconds={settings.request_seconds:g}; "
            "raise it or send shorter sounds",
            code="request_timeout",
        )
    cause = error.__cause__ if error.__cause__ is not None else error
    reason = " ".join(str(cause).split())[:SHOWN_CHARACTERS]
    return InferenceError(
        f"{where} cannot be reached: {type(cause).__name__}: {reason}; look at engine.base_url",
        code="connection_failed",
    )
