"""Answers: the formats, field by field, and that they all say the same."""

from __future__ import annotations

import math
from http.client import BAD_REQUEST
from typing import Any

from whisperlab.audio import decode
from whisperlab.conformance.server import TRANSLATIONS, NotOffered, Server, expect

_VERBOSE = ("response_format", "verbose_json")
_SEGMENT_KEYS = (
    "id", "seek", "start", "end", "text", "tokens", "temperature", "avg_logprob",
    "compression_ratio", "no_speech_prob",
)  # fmt: skip
_TIMESTAMP_SECONDS = 0.02
"""A step of Whisper's timestamp tokens (Radford et al. 2022, section 2.3)."""
_TOLERANCE_SECONDS = 0.05
"""Coders pad; a duration may differ from the samples by a few frames."""


def _verbose(server: Server, *granularities: str) -> dict[str, Any]:
    fields = [("timestamp_granularities[]", name) for name in granularities]
    body: dict[str, Any] = server.ask(_VERBOSE, *fields).ok().json()
    return body


def json_is_text_and_usage(server: Server) -> None:
    """``json`` (the default) is ``{"text", "usage"}``, valid as the official ``Transcription``."""
    from openai.types.audio import Transcription

    plain, named = server.ask().ok(), server.ask(("response_format", "json")).ok()
    expect(plain.json() == named.json(), f"default {plain.shown} is not json {named.shown}")
    expect(set(plain.json()) == {"text", "usage"}, f"got the keys {sorted(plain.json())}")
    Transcription.model_validate_json(plain.body, strict=True)
    expect(plain.headers.get("content-type", "").startswith("application/json"), "no JSON type")


def usage_is_the_duration_rounded_up(server: Server) -> None:
    """``usage`` is ``{"type": "duration", "seconds": N}``, whole seconds rounded up."""
    usage = server.ask().ok().json().get("usage")
    if isinstance(usage, dict) and usage.get("type") == "tokens":
        raise NotOffered("this server counts tokens")
    seconds = math.ceil(decode(server.clip).duration_seconds)
    expect(usage == {"type": "duration", "seconds": seconds}, f"expected {seconds}, got {usage}")


def logprobs_spell_the_text(server: Server) -> None:
    """``include[]=logprobs``: tokens with real log probabilities, whose bytes are the text."""
    from openai.types.audio import Transcription

    reply = server.ask(("include[]", "logprobs")).ok()
    said = Transcription.model_validate_json(reply.body, strict=True)
    if not said.logprobs:
        raise NotOffered("the answer has no logprobs")
    spelled = b"".join(bytes(int(one) for one in token.bytes or ()) for token in said.logprobs)
    expect(spelled.decode().strip() == said.text, f"{spelled!r} does not spell {said.text!r}")
    values = [token.logprob for token in said.logprobs]
    expect(all(one is not None and one <= 0 for one in values), f"not all are logarithms: {values}")
    expect(len(set(values)) > 1 or len(values) == 1, f"all alike: {values[:3]}")


def verbose_json_has_the_keys_of_openai_in_order(server: Server) -> None:
    """``verbose_json`` is task, language, duration, text, segments, usage, in this order."""
    body = _verbose(server)
    wanted = ["task", "language", "duration", "text", "segments", "usage"]
    expect(list(body) == wanted, f"expected {wanted}, got {list(body)}")
    expect(body["task"] == "transcribe", f"got task {body['task']!r}")


def verbose_json_is_valid_in_strict_mode(server: Server) -> None:
    """``verbose_json`` validates as the official ``TranscriptionVerbose``, no value converted."""
    from openai.types.audio import TranscriptionVerbose

    reply = server.ask(
        _VERBOSE, ("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment")
    ).ok()
    TranscriptionVerbose.model_validate_json(reply.body, strict=True)


def language_is_an_english_name(server: Server) -> None:
    """``language`` is the English name in lower case (``english``), not a code."""
    language = server.ask(_VERBOSE, ("language", "en")).ok().json()["language"]
    expect(language == "english", f"expected english, got {language!r}")


def duration_is_that_of_the_sound(server: Server) -> None:
    """``duration`` is a number, the seconds of the sound."""
    duration, seconds = _verbose(server)["duration"], decode(server.clip).duration_seconds
    expect(isinstance(duration, int | float), f"expected a number, got {duration!r}")
    expect(abs(duration - seconds) <= _TOLERANCE_SECONDS, f"expected {seconds}, got {duration}")


