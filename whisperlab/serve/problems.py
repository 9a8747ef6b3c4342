"""What an HTTP answer says when something is wrong: one exception, one envelope, one table of codes.

Every error that leaves the server has this body (OpenAI's)::

    {"error": {"message": "...", "type": "invalid_request_error", "param": "file", "code": "invalid_audio"}}

Owns the way from a ``code`` to a status. It does not know routes or how a request is read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from whisperlab.errors import WhisperlabError

INVALID_REQUEST: Final = "invalid_request_error"

TYPE_OF_STATUS: Final[Mapping[int, str]] = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
    504: "server_error",
}
"""``error.type`` by status; every other status is ``invalid_request_error``."""

STATUS_OF_CODE: Final[Mapping[str, int]] = {
    # the request
    "missing_required_parameter": 400,
    "missing_file": 400,
    "duplicate_parameter": 400,
    "invalid_value": 400,
    "invalid_language": 400,
    "unsupported_value": 400,
    "invalid_multipart": 400,
    "invalid_json": 400,
    "invalid_base64": 400,
    "invalid_host": 400,
    "invalid_request": 400,
    # the sound (INTERFACES: Sound)
    "empty_file": 400,
    "audio_too_short": 400,
    "invalid_audio": 400,
    "invalid_samples": 400,
    "invalid_sample_rate": 400,
    "too_many_channels": 400,
    "no_audio_stream": 400,
    "unsupported_format": 400,
    "unsupported_codec": 400,
    "decode_timeout": 400,
    "decode_memory": 400,
    "preprocess_failed": 400,
    "file_too_large": 413,
    "audio_too_long": 413,
    # who asks
    "invalid_api_key": 401,
    "forbidden": 403,
    # what is asked for
    "not_found": 404,
    "model_not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "unsupported_media_type": 415,
    "unsupported_encoding": 415,
    "headers_too_large": 431,
    # how much is asked for
    "rate_limit_exceeded": 429,
    "queue_full": 429,
    "overloaded": 503,
    "model_loading": 503,
    "model_not_loadable": 503,
    "draining": 503,
    "inference_timeout": 504,
    "internal_error": 500,
}
"""Every code that an answer of this server can carry; ``docs/api_reference.md`` explains each."""

RETRY_SECONDS: Final = 1
"""What a 503 tells the client to wait when nothing better is known."""


@dataclass(eq=False)
class ApiError(Exception):
    """An answer with an error envelope; ``code`` decides the status.

    ``param`` names the parameter at fault. ``retry_after_seconds`` becomes an integer
    ``Retry-After``, rounded up. ``headers`` are further headers of the answer.
    """

    code: str
    message: str
    param: str | None = None
    retry_after_seconds: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The HTTP status of ``code``."""
        return STATUS_OF_CODE[self.code]

    def body(self) -> dict[str, Any]:
        """Returns the envelope."""
        return {
            "error": {
                "message": self.message,
                "type": TYPE_OF_STATUS.get(self.status, INVALID_REQUEST),
                "param": self.param,
                "code": self.code,
            }
        }

    def all_headers(self) -> dict[str, str]:
        """Returns the headers that belong to the error: ``Retry-After`` and what the code demands.

        The official client retries 408, 409, 429 and every 5xx; ``x-should-retry: false`` keeps it
        from sending a sound again that has already taken too long.
        """
        headers = dict(self.headers)
        wait = self.retry_after_seconds
        if wait is None and self.status == 503:  # noqa: PLR2004 - the status itself
            wait = RETRY_SECONDS
        if wait is not None:
            headers["Retry-After"] = str(max(1, math.ceil(wait)))
        if self.code == "inference_timeout":
            headers["x-should-retry"] = "false"
        if self.code == "invalid_api_key":
            headers["WWW-Authenticate"] = "Bearer"
        return headers


KNOWN_MESSAGES: Final[Mapping[str, str]] = {
    "unsupported_format": (
        "Invalid file format. Supported formats: ['flac', 'm4a', 'mp3', 'mp4', 'mpeg', 'mpga', "
        "'oga', 'ogg', 'wav', 'webm']"
    ),
    # ours would quote the text of somebody else's exception
    "preprocess_failed": "A preprocessing step of this configuration failed on the sound.",
    "audio_too_short": "Audio file is too short. Minimum audio length is 0.1 seconds.",
}
"""Texts by code that stand in for the error's own: OpenAI's, which clients may look for, and ours."""


def from_failure(code: str, message: str, param: str | None = None) -> ApiError:
    """Returns the answer to a failure that whisperlab named; an unknown code is a 500 without detail.

    >>> from_failure("invalid_audio", "the file's header is damaged", "file").status
    400
    >>> from_failure("non_finite_logits", "...").code
    'internal_error'
    """
    if code not in STATUS_OF_CODE or code == "internal_error":
        return internal_error()
    return ApiError(code, KNOWN_MESSAGES.get(code, message), param)


def from_error(error: WhisperlabError, param: str | None = None) -> ApiError:
    """Returns the answer to a typed error."""
    return from_failure(error.code, str(error), param)


def internal_error() -> ApiError:
    """Returns the answer to what nobody foresaw: no text of the exception leaves the server."""
    return ApiError(
        "internal_error", "The server failed on this request; the log has it under the request id."
    )


def draining() -> ApiError:
    """Returns the answer to a sound that comes, or waits, while the lane closes."""
    return ApiError("draining", "The server is shutting down; send this again later.")


def not_loadable() -> ApiError:
    """Returns the answer to a sound whose worker is lost for good."""
    return ApiError("model_not_loadable", "The model cannot be loaded.")


def inference_timeout(seconds: float) -> ApiError:
    """Returns the answer to a sound that took longer than ``seconds`` in the engine."""
    return ApiError(
        "inference_timeout",
        f"Not finished within {seconds:g} s; send a shorter recording or choose a faster model.",
    )
