"""What answers hold, as JSON schemas: transcripts, events, models, settings, errors.

Owns the words; the settings' schema is made from their types.
"""

from __future__ import annotations

from typing import Any, Final, get_args

from pydantic import TypeAdapter

from whisperlab.engine.options import Task
from whisperlab.languages import ENGLISH_NAMES
from whisperlab.serve.problems import INVALID_REQUEST, STATUS_OF_CODE, TYPE_OF_STATUS
from whisperlab.serve.settings import ServeSettings

Schema = dict[str, Any]

REF: Final = "#/components/schemas/{model}"

_TEXT: Final[Schema] = {"type": "string"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_SECONDS: Final[Schema] = {"type": "number", "minimum": 0, "description": "Seconds of the sound."}
_LOG_PROBABILITY: Final[Schema] = {"type": "number", "maximum": 0}
_HASH: Final = "^[0-9a-f]{16}$"


def answer_schemas() -> dict[str, Schema]:
    """Returns the bodies of answers by name."""
    settings = TypeAdapter(ServeSettings).json_schema(mode="serialization", ref_template=REF)
    return {
        **_transcripts(),
        **_usages(),
        **_events(),
        **_models(),
        "Config": closed(
            {
                "serve": reference("ServeSettings"),
                "configurations": {
                    "type": "object",
                    "description": "By name: hash and resolved configuration; folders are cut to "
                    "their last part.",
                    "additionalProperties": closed(
                        {"hash": _nullable("string", pattern=_HASH), "config": {"type": "object"}}
                    ),
                },
            }
        ),
        **settings.pop("$defs"),
        "ServeSettings": settings,
        "Error": _error(),
        "OpenApi": {"type": "object", "required": ["openapi", "info", "paths"]},
    }


def reference(name: str) -> Schema:
    """Returns a reference to a schema of the document."""
    return {"$ref": REF.format(model=name)}


def closed(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """Returns an object with these properties and no others."""
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
        "additionalProperties": False,
    }


def _nullable(kind: str, **more: Any) -> Schema:
    return {"type": [kind, "null"], **more}


def _list(name: str) -> Schema:
    return {"type": "array", "items": reference(name)}


def _transcripts() -> dict[str, Schema]:
    verbose = {
        "task": {"type": "string", "enum": list(get_args(Task))},
        "language": {
            "type": "string",
            "examples": ["english"],
            "description": "English name of the language, unknown if the engine does not tell: "
            f"{', '.join(ENGLISH_NAMES.values())}.",
        },
        "duration": _SECONDS,
        "text": _TEXT,
    }
    timed = {"segments": _list("Segment"), "words": _list("Word")}
    return {
        "Transcription": closed(
            {"text": _TEXT, "usage": reference("DurationUsage")},
            {"logprobs": _list("TokenLogprob")},
        ),
        "VerboseTranscription": closed({**verbose, "usage": reference("DurationUsage")}, timed),
        "Segment": closed(
            {
                "id": _COUNT,
                "seek": {**_COUNT, "description": "Where its window began, in frames of 10 ms."},
                "start": _SECONDS,
                "end": _SECONDS,
                "text": {**_TEXT, "description": "With its leading space."},
                "tokens": {
                    "type": "array",
                    "items": _COUNT,
                    "description": "Ids in the model's own vocabulary, timestamps included.",
                },
                "temperature": _nullable("number", minimum=0),
                "avg_logprob": _nullable("number", maximum=0),
                "compression_ratio": _nullable("number", minimum=0),
                "no_speech_prob": _nullable("number", minimum=0, maximum=1),
            }
        )
        | {"description": "What the engine does not know is null."},
        "Word": closed(
            {
                "word": {**_TEXT, "description": "Without spaces."},
                "start": _SECONDS,
                "end": _SECONDS,
            }
        ),
        "TokenLogprob": closed(
            {
                "token": {
                    **_TEXT,
                    "description": "A token may be a part of a character: see bytes.",
                },
                "logprob": _LOG_PROBABILITY,
                "bytes": {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 0, "maximum": 255},
                },
            }
        ),
        "VerboseDoneEvent": closed(
            {
                "type": {"const": "transcript.text.done"},
                **verbose,
                "usage": reference("TokenUsage"),
            },
            timed,
        ),
    }