def text_is_stripped_and_segments_are_not(server: Server) -> None:
    """``text`` has no space around it; the segments, put together, are the text."""
    body = _verbose(server)
    expect(body["text"] == body["text"].strip(), f"not stripped: {body['text']!r}")
    joined = "".join(one["text"] for one in body["segments"])
    expect(joined.strip() == body["text"], f"segments give {joined!r}, text {body['text']!r}")
    first = body["segments"][0]["text"]
    expect(first.startswith(" "), f"Whisper's leading space is missing: {first!r}")


def segments_have_every_field(server: Server) -> None:
    """A segment has id, seek, start, end, text, tokens, temperature and Whisper's three measures."""
    for number, one in enumerate(_verbose(server)["segments"]):
        expect(tuple(one) == _SEGMENT_KEYS, f"expected {_SEGMENT_KEYS}, got {tuple(one)}")
        expect(one["id"] == number, f"expected id {number}, got {one['id']}")
        missing = [key for key, value in one.items() if value is None]
        expect(not missing, f"null where a value belongs: {missing}")
        expect(one["tokens"], "tokens are empty")


def segments_begin_and_end_with_timestamp_tokens(server: Server) -> None:
    """``tokens`` begin and end with Whisper's timestamp tokens, 0.02 s a step."""
    for one in _verbose(server)["segments"]:
        tokens = one["tokens"]
        if not tokens:
            raise NotOffered("this engine has no tokens")
        between = (tokens[-1] - tokens[0]) * _TIMESTAMP_SECONDS
        wanted = one["end"] - one["start"]
        expect(
            abs(between - wanted) <= _TOLERANCE_SECONDS,
            f"from token {tokens[0]} to {tokens[-1]} are no {wanted:.2f} s",
        )


def segments_follow_each_other_within_the_sound(server: Server) -> None:
    """Segments are in order, none ends before it begins or after the sound."""
    body = _verbose(server)
    cursor = 0.0
    for one in body["segments"]:
        expect(cursor <= one["start"] <= one["end"], f"out of order: {one['start']}, {one['end']}")
        cursor = one["start"]
        expect(one["end"] <= body["duration"] + _TOLERANCE_SECONDS, f"ends late: {one['end']}")


def words_alone_leave_the_segments_out(server: Server) -> None:
    """``timestamp_granularities[]=word`` alone: words at top level, no segments."""
    body = _verbose(server, "word")
    expect("words" in body, f"no words in {sorted(body)}")
    expect("segments" not in body, "segments are there")


def words_have_no_leading_space_and_stand_in_order(server: Server) -> None:
    """A word is ``{word, start, end}`` without a leading space; in order, within the sound."""
    body = _verbose(server, "word", "segment")
    cursor = 0.0
    for one in body["words"]:
        expect(list(one) == ["word", "start", "end"], f"got the keys {list(one)}")
        expect(one["word"] == one["word"].strip(), f"not stripped: {one['word']!r}")
        expect(cursor <= one["start"] <= one["end"], f"out of order: {one}")
        cursor = one["start"]
    expect(cursor <= body["duration"], f"the last word begins at {cursor}")
    joined = "".join(one["word"] for one in body["words"])
    expect(joined == "".join(body["text"].split()), f"words give {joined!r}, text {body['text']!r}")


def segments_alone_leave_the_words_out(server: Server) -> None:
    """``timestamp_granularities[]=segment`` (the default): segments, no words."""
    body = _verbose(server, "segment")
    expect("words" not in body and body["segments"], f"got the keys {sorted(body)}")


def every_format_says_the_same(server: Server) -> None:
    """``json``, ``verbose_json`` and ``text`` have one text."""
    plain = server.ask().ok().json()["text"]
    expect(_verbose(server)["text"] == plain, "verbose_json has another text")
    expect(server.ask(("response_format", "text")).ok().text == f"{plain}\n", "text has another")


def diarized_json_is_answered_or_refused(server: Server) -> None:
    """``diarized_json`` is speakers, or 400 ``unsupported_value`` with ``param`` response_format."""
    from openai.types.audio import TranscriptionDiarized

    reply = server.ask(("response_format", "diarized_json"))
    if reply.status == BAD_REQUEST:
        reply.refusal(BAD_REQUEST, param="response_format")
    TranscriptionDiarized.model_validate_json(reply.ok().body, strict=True)


def translations_are_english(server: Server) -> None:
    """``/v1/audio/translations`` answers json, and verbose_json with task translate, english."""
    from openai.types.audio import Translation, TranslationVerbose

    plain = server.ask(route=TRANSLATIONS).ok()
    Translation.model_validate_json(plain.body, strict=True)
    verbose = server.ask(_VERBOSE, route=TRANSLATIONS).ok()
    TranslationVerbose.model_validate_json(verbose.body, strict=True)
    said = (verbose.json().get("task"), verbose.json()["language"])
    expect(said == ("translate", "english"), f"got task and language {said}")
