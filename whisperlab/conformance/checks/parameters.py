"""Parameters: what each may be, and that a wrong one is refused with its name."""

from __future__ import annotations

from http.client import BAD_REQUEST, NOT_FOUND

from whisperlab.conformance.server import NotOffered, Part, Server, expect, sound

_VERBOSE = ("response_format", "verbose_json")


def model_is_required(server: Server) -> None:
    """Without ``model``: 400, ``param`` model."""
    server.post_parts([sound(server.clip)]).refusal(BAD_REQUEST, param="model")


def an_unknown_model_is_not_found(server: Server) -> None:
    """An unknown ``model`` is a 404 ``model_not_found``; a path, a URL or other bytes too."""
    for name in ("no-such-model", "../../etc/passwd", "http://127.0.0.1:9/x", "whisper-1\u200b"):
        error = server.ask(("model", name)).refusal(NOT_FOUND)
        expect(error["code"] == "model_not_found", f"{name}: got code {error['code']}")


def language_is_a_code_or_an_english_name(server: Server) -> None:
    """``language`` takes ISO 639-1 (``en``) and the English name (``english``), which are equal."""
    texts = [server.ask(("language", name)).ok().json()["text"] for name in ("en", "english")]
    expect(texts[0] == texts[1], f"en gave {texts[0]!r}, english {texts[1]!r}")


def an_unknown_language_is_refused(server: Server) -> None:
    """A ``language`` that is none is a 400, ``param`` language."""
    for name in ("xx", "../../x", "klingon"):
        server.ask(("language", name)).refusal(BAD_REQUEST, param="language")


def a_prompt_is_taken(server: Server) -> None:
    """``prompt`` is text of any script."""
    server.ask(("prompt", "Zahlen: fünf, acht — 五八")).ok()


def temperature_goes_from_0_to_1(server: Server) -> None:
    """``temperature`` is a number from 0 to 1 (``0.0`` as the official client writes it)."""
    for value in ("0", "0.0", "0.4", "1"):
        server.ask(("temperature", value)).ok()


def other_temperatures_are_refused(server: Server) -> None:
    """``temperature`` outside 0 to 1 or no finite decimal number: 400, ``param`` temperature."""
    for value in ("-0.1", "1.1", "5", "NaN", "inf", "1e999", "0x1", "warm"):
        reply = server.ask(("temperature", value))
        expect(reply.status == BAD_REQUEST, f"{value}: expected 400, got {reply.shown}")
        reply.refusal(BAD_REQUEST, param="temperature")


def an_unknown_response_format_is_refused(server: Server) -> None:
    """A ``response_format`` that is none: 400, ``param`` response_format, never another format."""
    server.ask(("response_format", "yaml")).refusal(BAD_REQUEST, param="response_format")


def an_unknown_granularity_is_refused(server: Server) -> None:
    """A ``timestamp_granularities[]`` that is neither word nor segment: 400 with its name."""
    reply = server.ask(_VERBOSE, ("timestamp_granularities[]", "syllable"))
    reply.refusal(BAD_REQUEST)
    expect(
        str(reply.error()["param"]).startswith("timestamp_granularities"),
        f"expected param timestamp_granularities, got {reply.error()['param']}",
    )


def granularities_need_verbose_json(server: Server) -> None:
    """``timestamp_granularities[]`` with another format than verbose_json is refused, not ignored."""
    server.ask(("timestamp_granularities[]", "word")).refusal(BAD_REQUEST)


def logprobs_need_json(server: Server) -> None:
    """``include[]=logprobs`` with another format than json is refused, not ignored."""
    server.ask(_VERBOSE, ("include[]", "logprobs")).refusal(BAD_REQUEST)


def an_unknown_include_is_refused(server: Server) -> None:
    """An ``include[]`` that is not logprobs: 400."""
    server.ask(("include[]", "everything")).refusal(BAD_REQUEST)


def stream_is_true_or_false(server: Server) -> None:
    """``stream=false`` answers JSON; another word than true or false is refused."""
    expect("text" in server.ask(("stream", "false")).ok().json(), "no text without a stream")
    server.ask(("stream", "perhaps")).refusal(BAD_REQUEST, param="stream")


def chunking_is_automatic_or_by_voice(server: Server) -> None:
    """``chunking_strategy`` is ``auto`` or ``server_vad`` with its settings in brackets."""
    server.ask(("chunking_strategy", "auto")).ok()
    server.ask(
        ("chunking_strategy[type]", "server_vad"),
        ("chunking_strategy[threshold]", "0.4"),
        ("chunking_strategy[prefix_padding_ms]", "300"),
        ("chunking_strategy[silence_duration_ms]", "200"),
    ).ok()


def a_wrong_chunking_is_refused(server: Server) -> None:
    """An unknown ``chunking_strategy`` or a threshold of 7: 400, ``param`` chunking_strategy."""
    for fields in (
        [("chunking_strategy", "sentences")],
        [("chunking_strategy[type]", "server_vad"), ("chunking_strategy[threshold]", "7")],
    ):
        reply = server.ask(*fields)
        reply.refusal(BAD_REQUEST)
        param = str(reply.error()["param"])
        expect(param.startswith("chunking_strategy"), f"expected chunking_strategy, got {param}")


def known_speakers_are_used_or_refused(server: Server) -> None:
    """``known_speaker_names[]`` goes with diarisation; who has none refuses it."""
    reply = server.ask(
        ("known_speaker_names[]", "anna"),
        ("known_speaker_references[]", "data:audio/wav;base64,UklGRg=="),
    )
    if reply.status == BAD_REQUEST:
        reply.error()
        raise NotOffered(str(reply.error()["message"]))
    reply.ok()


def all_parameters_of_the_official_client_arrive(server: Server) -> None:
    """Every parameter of the official client's ``create`` at once is taken."""
    with server.client() as client:
        said = client.audio.transcriptions.create(
            model=server.model,
            file=server.clip,
            language="en",
            prompt="digits",
            temperature=0.0,
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
        )
    expect(said.words and said.segments, f"words or segments are missing: {str(said)[:120]}")


def a_parameter_twice_is_refused(server: Server) -> None:
    """Two ``model`` or two ``file`` parts: 400 ``duplicate_parameter``, never the last one silently."""
    model, file = Part("model", server.model.encode()), sound(server.clip)
    for parts in ([model, model, file], [model, file, file]):
        error = server.post_parts(parts).refusal(BAD_REQUEST)
        expect(error["code"] == "duplicate_parameter", f"got code {error['code']}")
