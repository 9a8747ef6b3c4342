"""What a request asks for: the fields of a form, checked one by one, made into a recipe.

Owns OpenAI's parameters: their values, defaults and combinations. Every refusal names its ``param``;
what a configuration cannot do is refused as ``unsupported_value``, nothing is silently ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from whisperlab.engine.options import DecodeOptions, Task
from whisperlab.errors import ConfigError
from whisperlab.languages import language_code
from whisperlab.segmentation.protocol import Segmentation
from whisperlab.segmentation.silero_vad import SileroVad, is_installed
from whisperlab.serve.configurations import Configuration, Offer
from whisperlab.serve.messages import Recipe
from whisperlab.serve.problems import ApiError

ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt", "tsv"]

FORMATS: Final = ("json", "text", "srt", "verbose_json", "vtt", "tsv", "diarized_json")
STREAMED_FORMATS: Final = ("json", "text", "verbose_json")
GRANULARITIES: Final = ("word", "segment")
DIARISING: Final = ("known_speaker_names", "known_speaker_references")

KNOWN_FIELDS: Final = frozenset(
    {
        "model", "language", "prompt", "response_format", "temperature", "include",
        "timestamp_granularities", "stream", "chunking_strategy", *DIARISING,
    }
)  # fmt: skip
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_TRUE, _FALSE = frozenset({"true", "1"}), frozenset({"false", "0"})


@dataclass(frozen=True, slots=True)
class Range:
    """What a number may be, both ends included."""

    low: float
    high: float


TEMPERATURES: Final = Range(0.0, 1.0)

VAD_RANGES: Final[Mapping[str, Range]] = {
    "threshold": Range(0.01, 0.99),
    "prefix_padding_ms": Range(0, 10_000),
    "silence_duration_ms": Range(0, 10_000),
}
"""What ``chunking_strategy`` ``server_vad`` can be told ..."""

VAD_DEFAULTS: Final[Mapping[str, float]] = {
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 200,
}
"""... and what it does unless told (OpenAI's defaults)."""


@dataclass(frozen=True)
class Wanted:
    """A request, understood: which configuration, by which recipe, answered how.

    ``ignored`` are fields that nobody knows (SDKs send extras); the answer names them in a header.
    """

    configuration: Configuration
    recipe: Recipe
    task: Task
    response_format: ResponseFormat
    granularities: tuple[str, ...]
    stream: bool
    ignored: tuple[str, ...]


def read_parameters(
    fields: Mapping[str, Sequence[str]],
    task: Task,
    offer: Offer,
    *,
    inference_seconds: float,
    strict_fields: bool,
) -> Wanted:
    """Returns what the fields of a form ask for.

    Raises:
        ApiError: naming the parameter that is missing, wrong or not to be had.
    """
    configuration = _configuration(_one(fields, "model"), offer)
    ignored = _unknown(fields)
    if ignored and strict_fields:
        raise ApiError("invalid_value", f"Unknown parameter: {ignored[0]}", ignored[0])
    for name in DIARISING:
        if fields.get(name):
            raise ApiError("unsupported_value", "This server does not tell speakers apart.", name)
    response_format = _response_format(_one(fields, "response_format"))
    granularities = _granularities(fields.get("timestamp_granularities", ()), response_format)
    spell = _includes_logprobs(fields.get("include", ()), response_format)
    stream = _boolean(_one(fields, "stream"), "stream")
    if stream and response_format not in STREAMED_FORMATS:
        raise ApiError(
            "unsupported_value",
            f"stream goes with response_format {', '.join(STREAMED_FORMATS)}, not {response_format}.",
            "response_format",
        )
    options = _options(fields, task, configuration, response_format, granularities)
    timeout = options.timeout_seconds
    options = replace(
        options,
        timeout_seconds=inference_seconds if timeout is None else min(timeout, inference_seconds),
    )
    segmentation = _chunking(fields)
    return Wanted(
        configuration=configuration,
        recipe=Recipe(options, segmentation, spell),
        task=task,
        response_format=response_format,
        granularities=granularities,
        stream=stream,
        ignored=ignored,
    )


def _one(fields: Mapping[str, Sequence[str]], name: str) -> str | None:
    values = fields.get(name, ())
    if len(values) > 1:  # "model[]" twice: a proxy may have judged the other one
        raise ApiError("duplicate_parameter", f"expected {name} once, got it twice", name)
    return values[0] if values else None


def _unknown(fields: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Returns the fields that nobody knows; ``chunking_strategy`` alone has settings in brackets."""
    settings = "chunking_strategy["
    return tuple(sorted(n for n in fields if n not in KNOWN_FIELDS and not n.startswith(settings)))


def _configuration(name: str | None, offer: Offer) -> Configuration:
    if name is None:
        raise ApiError("missing_required_parameter", "You must provide a model parameter.", "model")
    found = offer.find(name)
    if found is None:
        offered = ", ".join(configuration.name for configuration in offer)
        raise ApiError(
            "model_not_found",
            f"The model does not exist here; this server has: {offered}.",
            "model",
        )
    return found


def _choice(value: str, allowed: Sequence[str], param: str) -> ApiError:
    shown = value if len(value) <= 40 and value.isprintable() else "this"  # noqa: PLR2004
    return ApiError(
        "invalid_value", f"Invalid value: {shown!r}. Expected one of: {', '.join(allowed)}.", param
    )


def _response_format(value: str | None) -> ResponseFormat:
    match value:
        case None:
            return "json"
        case "json" | "text" | "srt" | "verbose_json" | "vtt" | "tsv":
            return value
        case "diarized_json":
            raise ApiError(
                "unsupported_value", "This server does not tell speakers apart.", "response_format"
            )
        case _:
            raise _choice(value, FORMATS, "response_format")


def _list(values: Sequence[str]) -> list[str]:
    """Returns the items of a parameter that may be repeated or comma separated."""
    return [item.strip() for value in values for item in value.split(",") if item.strip()]


def _granularities(values: Sequence[str], response_format: ResponseFormat) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(_list(values)))
    for item in chosen:
        if item not in GRANULARITIES:
            raise _choice(item, GRANULARITIES, "timestamp_granularities")
    if chosen and response_format != "verbose_json":
        raise ApiError(
            "unsupported_value",
            "timestamp_granularities needs response_format verbose_json.",
            "timestamp_granularities",
        )
    return chosen or ("segment",)


def _includes_logprobs(values: Sequence[str], response_format: ResponseFormat) -> bool:
    chosen = _list(values)
    for item in chosen:
        if item != "logprobs":
            raise _choice(item, ("logprobs",), "include")
    if chosen and response_format != "json":
        raise ApiError("unsupported_value", "include needs response_format json.", "include")
    return bool(chosen)


def _boolean(value: str | None, param: str) -> bool:
    if value is None or value.lower() in _FALSE:
        return False
    if value.lower() in _TRUE:
        return True
    raise _choice(value, ("true", "false"), param)


def _number(value: str, allowed: Range, param: str) -> float:
    low, high = allowed.low, allowed.high
    if not _NUMBER.fullmatch(value) or not low <= float(value) <= high:
        raise ApiError("invalid_value", f"Expected a number from {low:g} to {high:g}.", param)
    return float(value)


def _options(
    fields: Mapping[str, Sequence[str]],
    task: Task,
    configuration: Configuration,
    response_format: ResponseFormat,
    granularities: Sequence[str],
) -> DecodeOptions:
    """Returns the configuration's decoding with what the request changes of it, each change checked."""
    check = configuration.transcriber.settings.check
    options = configuration.transcriber.options
    language = _one(fields, "language")
    if language is not None:
        if task == "translate":
            raise ApiError("unsupported_value", "A translation is always English.", "language")
        code = language_code(language)
        if code is None:
            raise ApiError(
                "invalid_language",
                "Expected an ISO 639-1 code such as de, or an English name such as german.",
                "language",
            )
        options = _changed(options, check, "language", language=code)
    if task != options.task:
        options = _changed(options, check, "model", task=task)
    prompt = _one(fields, "prompt")
    if prompt is not None:
        options = _changed(options, check, "prompt", prompt=prompt)
    temperature = _one(fields, "temperature")
    if temperature is not None:
        first = _number(temperature, TEMPERATURES, "temperature")
        if (
            first != options.temperatures[0]
        ):  # else the configuration's own fallback goes on from it
            options = _changed(options, check, "temperature", temperatures=(first,))
    if "word" in granularities:
        return _changed(options, check, "timestamp_granularities", timestamps="word")
    if options.timestamps == "none" and response_format not in ("json", "text"):
        return _changed(options, check, "response_format", timestamps="segment")
    return options


def _changed(
    options: DecodeOptions, check: Callable[[DecodeOptions], None], param: str, **changes: Any
) -> DecodeOptions:
    changed = replace(options, **changes)
    try:
        check(changed)
    except ConfigError as error:
        reason = str(error).partition("; ")[0]  # what to do stands behind it, for a command line
        raise ApiError(
            "unsupported_value",
            f"This model cannot do what was asked: {reason}. Ask for less, or choose another model.",
            param,
        ) from error
    return changed


def _chunking(fields: Mapping[str, Sequence[str]]) -> Segmentation | None:
    """Returns the segmentation that ``chunking_strategy`` asks for; ``None`` is the configuration's."""
    param = "chunking_strategy"
    bracketed = {
        name.removeprefix(f"{param}[").removesuffix("]"): values[0]
        for name, values in fields.items()
        if name.startswith(f"{param}[") and name.endswith("]") and values
    }
    plain = _one(fields, param)
    if plain is None and not bracketed:
        return None
    if plain is not None and plain != "auto":
        bracketed |= _written_strategy(plain)
    elif bracketed.get("type", plain and "server_vad") != "server_vad":
        raise _choice(bracketed.get("type", ""), ("auto", "server_vad"), param)
    return _voice_segmentation(bracketed)


def _written_strategy(text: str) -> dict[str, str]:
    """Reads ``{"type": "server_vad", ...}`` written as JSON into one field, as curl users do."""
    param = "chunking_strategy"
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise _choice(text, ("auto", "server_vad"), param) from None
    if not isinstance(content, dict) or content.get("type") != "server_vad":
        raise _choice("this object", ("auto", "server_vad"), param)
    return {str(name): str(value) for name, value in content.items()}


def _voice_segmentation(given: Mapping[str, str]) -> Segmentation:
    param = "chunking_strategy"
    unknown = sorted(given.keys() - {"type", *VAD_DEFAULTS})
    if unknown:
        raise ApiError("invalid_value", f"Unknown setting {unknown[0]!r} of server_vad.", param)
    if not is_installed():
        raise ApiError(
            "unsupported_value",
            "This server has no voice activity detection (pip install 'whisperlab[vad]').",
            param,
        )
    chosen = {
        name: _number(given[name], VAD_RANGES[name], param) if name in given else default
        for name, default in VAD_DEFAULTS.items()
    }
    return SileroVad(
        threshold=chosen["threshold"],
        min_speech_seconds=0.1,
        min_silence_seconds=chosen["silence_duration_ms"] / 1000,
        padding_seconds=chosen["prefix_padding_ms"] / 1000,
        max_seconds=30.0,
    )
