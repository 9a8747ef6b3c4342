"""The headers of answers: what each says, and which answers carry it."""

from __future__ import annotations

from typing import Any, Final

ALWAYS: Final = ("x-request-id",)

RATES: Final = tuple(
    f"x-ratelimit-{what}-{unit}"
    for unit in ("requests", "audio-seconds")
    for what in ("limit", "remaining", "reset")
)

AUDIO: Final = ("Server-Timing", "x-whisperlab-config", "x-whisperlab-warning", *RATES)
"""What an answer about a sound may carry, as far as it came."""

OF_STATUS: Final = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    429: ("Retry-After",),
    503: ("Retry-After",),
    504: ("x-should-retry",),
}
"""What an answer of that status carries always."""

_STAGES: Final = "decode, preprocess, queue, features, encode, decode-tokens, format"


def header_components() -> dict[str, Any]:
    """Returns every header by name; required where it is always there."""
    found = {
        "x-request-id": _header("Names this request, here and in the log.", "string", required=True)
        | {"example": "6f1c2a7e"},
        "Server-Timing": _header(f"Milliseconds by stage, as far as it came: {_STAGES}.", "string")
        | {"example": "decode;dur=11.2, queue;dur=10.3, encode;dur=80.4"},
        "x-whisperlab-config": _header(
            "Hash of the configuration that answers: the one reports show.",
            "string",
            pattern="^[0-9a-f]{16}$",
        ),
        "x-whisperlab-warning": _header(
            "What was not as it should be: ignored fields: NAMES; audio_truncated (the file is cut, "
            "its readable part was heard); text_truncated (the model stopped at its token limit).",
            "string",
        ),
        "WWW-Authenticate": _header("How to come in.", "string", required=True, const="Bearer"),
        "Allow": _header("The methods that the route has.", "string", required=True),
        "Retry-After": _header(
            "Whole seconds to wait before sending this again.", "integer", required=True, minimum=1
        ),
        "x-should-retry": _header(
            "Keeps OpenAI's clients from sending the sound again.",
            "string",
            required=True,
            const="false",
        ),
    }
    for unit, words in (("requests", "requests"), ("audio-seconds", "seconds of sound")):
        of_unit = f"x-ratelimit-{{}}-{unit}".format
        found[of_unit("limit")] = _header(f"Most {words} a minute, if limited.", "number")
        found[of_unit("remaining")] = _header(f"What is left of the {words}.", "number", minimum=0)
        found[of_unit("reset")] = _header(
            "When all of it is free again, such as 6ms, 59.5s or 1m0s.",
            "string",
            pattern=r"^(\d+ms|(\d+m)?[\d.]+s)$",
        )
    return found


def headers(*names: str) -> dict[str, Any]:
    """Returns references to these headers."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _header(
    description: str, kind: str, *, required: bool = False, **schema: Any
) -> dict[str, Any]:
    return {
        "description": description,
        "required": required,
        "schema": {"type": kind, **schema},
    }
