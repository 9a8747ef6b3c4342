"""What the official client sends, as parameters; and every refusal with its param."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from serve_replay import replay

from whisperlab.config.compose import compose
from whisperlab.engine.options import Task
from whisperlab.segmentation.silero_vad import SileroVad
from whisperlab.serve.configurations import TRANSCRIBER_KEYS, Configuration, Offer
from whisperlab.serve.form import FormFields
from whisperlab.serve.parameters import Wanted, read_parameters
from whisperlab.serve.problems import ApiError


def configuration(name: str, *overrides: str) -> Configuration:
    composed = compose("transcriber", overrides)
    return Configuration(name, {key: composed[key] for key in TRANSCRIBER_KEYS})


OFFER = Offer(
    [
        configuration("default"),
        configuration("english", "model=tiny.en"),
        configuration("fallback", "decode=openai"),
        configuration("plain", "decode.timestamps=none"),
        replay("org/replay"),
    ],
    {"whisper-1": None},
)


def read(task: Task = "transcribe", /, **fields: str | Sequence[str]) -> Wanted:
    return understand(fields, task)


def understand(
    fields: Mapping[str, str | Sequence[str]], task: Task = "transcribe", *, strict: bool = False
) -> Wanted:
    given: dict[str, Sequence[str]] = {"model": ("whisper-1",)}
    for name, value in fields.items():
        given[name] = (value,) if isinstance(value, str) else value
    return read_parameters(given, task, OFFER, inference_seconds=60.0, strict_fields=strict)


def refusal(task: Task = "transcribe", /, **fields: str | Sequence[str]) -> tuple[str, str | None]:
    with pytest.raises(ApiError) as refused:
        understand(fields, task)
    return refused.value.code, refused.value.param


def test_the_least_a_client_sends_is_the_configuration_as_it_was_measured() -> None:
    wanted = read()
    options = OFFER.default.transcriber.options
    assert wanted.configuration is OFFER.default
    assert wanted.response_format == "json"
    assert not wanted.stream
    assert wanted.recipe.segmentation is None
    assert {**vars(wanted.recipe.options), "timeout_seconds": None} == vars(options)
    assert wanted.recipe.options.timeout_seconds == 60.0


def test_a_name_with_a_slash_and_an_alias_find_their_configuration() -> None:
    assert read(model="org/replay").configuration.name == "org/replay"
    assert read(model="whisper-1").configuration.name == "default"


@pytest.mark.parametrize(
    "name", ["", "../../etc/passwd", "openai/whisper-tiny", "dеfault", "m" * 9000]
)
def test_any_other_model_is_not_found(name: str) -> None:
    assert refusal(model=name) == ("model_not_found", "model")


def test_a_missing_model_is_missing() -> None:
    with pytest.raises(ApiError) as refused:
        read_parameters({}, "transcribe", OFFER, inference_seconds=1.0, strict_fields=False)
    assert (refused.value.code, refused.value.param) == ("missing_required_parameter", "model")


def test_a_parameter_sent_twice_is_refused() -> None:
    assert refusal(model=("a", "b")) == ("duplicate_parameter", "model")


def test_languages_are_codes_or_english_names() -> None:
    assert read(language="german").recipe.options.language == "de"
    assert read(language="de").recipe.options.language == "de"
    assert refusal(language="xx") == ("invalid_language", "language")
    assert refusal(language="../../x") == ("invalid_language", "language")
    assert refusal(model="english", language="de") == ("unsupported_value", "language")


def test_what_a_model_cannot_do_is_said_without_the_advice_of_a_command_line() -> None:
    with pytest.raises(ApiError) as refused:
        understand({"model": "english", "language": "de"}, "transcribe")
    said = refused.value.message
    assert said.startswith("This model cannot do what was asked: ")
    assert said.endswith(". Ask for less, or choose another model.")
    assert "; " not in said  # what to do on a command line


def test_a_translation_is_asked_of_a_model_that_can() -> None:
    assert read("translate").recipe.options.task == "translate"
    assert refusal("translate", model="english") == ("unsupported_value", "model")
    assert refusal("translate", language="de") == ("unsupported_value", "language")


def test_temperature_zero_keeps_the_configurations_fallback_and_another_replaces_it() -> None:
    assert len(read(model="fallback", temperature="0.0").recipe.options.temperatures) == 6
    assert read(model="fallback", temperature="0.3").recipe.options.temperatures == (0.3,)


@pytest.mark.parametrize(
    "written", ["NaN", "1e999", "-0.1", "5", "0x1", "inf", "", " 0", "0,5", "1_0", "\u0660"]
)
def test_what_is_no_temperature_is_refused(written: str) -> None:
    assert refusal(temperature=written) == ("invalid_value", "temperature")


def test_formats_and_granularities_are_checked_together() -> None:
    assert refusal(response_format="xml") == ("invalid_value", "response_format")
    assert refusal(response_format="diarized_json") == ("unsupported_value", "response_format")
    assert refusal(timestamp_granularities="word") == (
        "unsupported_value",
        "timestamp_granularities",
    )
    wrong = refusal(response_format="verbose_json", timestamp_granularities="syllable")
    assert wrong == ("invalid_value", "timestamp_granularities")
    both = read(response_format="verbose_json", timestamp_granularities=("word", "segment"))
    assert both.granularities == ("word", "segment")
    assert both.recipe.options.timestamps == "word"
    assert read(response_format="verbose_json").granularities == ("segment",)
    comma = read(response_format="verbose_json", timestamp_granularities="word,segment")
    assert comma.granularities == ("word", "segment")


def test_subtitles_of_a_configuration_without_times_ask_for_times() -> None:
    assert read(model="plain").recipe.options.timestamps == "none"
    assert read(model="plain", response_format="srt").recipe.options.timestamps == "segment"


def test_logprobs_go_with_json_alone() -> None:
    assert read(include="logprobs").recipe.spell
    assert refusal(include="tokens") == ("invalid_value", "include")
    assert refusal(include="logprobs", response_format="text") == ("unsupported_value", "include")


def test_streams_are_of_text() -> None:
    assert read(stream="true").stream
    assert not read(stream="False").stream
    assert refusal(stream="yes") == ("invalid_value", "stream")
    assert refusal(stream="true", response_format="srt") == ("unsupported_value", "response_format")


def test_voice_activity_detection_takes_its_settings_in_brackets_or_as_json() -> None:
    bracketed = understand(
        {
            "chunking_strategy[type]": "server_vad",
            "chunking_strategy[threshold]": "0.4",
            "chunking_strategy[silence_duration_ms]": "250",
        }
    )
    written = read(
        chunking_strategy='{"type": "server_vad", "threshold": 0.4, "silence_duration_ms": 250}'
    )
    expected = SileroVad(
        threshold=0.4,
        min_speech_seconds=0.1,
        min_silence_seconds=0.25,
        padding_seconds=0.3,
        max_seconds=30.0,
    )
    assert bracketed.recipe.segmentation == written.recipe.segmentation == expected
    assert isinstance(read(chunking_strategy="auto").recipe.segmentation, SileroVad)


@pytest.mark.parametrize(
    "fields",
    [
        {"chunking_strategy": "manual"},
        {"chunking_strategy": "[" * 9000},
        {"chunking_strategy": '{"type": "other"}'},
        {"chunking_strategy[threshold]": "0.5"},
        {"chunking_strategy": "auto", "chunking_strategy[type]": "other"},
        {"chunking_strategy[type]": "server_vad", "chunking_strategy[threshold]": "2"},
        {"chunking_strategy[type]": "server_vad", "chunking_strategy[speed]": "2"},
    ],
)
def test_any_other_chunking_is_refused(fields: Mapping[str, str]) -> None:
    with pytest.raises(ApiError) as refused:
        understand(fields)
    assert (refused.value.code, refused.value.param) == ("invalid_value", "chunking_strategy")


def test_speakers_cannot_be_told_apart_and_it_is_said() -> None:
    assert refusal(known_speaker_names="anna") == ("unsupported_value", "known_speaker_names")


def test_unknown_fields_are_named_and_refused_where_strictness_is_asked_for() -> None:
    assert read(evil="1", beem="2").ignored == ("beem", "evil")
    numbered = {"timestamp_granularities[0]": "word", "temperature[a]": "9"}  # as PHP writes lists
    assert understand(numbered).ignored == ("temperature[a]", "timestamp_granularities[0]")
    settings = {"chunking_strategy[type]": "server_vad", "chunking_strategy[threshold]": "0.4"}
    assert understand(settings, strict=True).ignored == ()
    with pytest.raises(ApiError) as refused:
        understand({"evil": "1"}, strict=True)
    assert (refused.value.code, refused.value.param) == ("invalid_value", "evil")


def test_a_speakers_reference_is_unsupported_however_long_it_is() -> None:
    fields = FormFields()
    name = fields.open("known_speaker_references[]")
    with pytest.raises(ApiError) as error:
        fields.put(name, "data:audio/wav;base64," + "A" * 100_000)
    assert (error.value.code, error.value.param) == (
        "unsupported_value",
        "known_speaker_references",
    )
