"""What requests may hold, as JSON schemas: the same parameters as a form and as a JSON body.

Owns the words about parameters; their names, choices and bounds are parameters.py's and form.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from whisperlab.engine.options import Task
from whisperlab.languages import ENGLISH_NAMES
from whisperlab.serve.form import MAX_BYTES_OF
from whisperlab.serve.parameters import (
    GRANULARITIES,
    STREAMED_FORMATS,
    TEMPERATURES,
    VAD_DEFAULTS,
    VAD_RANGES,
    ResponseFormat,
)

Schema = dict[str, Any]

_SOUND: Final = (
    "The sound: flac, mp3, mp4, mpeg, mpga, m4a, oga, ogg, opus, wav, aiff or webm, recognised by its "
    "content; its name and type are not looked at. 0.1 s to 1 h, at most 25 MiB (both can be set)."
)

_VAD_WORDS: Final = {
    "threshold": "Probability of speech from which a frame is speech.",
    "prefix_padding_ms": "Sound kept before and after speech, in milliseconds.",
    "silence_duration_ms": "Silence that ends a piece, in milliseconds.",
}

_TASKS: Final[Mapping[str, Task]] = {"Transcription": "transcribe", "Translation": "translate"}


def request_schemas() -> dict[str, Schema]:
    """Returns the bodies of both routes by name, as a form and as JSON."""
    found: dict[str, Schema] = {"ServerVad": _server_vad()}
    for name, task in _TASKS.items():
        parameters = _parameters(task)
        found[f"{name}Form"] = {
            "type": "object",
            "required": ["file", "model"],
            "properties": {
                "file": {"type": "string", "format": "binary", "description": _SOUND},
                **{_form_name(key, schema): schema for key, schema in parameters.items()},
                **_bracketed_vad(),
            },
        }
        found[f"{name}Json"] = {
            "type": "object",
            "required": ["audio", "model"],
            "properties": {
                "audio": {
                    "type": "string",
                    "contentEncoding": "base64",
                    "description": f"{_SOUND} Base64 (RFC 4648, 4: padded, no white space), with or "
                    "without data:audio/...;base64, in front. file is another name for it.",
                },
                "model": parameters.pop("model"),
                **{key: _json_schema(key, schema) for key, schema in parameters.items()},
            },
        }
    return found


def _parameters(task: Task) -> dict[str, Schema]:
    """Returns the parameters beside the sound, as a form spells their values."""
    language = {
        "language": {
            "type": "string",
            "enum": [*ENGLISH_NAMES, *ENGLISH_NAMES.values()],
            "description": "Language of the speech: ISO 639-1 code or English name, in any case. "
            "Without it the configuration's own, or found by the model.",
        }
    }
    return {
        "model": {
            "type": "string",
            "maxLength": MAX_BYTES_OF["model"],
            "examples": ["whisper-1"],
            "description": "Name of a configuration or an alias, as GET /v1/models lists them.",
        },
        **(language if task == "transcribe" else {}),
        "prompt": {
            "type": "string",
            "maxLength": MAX_BYTES_OF["prompt"],
            "description": "Text that the model takes for what was said before: style and spelling. "
            f"At most {MAX_BYTES_OF['prompt']} bytes.",
        },
        "response_format": {
            "type": "string",
            "enum": list(get_args(ResponseFormat)),
            "default": "json",
            "description": "Form of the answer; tsv is ours. diarized_json is known and answered "
            "400 unsupported_value: this server does not tell speakers apart.",
        },
        "temperature": {
            "type": "number",
            "minimum": TEMPERATURES.low,
            "maximum": TEMPERATURES.high,
            "description": "0 is greedy or beam search, above it tokens are drawn. Without it, and "
            "where it is the configuration's own first one, the configuration decides.",
        },
        "include": {
            "type": "array",
            "items": {"type": "string", "enum": ["logprobs"]},
            "description": "logprobs adds each token's log probability; needs response_format json.",
        },
        "timestamp_granularities": {
            "type": "array",
            "items": {"type": "string", "enum": list(GRANULARITIES)},
            "description": "Times of words, segments or both; needs response_format verbose_json. "
            "Without it segments; word alone gives no segments.",
        },
        "stream": {
            "type": "boolean",
            "default": False,
            "description": "Answers as server-sent events while the model works; with response_format "
            f"{', '.join(STREAMED_FORMATS)}.",
        },
        "chunking_strategy": {
            "type": "string",
            "examples": ["auto", '{"type": "server_vad", "threshold": 0.5}'],
            "description": "auto or server_vad cut at silence before the model hears the sound; without "
            "it the configuration's own way. server_vad is an object: JSON text, or fields such as "
            "chunking_strategy[threshold]. Needs pip install 'whisperlab[vad]' on the server.",
        },
    }


def _form_name(key: str, schema: Mapping[str, Any]) -> str:
    return f"{key}[]" if schema["type"] == "array" else key


def _bracketed_vad() -> dict[str, Schema]:
    """Returns server_vad's settings as the official client writes them into a form."""
    properties = _server_vad()["properties"]
    return {f"chunking_strategy[{key}]": schema for key, schema in properties.items()}


def _server_vad() -> Schema:
    settings = {
        key: {
            "type": "number",
            "minimum": VAD_RANGES[key].low,
            "maximum": VAD_RANGES[key].high,
            "default": default,
            "description": _VAD_WORDS[key],
        }
        for key, default in VAD_DEFAULTS.items()
    }
    return {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"type": "string", "enum": ["server_vad"]}, **settings},
        "additionalProperties": False,
    }


def _json_schema(key: str, schema: Schema) -> Schema:
    """Returns the schema of a parameter in a JSON body, where null is an absent one."""
    if key == "chunking_strategy":
        choices = [{"const": "auto"}, {"$ref": "#/components/schemas/ServerVad"}, {"type": "null"}]
        return {"anyOf": choices, "description": schema["description"]}
    schema = {**schema, "type": [schema["type"], "null"]}
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None]
    return schema
