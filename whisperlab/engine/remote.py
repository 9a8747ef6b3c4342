"""Any OpenAI-compatible endpoint as one more engine: sound goes out, transcripts come back.

Owns the settings: a server's address and how to speak to it. ``remote_engine.py`` speaks. It does not
know what runs behind the address.
"""

from __future__ import annotations

import os
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.device import Device, Quantization
from whisperlab.engine.model import ModelSpec, require_no_model
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.remote_wire import ResponseFormat, SampleFormat
from whisperlab.errors import (
    ConfigError,
    MissingExtraError,
    UnsupportedOptionError,
)

if TYPE_CHECKING:
    from whisperlab.engine.remote_engine import RemoteEngine

_HONOURED: Final = frozenset(
    {"language", "task", "timestamps", "timeout_seconds", "temperatures", "prompt"}
)


def _base_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("expected an address up to the version, such as https://api.openai.com/v1")
    if parts.username is not None or parts.password is not None:
        raise ValueError("expected no name or password in the address; use engine.api_key_env")
    return value.rstrip("/")


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class RemoteSettings:
    """A server's address and how to speak to it; ``model.name`` is the model's name there.

    ``api_key_env`` is the *name* of the environment variable that holds the key, ``None`` sends
    none: the key itself never stands in a configuration. ``concurrency`` requests of one batch are
    in flight at a time. A request takes at most ``request_seconds``; up to ``retries`` more follow
    where the server is busy or away.

    ``response_format`` ``json`` (text alone) is for models that know no ``verbose_json``; nothing
    falls back to it. ``include`` asks for ``logprobs``, whose mean becomes ``avg_logprob``.

    Raises:
        UnsupportedOptionError: a checkpoint, a precision or a GPU was asked for, or log
            probabilities in a format that has none.
    """

    base_url: Annotated[str, AfterValidator(_base_url)]
    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    concurrency: Annotated[int, Field(ge=1, le=256)] = 8
    request_seconds: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)] = 300.0
    retries: Annotated[int, Field(ge=0, le=20)] = 3
    response_format: ResponseFormat = "verbose_json"
    # A configuration file can only write a list.
    include: Annotated[tuple[Literal["logprobs"], ...], Field(strict=False)] = ()
    sample_format: SampleFormat = "wav_float32"
    model: ModelSpec = ModelSpec(name="whisper-1")
    device: Device = Device("auto")
    quantization: Quantization = Quantization("none")

    def __post_init__(self) -> None:
        require_no_model("remote", self.model, self.device, self.quantization)
        if self.include and self.response_format != "json":
            raise UnsupportedOptionError(
                "engine.include=[logprobs] goes with engine.response_format=json alone (OpenAI's "
                f"rule), got {self.response_format}; leave one of them out"
            )

    def check(self, options: DecodeOptions) -> None:
        """Raises ``UnsupportedOptionError`` for an option that the API has no parameter for."""
        defaults = DecodeOptions()
        for option in fields(options):
            value = getattr(options, option.name)
            if option.name not in _HONOURED and value != getattr(defaults, option.name):
                raise UnsupportedOptionError(
                    f"engine=remote cannot ask a server for decode.{option.name}={value}; leave it "
                    "at its default and set it where the server is configured"
                )
        if len(options.temperatures) > 1:
            raise UnsupportedOptionError(
                "engine=remote sends one temperature, got decode.temperatures="
                f"{list(options.temperatures)}; give one, fallback is the server's own"
            )
        if self.response_format == "json" and options.timestamps != "none":
            raise UnsupportedOptionError(
                "engine.response_format=json has no times, got decode.timestamps="
                f"{options.timestamps}; set decode.timestamps=none or verbose_json"
            )
        if options.task == "translate" and (options.language, options.timestamps == "word") != (
            None,
            False,
        ):
            raise UnsupportedOptionError(
                "the route for translations takes no language and gives no words; leave "
                "decode.language at null and decode.timestamps at segment"
            )

    def load(self) -> RemoteEngine:
        """Returns the engine after asking the server for the model.

        Raises:
            ConfigError: the environment variable with the key is not set.
            MissingExtraError: the package openai is not installed.
            ModelError: the server cannot be reached, refuses the key or does not have the model.
        """
        try:
            import openai
        except ImportError as error:
            raise MissingExtraError("openai", "remote", "engine=remote") from error
        from whisperlab.engine.remote_engine import RemoteEngine

        key = None if self.api_key_env is None else os.environ.get(self.api_key_env)
        if self.api_key_env is not None and not key:
            raise ConfigError(
                f"engine.api_key_env={self.api_key_env}: this environment variable is not set; "
                "put the server's API key there"
            )
        client = openai.AsyncOpenAI(
            api_key=key or "none",  # not sent: without a key the header is left out
            base_url=self.base_url,
            max_retries=0,
            timeout=None,  # one deadline for the whole request: request_seconds
        )
        engine = RemoteEngine(self, client, key)
        engine.look_for_model()
        return engine