def _usages() -> dict[str, Schema]:
    return {
        "DurationUsage": closed(
            {
                "type": {"const": "duration"},
                "seconds": {**_COUNT, "description": "Seconds of the sound, rounded up."},
            }
        ),
        "TokenUsage": closed(
            {
                "type": {"const": "tokens"},
                "input_tokens": {**_COUNT, "description": "50 a second of sound, rounded up."},
                "output_tokens": {**_COUNT, "description": "Tokens decoded, timestamps included."},
                "total_tokens": _COUNT,
                "input_token_details": closed(
                    {"audio_tokens": _COUNT, "text_tokens": {"const": 0}}
                ),
                "seconds": {**_COUNT, "description": "Ours: seconds of the sound, rounded up."},
            }
        ),
    }


def _events() -> dict[str, Schema]:
    kinds = ["TextDeltaEvent", "TextDoneEvent", "VerboseDoneEvent", "Error"]
    return {
        "TextDeltaEvent": closed({"type": {"const": "transcript.text.delta"}, "delta": _TEXT}),
        "TextDoneEvent": closed(
            {
                "type": {"const": "transcript.text.done"},
                "text": {**_TEXT, "description": "All deltas together."},
                "usage": reference("TokenUsage"),
            },
            {"logprobs": _list("TokenLogprob")},
        ),
        "StreamEvent": {
            "type": "object",
            "description": "One event: a line `data: ` with JSON, and an empty line. Deltas as the "
            "model goes on, then one done event (with response_format verbose_json a verbose one); "
            "an error envelope in its place if the work fails after the first delta.",
            "required": ["data"],
            "properties": {
                "data": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": {"oneOf": [reference(kind) for kind in kinds]},
                }
            },
        },
    }


def _models() -> dict[str, Schema]:
    rate = _nullable("number", minimum=0)
    return {
        "Model": closed(
            {
                "id": {**_TEXT, "description": "The name that requests give as model."},
                "object": {"const": "model"},
                "created": {**_COUNT, "description": "When the server started (Unix time)."},
                "owned_by": {"const": "whisperlab"},
                "configuration": {**_TEXT, "description": "What an alias stands for."},
                "configuration_hash": _nullable(
                    "string",
                    pattern=_HASH,
                    description="The hash that reports show; null until the device is known.",
                ),
                "loaded": {"type": "boolean", "description": "Whether it is in memory."},
                "note": _nullable("string"),
                "measured": {"anyOf": [reference("Measured"), {"type": "null"}]},
            }
        ),
        "ModelList": closed({"object": {"const": "list"}, "data": _list("Model")}),
        "Measured": closed(
            {
                "run": _TEXT,
                "dataset": _TEXT,
                "utterances": _COUNT,
                "profile": _TEXT,
                "wer": rate,
                "wer_low": rate,
                "wer_high": rate,
                "rtfx": rate,
                "latency_p95_seconds": rate,
                "batch_size": {"type": "integer", "minimum": 1},
            }
        )
        | {"description": "What the finished run that is served found; rates are fractions."},
    }


def _error() -> Schema:
    return closed(
        {
            "error": closed(
                {
                    "message": {**_TEXT, "description": "For people; may change."},
                    "type": {
                        "type": "string",
                        "enum": sorted({INVALID_REQUEST, *TYPE_OF_STATUS.values()}),
                    },
                    "param": _nullable("string", description="The parameter at fault."),
                    "code": {"type": "string", "enum": list(STATUS_OF_CODE)},
                }
            )
        }
    )
