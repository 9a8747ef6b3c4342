from __future__ import annotations

from typing import Any

import pydantic
import pytest
from openai_peer import Answer, running_peer
from remote_examples import VERBOSE, WORDS, loaded, one, refusal

from whisperlab.config.build import build_transcriber
from whisperlab.config.compose import compose
from whisperlab.device import Device, Quantization
from whisperlab.engine.model import ModelSpec
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import Engine, EngineSettings
from whisperlab.engine.remote import RemoteSettings
from whisperlab.errors import (
    ConfigError,
    ModelError,
    UnsupportedOptionError,
)


def test_settings_and_engine_keep_their_protocols() -> None:
    assert isinstance(RemoteSettings(base_url="http://localhost/v1"), EngineSettings)
    with loaded(Answer(VERBOSE)) as (engine, _):
        assert isinstance(engine, Engine)


def test_the_default_request_is_model_format_and_sound_alone() -> None:
    with loaded(Answer(VERBOSE), model=ModelSpec(name="org/whisper")) as (engine, peer):
        one(engine)
    assert peer.form() == {"model": ["org/whisper"], "response_format": ["verbose_json"]}
    assert peer.asked[-1].path == "/v1/audio/transcriptions"
    assert "authorization" not in peer.asked[-1].headers


def test_options_become_parameters() -> None:
    options = DecodeOptions(
        language="de", prompt="Müller", temperatures=(0.2,), timestamps="word", timeout_seconds=9.0
    )
    with loaded(Answer({**VERBOSE, "words": WORDS})) as (engine, peer):
        one(engine, options)
    assert peer.form() == {
        "model": ["whisper-1"],
        "response_format": ["verbose_json"],
        "language": ["de"],
        "prompt": ["Müller"],
        "temperature": ["0.2"],
        "timestamp_granularities[]": ["segment", "word"],
    }


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # OpenAI's own endpoint retires
def test_a_translation_takes_its_own_route_and_has_no_source_language() -> None:
    with loaded(Answer({**VERBOSE, "task": "translate"})) as (engine, peer):
        heard = one(engine, DecodeOptions(task="translate"))
    assert peer.asked[-1].path == "/v1/audio/translations"
    assert (heard.text, heard.language) == ("One two. Three.", None)


def test_the_key_comes_from_the_environment_and_stays_out_of_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-canary")
    told = Answer(refusal("invalid_api_key", "Incorrect API key provided: sk-canary."), 401)
    with running_peer([told]) as peer:
        settings = RemoteSettings(base_url=peer.base_url, api_key_env="SOME_KEY")
        engine = settings.load()
        with pytest.raises(ModelError, match="look at the key in SOME_KEY") as raised:
            one(engine)
    assert peer.asked[-1].headers["authorization"] == "Bearer sk-canary"
    assert "canary" not in str(raised.value)
    assert "canary" not in repr(settings)


def test_a_key_that_is_not_there_is_said_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(ConfigError, match=r"SOME_KEY: this environment variable is not set"):
        RemoteSettings(base_url="http://127.0.0.1:9/v1", api_key_env="SOME_KEY").load()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(refusal("model_not_found"), 404), "model_not_found"),
        (Answer(refusal("invalid_api_key"), 401), "invalid_api_key"),
        (Answer({"detail": "Not Found"}, 404), None),
        (Answer(refusal("model_loading"), 503, {"x-should-retry": "false"}), None),
    ],
)
def test_loading_asks_for_the_model(answer: Answer, error: str | None) -> None:
    with running_peer([Answer(VERBOSE)]) as peer:
        peer.model = answer
        settings = RemoteSettings(base_url=peer.base_url, model=ModelSpec(name="org/whisper"))
        if error is None:
            settings.load()
        else:
            with pytest.raises(ModelError) as raised:
                settings.load()
            assert raised.value.code == error
        assert peer.asked[0].path == "/v1/models/org/whisper"


def test_loading_says_that_there_is_no_server() -> None:
    with pytest.raises(ModelError, match="cannot be reached") as raised:
        RemoteSettings(base_url="http://127.0.0.1:9/v1", retries=0).load()
    assert raised.value.code == "server_unreachable"


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        ({}, DecodeOptions(beam_size=5), r"decode\.beam_size=5"),
        ({}, DecodeOptions(max_new_tokens=5), r"decode\.max_new_tokens=5"),
        ({}, DecodeOptions(seed=1), r"decode\.seed=1"),
        ({}, DecodeOptions(condition_on_previous_text=True), "condition_on_previous_text"),
        ({}, DecodeOptions(compression_ratio_threshold=2.4), "compression_ratio_threshold"),
        ({}, DecodeOptions(temperatures=(0.0, 0.2)), "fallback is the server's"),
        ({}, DecodeOptions(task="translate", language="de"), "takes no language"),
        ({}, DecodeOptions(task="translate", timestamps="word"), "gives no words"),
        ({"response_format": "json"}, DecodeOptions(), "has no times"),
    ],
)
def test_what_the_api_has_no_parameter_for_is_refused(
    settings: dict[str, Any], options: DecodeOptions, message: str
) -> None:
    with pytest.raises(UnsupportedOptionError, match=message):
        RemoteSettings(base_url="http://localhost/v1", **settings).check(options)


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "localhost:8000/v1"},
        {"base_url": "https://name:secret@example.org/v1"},
        {"base_url": "ftp://example.org"},
        {"api_key_env": "sk-canary"},
        {"concurrency": 0},
        {"retries": -1},
        {"request_seconds": 0.0},
        {"response_format": "text"},
        {"include": ["usage"]},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        RemoteSettings(**{"base_url": "http://localhost/v1", **wrong})


def test_a_checkpoint_a_precision_or_a_gpu_is_refused() -> None:
    address = "http://localhost/v1"
    with pytest.raises(UnsupportedOptionError, match="cannot load model=tiny"):
        RemoteSettings(base_url=address, model=ModelSpec(name="tiny", source="openai/whisper-tiny"))
    with pytest.raises(UnsupportedOptionError, match="quantization=float16"):
        RemoteSettings(base_url=address, quantization=Quantization("float16"))
    with pytest.raises(UnsupportedOptionError, match=r"device\.kind=cuda"):
        RemoteSettings(base_url=address, device=Device("cuda"))
    with pytest.raises(UnsupportedOptionError, match="include"):
        RemoteSettings(base_url=address, include=["logprobs"])  # type: ignore[arg-type]


def test_the_configuration_names_the_model_at_the_server_and_no_key() -> None:
    config = compose("transcriber", ["engine=remote", "model.name=gpt-4o-transcribe"])
    settings = build_transcriber(config).settings
    assert isinstance(settings, RemoteSettings)
    assert settings.model.name == "gpt-4o-transcribe"
    assert settings.api_key_env is None
