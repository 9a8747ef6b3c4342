"""The official client, sync and async, against a running server: what our users will do."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import openai
import pytest
import soundfile
from conformance_server import SAID, TEXT, Keyed, conforming_server
from openai import AsyncOpenAI, OpenAI

from whisperlab.audio import UPLOAD_MAX_BYTES
from whisperlab.conformance.server import CLIP
from whisperlab.conformance.sounds import LONG_STEPS, long_sound
from whisperlab.subtitles import to_srt, to_vtt

MODEL = "whisper-1"
OWN_ENDPOINT_RETIRES = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
"""OpenAI's endpoint for translations retires; the client warns of its own method."""


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    with conforming_server(tmp_path_factory.mktemp("server")) as keyed:
        yield keyed


@pytest.fixture(scope="module")
def client(ours: Keyed) -> Iterator[OpenAI]:
    with OpenAI(base_url=ours.base_url, api_key=ours.key, max_retries=0, timeout=60) as made:
        yield made


def sound(seconds: float) -> bytes:
    written = io.BytesIO()
    soundfile.write(written, np.zeros(round(seconds * 16_000)), 16_000, format="FLAC")
    return written.getvalue()


def test_the_first_call_of_every_tutorial(client: OpenAI) -> None:
    with CLIP.open("rb") as file:
        said = client.audio.transcriptions.create(model=MODEL, file=file)
    assert said.text == TEXT
    assert said.usage is not None
    assert (said.usage.type, said.usage.to_dict()) == ("duration", {"type": "duration", "seconds": 4})  # fmt: skip


