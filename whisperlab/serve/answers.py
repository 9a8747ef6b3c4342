"""A reply in the format that was asked for, byte for byte as OpenAI's clients expect it.

Owns the six formats, their key order and the two usages. Times are rounded where a format says so
(subtitles) and nowhere else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, Final

from whisperlab.languages import ENGLISH_NAMES
from whisperlab.serve.messages import Reply, Token
from whisperlab.serve.parameters import Wanted
from whisperlab.subtitles import to_srt, to_tsv, to_txt, to_vtt
from whisperlab.transcript import Segment, Transcript

FRAME_SECONDS: Final = 0.01
"""``seek`` counts mel frames of 10 ms (openai/whisper ``audio.py``, HOP_LENGTH / SAMPLE_RATE)."""

AUDIO_TOKENS_PER_SECOND: Final = 50
"""Positions that Whisper's encoder makes of a second (two mel frames each): its input tokens."""

_TEXT_TYPES: Final = {
    "text": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "tsv": "text/tab-separated-values; charset=utf-8",
}
_WRITERS: Final = {"text": to_txt, "srt": to_srt, "vtt": to_vtt, "tsv": to_tsv}


def answer(reply: Reply, transcript: Transcript, wanted: Wanted) -> tuple[bytes, str]:
    """Returns the body and its media type.

    Raises:
        UnsupportedOptionError: subtitles of a transcript that has text without times.
    """
    if wanted.response_format in _WRITERS:
        text = _WRITERS[wanted.response_format](transcript)
        return text.encode(), _TEXT_TYPES[wanted.response_format]
    if wanted.response_format == "verbose_json":
        return _json(verbose(reply, transcript, wanted)), "application/json"
    content: dict[str, Any] = {"text": transcript.text}
    if wanted.recipe.spell:
        content["logprobs"] = logprobs(reply.tokens)
    content["usage"] = duration_usage(reply)
    return _json(content), "application/json"


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, allow_nan=False).encode()


def duration_usage(reply: Reply) -> dict[str, Any]:
    """Returns usage by duration: whole seconds, rounded up."""
    return {"type": "duration", "seconds": math.ceil(reply.audio_seconds)}


def token_usage(reply: Reply, transcript: Transcript) -> dict[str, Any]:
    """Returns usage by tokens, the only kind that the schema of a stream's last event knows.

    Input tokens are the positions of Whisper's encoder, 50 a second; output tokens those decoded,
    timestamps included (0 from an engine that has none). ``seconds`` is ours.
    """
    heard = math.ceil(reply.audio_seconds * AUDIO_TOKENS_PER_SECOND)
    said = sum(len(segment.tokens) for segment in transcript.segments)
    return {
        "type": "tokens",
        "input_tokens": heard,
        "output_tokens": said,
        "total_tokens": heard + said,
        "input_token_details": {"audio_tokens": heard, "text_tokens": 0},
        "seconds": math.ceil(reply.audio_seconds),
    }


def logprobs(tokens: Sequence[Token]) -> list[dict[str, Any]]:
    """Returns the tokens with their log probabilities; a token can be a part of a character."""
    return [
        {
            "token": token.content.decode(errors="replace"),
            "logprob": token.logprob,
            "bytes": list(token.content),
        }
        for token in tokens
    ]


def verbose(reply: Reply, transcript: Transcript, wanted: Wanted) -> dict[str, Any]:
    """Returns the content of ``verbose_json``, keys in OpenAI's order."""
    language = "en" if wanted.task == "translate" else transcript.language
    content: dict[str, Any] = {
        "task": wanted.task,
        "language": ENGLISH_NAMES.get(language or "", language or "unknown"),
        "duration": reply.audio_seconds,
        "text": transcript.text,
    }
    if "segment" in wanted.granularities:
        content["segments"] = [
            _segment(number, segment, seek)
            for number, (segment, seek) in enumerate(
                zip(transcript.segments, seeks(transcript.segments), strict=True)
            )
        ]
    if "word" in wanted.granularities:
        content["words"] = [
            {"word": word.text.strip(), "start": word.start, "end": word.end}
            for segment in transcript.segments
            for word in segment.words
        ]
    content["usage"] = duration_usage(reply)
    return content


def seeks(segments: Sequence[Segment]) -> list[int]:
    """Returns the mel frame at which each segment's window begins, as far as segments tell.

    Segments of one window share its averages; the first window begins at 0, a later one at its
    first segment's start.
    """
    found: list[int] = []
    for number, segment in enumerate(segments):
        if number == 0:
            found.append(0)
            continue
        before = segments[number - 1]
        same = (segment.avg_logprob, segment.compression_ratio, segment.no_speech_prob) == (
            before.avg_logprob,
            before.compression_ratio,
            before.no_speech_prob,
        )
        found.append(found[-1] if same else round(segment.start / FRAME_SECONDS))
    return found


def _segment(number: int, segment: Segment, seek: int) -> dict[str, Any]:
    """Returns a segment as openai/whisper writes it; what the engine does not know is null."""
    return {
        "id": number,
        "seek": seek,
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "tokens": list(segment.tokens),
        "temperature": segment.temperature,
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": segment.compression_ratio,
        "no_speech_prob": segment.no_speech_prob,
    }