def test_verbose_json_is_typed(client: OpenAI) -> None:
    said = client.audio.transcriptions.create(
        model=MODEL,
        file=CLIP,
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert (said.text, said.language, round(said.duration, 4)) == (TEXT, "english", 3.4776)
    assert said.segments is not None
    assert said.words is not None
    assert [(one.id, one.seek, one.start, one.end, one.text) for one in said.segments] == [
        (0, 0, 0.0, 1.6196, " five eight"),
        (1, 0, 1.6196, 3.4776, " six nine"),
    ]
    assert [one.tokens for one in said.segments] == [list(one.tokens) for one in SAID.segments]
    assert [one.word for one in said.words] == ["five", "eight", "six", "nine"]
    assert [one.end for one in said.words] == [0.8, 1.6, 2.4, 3.47]


def test_text_formats_are_strings(client: OpenAI) -> None:
    written: dict[Any, str] = {"text": f"{TEXT}\n", "srt": to_srt(SAID), "vtt": to_vtt(SAID)}
    for name, wanted in written.items():
        said: Any = client.audio.transcriptions.create(model=MODEL, file=CLIP, response_format=name)
        assert said == wanted


def test_every_parameter_is_taken(client: OpenAI) -> None:
    said = client.audio.transcriptions.create(
        model=MODEL,
        file=("talk.mp3", CLIP.read_bytes()),
        language="en",
        prompt="digits",
        temperature=0.2,
        chunking_strategy={
            "type": "server_vad",
            "threshold": 0.4,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 200,
        },
        extra_body={"vendor_extension": "x"},
    )
    assert said.text


@OWN_ENDPOINT_RETIRES
def test_translations(client: OpenAI) -> None:
    assert client.audio.translations.create(model=MODEL, file=CLIP).text == TEXT
    said = client.audio.translations.create(
        model=MODEL, file=CLIP, response_format="verbose_json", prompt="digits", temperature=0.0
    )
    assert (said.language, said.text) == ("english", TEXT)
    assert said.segments is not None
    plain: Any = client.audio.translations.create(model=MODEL, file=CLIP, response_format="srt")
    assert plain == to_srt(SAID)


def test_a_stream_is_typed_events_whose_deltas_are_the_text(client: OpenAI) -> None:
    with client.audio.transcriptions.create(model=MODEL, file=long_sound(), stream=True) as stream:
        events = list(stream)
    deltas = [one.delta for one in events if one.type == "transcript.text.delta"]
    done = events[-1]
    assert len(deltas) == LONG_STEPS
    assert done.type == "transcript.text.done"
    assert "".join(deltas) == done.text == " ".join(["digits"] * LONG_STEPS)
    assert done.usage is not None
    assert done.usage.type == "tokens"


def test_a_stream_can_be_left(client: OpenAI) -> None:
    stream = client.audio.transcriptions.create(model=MODEL, file=long_sound(), stream=True)
    assert next(stream).type == "transcript.text.delta"
    stream.close()
    assert client.audio.transcriptions.create(model=MODEL, file=CLIP).text == TEXT


def test_raw_and_streaming_responses_show_headers(client: OpenAI) -> None:
    raw = client.audio.transcriptions.with_raw_response.create(
        model=MODEL, file=CLIP, extra_headers={"x-request-id": "mine-1"}
    )
    assert raw.headers["x-request-id"] == raw.request_id == "mine-1"
    assert "queue;dur=" in raw.headers["server-timing"]
    assert len(raw.headers["x-whisperlab-config"]) == 16
    assert raw.parse().text == TEXT
    with client.audio.transcriptions.with_streaming_response.create(
        model=MODEL, file=CLIP
    ) as response:
        assert response.headers["x-request-id"]
        assert b"".join(response.iter_bytes()).startswith(b'{"text"')


def test_models(client: OpenAI) -> None:
    names = {one.id for one in client.models.list()}
    assert {"default", MODEL} <= names
    assert client.models.retrieve(MODEL).object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("organisation/model")


class Refusal(NamedTuple):
    """What ``create`` is given, and what the exception then says."""

    given: dict[str, Any]
    code: str
    param: str | None = "file"
    kind: type[openai.APIStatusError] = openai.BadRequestError


REFUSED = {
    "no sound": Refusal({"file": b"a" * 500}, "unsupported_format"),
    "too short": Refusal({"file": sound(0.05)}, "audio_too_short"),
    "temperature": Refusal({"temperature": 2.0}, "invalid_value", "temperature"),
    "language": Refusal({"language": "xx"}, "invalid_language", "language"),
    "format": Refusal({"response_format": "x"}, "invalid_value", "response_format"),
    "speakers": Refusal(
        {"response_format": "diarized_json"}, "unsupported_value", "response_format"
    ),
    "words": Refusal(
        {"timestamp_granularities": ["word"]}, "unsupported_value", "timestamp_granularities"
    ),
    "model": Refusal({"model": "gpt-9"}, "model_not_found", "model", openai.NotFoundError),
    "too long": Refusal(
        {"file": bytes(UPLOAD_MAX_BYTES + 1)}, "file_too_large", kind=openai.APIStatusError
    ),
    "too slow": Refusal(
        {"file": sound(300.0)}, "inference_timeout", None, openai.InternalServerError
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_is_an_error_of_the_client(client: OpenAI, case: str) -> None:
    given, code, param, kind = REFUSED[case]
    with pytest.raises(kind) as raised:
        client.audio.transcriptions.create(**{"model": MODEL, "file": CLIP, **given})
    error = raised.value
    assert (error.code, error.param) == (code, param)
    assert error.request_id
    assert error.type in ("invalid_request_error", "server_error")
    if code == "inference_timeout":
        assert error.response.headers["x-should-retry"] == "false"


def test_a_wrong_key_is_an_authentication_error(ours: Keyed) -> None:
    with (
        OpenAI(base_url=ours.base_url, api_key="wl_wrong") as stranger,
        pytest.raises(openai.AuthenticationError) as raised,
    ):
        stranger.models.list()
    assert raised.value.code == "invalid_api_key"


def test_a_key_over_its_rate_is_a_rate_limit_error(ours: Keyed) -> None:
    with OpenAI(base_url=ours.base_url, api_key=ours.limited_key, max_retries=0) as hurried:
        hurried.audio.transcriptions.create(model=MODEL, file=CLIP)
        with pytest.raises(openai.RateLimitError) as raised:
            hurried.audio.transcriptions.create(model=MODEL, file=CLIP)
    assert raised.value.code == "rate_limit_exceeded"
    assert 1 <= int(raised.value.response.headers["retry-after"]) <= 60


def test_a_client_that_gives_up_early_has_a_timeout(ours: Keyed) -> None:
    with (
        OpenAI(base_url=ours.base_url, api_key=ours.key, max_retries=0, timeout=0.3) as hurried,
        pytest.raises(openai.APITimeoutError),
    ):
        hurried.audio.transcriptions.create(model=MODEL, file=sound(150.0))


def test_the_async_client_has_the_same_answers_side_by_side(ours: Keyed) -> None:
    async def ask() -> tuple[list[str], list[str], str]:
        async with AsyncOpenAI(base_url=ours.base_url, api_key=ours.key, max_retries=0) as client:
            create = client.audio.transcriptions.create
            texts = await asyncio.gather(*(create(model=MODEL, file=CLIP) for _ in range(12)))
            deltas = []
            stream = await create(model=MODEL, file=CLIP, stream=True)
            async for event in stream:
                if event.type == "transcript.text.delta":
                    deltas.append(event.delta)
            try:
                await create(model="gpt-9", file=CLIP)
            except openai.NotFoundError as error:
                code = str(error.code)
            return [one.text for one in texts], deltas, code

    texts, deltas, code = asyncio.run(ask())
    assert texts == [TEXT] * 12
    assert "".join(deltas) == TEXT
    assert code == "model_not_found"


def test_a_path_of_any_name_can_be_sent(client: OpenAI, tmp_path: Path) -> None:
    odd = tmp_path / "Mitschnitt „Zürich“ 1.flac"
    odd.write_bytes(CLIP.read_bytes())
    assert client.audio.transcriptions.create(model=MODEL, file=odd).text == TEXT
