"""Our own engines in float32 say what engine=hf says: tokens, times, probabilities, words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest

from whisperlab.audio import Waveform, decode
from whisperlab.config.build import build_transcriber
from whisperlab.config.compose import compose
from whisperlab.device import has_bfloat16
from whisperlab.engine import openvino_engine
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import SilentWatch
from whisperlab.errors import UnsupportedOptionError
from whisperlab.transcriber import Transcriber
from whisperlab.transcript import Finish, Segment, Transcript

pytest.importorskip("openvino", reason="the extra openvino is not installed")

OURS = ("openvino", "torch")
ENGLISH = DecodeOptions(language="en")
FALLBACK = replace(
    ENGLISH,
    timestamps="none",
    max_new_tokens=40,
    temperatures=(0.0, 0.0),
    compression_ratio_threshold=2.0,
    logprob_threshold=-0.3,
)
CASES = {
    "greedy": replace(ENGLISH, timestamps="none"),
    "segments, language detected": DecodeOptions(),
    "beams": replace(ENGLISH, beam_size=5),
    "translation": DecodeOptions(language="de", task="translate"),
    "prompt": replace(ENGLISH, prompt="one two"),
    "words": replace(ENGLISH, timestamps="word"),
    "words of beams": replace(ENGLISH, timestamps="word", beam_size=2),
    "fallback": FALLBACK,
    "silence": replace(ENGLISH, logprob_threshold=-0.01, no_speech_threshold=0.0),
    "silence at the token cap": replace(
        ENGLISH, logprob_threshold=-0.01, no_speech_threshold=0.0, max_new_tokens=2
    ),
    "a cap beyond what the prompt leaves": replace(ENGLISH, prompt="one two", max_new_tokens=444),
}
LONG_CASES = {
    "greedy": ENGLISH,
    "conditioned": replace(ENGLISH, prompt="one two", condition_on_previous_text=True),
    "a cap beyond what the context leaves": replace(
        ENGLISH, condition_on_previous_text=True, max_new_tokens=444
    ),
}


@cache
def loaded(engine: str, quantization: str = "none") -> Transcriber:
    chosen = [f"engine={engine}", "device=cpu", f"quantization={quantization}"]
    built = build_transcriber(compose("transcriber", chosen))
    built.load()
    return built


def said(engine: str, options: DecodeOptions, batch: Sequence[Waveform]) -> list[Transcript]:
    recognitions = loaded(engine).variant(options).recognise(list(batch))
    assert [recognition.error for recognition in recognitions] == [None] * len(batch)
    assert {recognition.batch_size for recognition in recognitions} == {len(batch)}
    return [one.transcript for one in recognitions if one.transcript is not None]


@pytest.fixture(scope="module")
def strings(test_data: Path) -> list[Waveform]:
    """Short strings of digits, each of another length."""
    lines = (test_data / "fsdd" / "test_strings.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    paths = [row["audio_filepath"] for row in rows if row["kind"] == "short"]
    return [decode(test_data / "fsdd" / path) for path in paths[:24]]


@pytest.fixture(scope="module")
def long(strings: list[Waveform]) -> Waveform:
    """Ten of the strings in one, longer than a window."""
    return Waveform(np.concatenate([sound.samples for sound in strings[:10]]))


def check_equality(engine: str, batch: Sequence[Waveform], options: DecodeOptions) -> None:
    expected = reference(options, tuple(batch))
    got = said(engine, options, batch)
    for ours, theirs in zip(got, expected, strict=True):
        assert (ours.text, ours.language, ours.finish) == (
            theirs.text,
            theirs.language,
            theirs.finish,
        )
        for one, other in zip(ours.segments, theirs.segments, strict=True):
            check_segment(one, other)


@cache
def reference(options: DecodeOptions, batch: tuple[Waveform, ...]) -> list[Transcript]:
    return said("hf", options, batch)


def check_segment(one: Segment, other: Segment) -> None:
    assert one.tokens == other.tokens
    assert (one.text, one.temperature) == (other.text, other.temperature)
    assert [attempt.accepted for attempt in one.tries] == [a.accepted for a in other.tries]
    # Two libraries add in different orders: 1e-5 of a logit of 20.
    close = 5e-3
    assert (one.start, one.end) == pytest.approx((other.start, other.end), abs=1e-6)
    assert one.token_logprobs == pytest.approx(other.token_logprobs, abs=close)
    assert one.avg_logprob == pytest.approx(other.avg_logprob, abs=close)
    assert one.no_speech_prob == pytest.approx(other.no_speech_prob, abs=close)
    assert one.compression_ratio == pytest.approx(other.compression_ratio)
    assert [word.text for word in one.words] == [word.text for word in other.words]
    for word, reference in zip(one.words, other.words, strict=True):
        assert word.start == pytest.approx(reference.start, abs=0.021)  # one position
        assert word.end == pytest.approx(reference.end, abs=0.021)
        assert word.probability == pytest.approx(reference.probability, abs=close)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("engine", OURS)
def test_every_way_of_decoding_equals_transformers(
    strings: list[Waveform], engine: str, case: str
) -> None:
    check_equality(engine, strings[:3], CASES[case])


@pytest.mark.parametrize("case", LONG_CASES)
@pytest.mark.parametrize("engine", OURS)
def test_long_form_equals_transformers(
    strings: list[Waveform], long: Waveform, engine: str, case: str
) -> None:
    check_equality(engine, [long], LONG_CASES[case])


@pytest.mark.parametrize("beam_size", [1, 2])
@pytest.mark.parametrize("engine", OURS)
def test_the_first_token_comes_after_the_encoder_and_before_the_text(
    strings: list[Waveform], engine: str, beam_size: int
) -> None:
    began = perf_counter()
    both = said(engine, replace(ENGLISH, beam_size=beam_size), strings[:2])
    wall = perf_counter() - began
    for one in both:
        assert one.first_token_seconds is not None
        # each of two has half of the encoder's seconds for its share
        encoded = one.stages["features"] + 2 * one.stages["encode"]
        assert encoded < one.first_token_seconds < wall


@pytest.mark.parametrize("engine", OURS)
def test_a_short_sound_s_text_does_not_depend_on_its_neighbours(
    strings: list[Waveform], long: Waveform, engine: str
) -> None:
    together = said(engine, ENGLISH, [long, *strings[:4]])
    alone = [said(engine, ENGLISH, [sound])[0] for sound in strings[:4]]
    assert [one.text for one in together[1:]] == [one.text for one in alone]
    tokens = [[segment.tokens for segment in one.segments] for one in together[1:]]
    assert tokens == [[segment.tokens for segment in one.segments] for one in alone]


needs_bfloat16 = pytest.mark.skipif(
    not has_bfloat16(), reason="this processor has no bfloat16; OpenVINO's is refused there"
)


@pytest.mark.parametrize("quantization", [pytest.param("bfloat16", marks=needs_bfloat16), "int8"])
def test_low_precision_says_nearly_the_same(test_data: Path, quantization: str) -> None:
    lines = (test_data / "fsdd" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines][::30]
    sounds = [decode(test_data / "fsdd" / row["audio_filepath"]) for row in rows]
    built = loaded("openvino", quantization).variant(ENGLISH)
    exact = said("openvino", ENGLISH, sounds)
    heard = [one.transcript for one in built.recognise(list(sounds)) if one.transcript]
    assert len(heard) == len(rows)
    assert sum(ours.text == theirs.text for ours, theirs in zip(heard, exact, strict=True)) >= (
        len(rows) - 1
    )
    logprobs = [segment.avg_logprob for one in heard for segment in one.segments]
    assert logprobs != [segment.avg_logprob for one in exact for segment in one.segments]


class StopFirst(SilentWatch):
    """Cancels row 0 at its third question and hears all segments."""

    def __init__(self) -> None:
        self.asked = 0
        self.heard: list[tuple[int, Segment]] = []

    def segment(self, index: int, segment: Segment, final: bool) -> None:
        self.heard.append((index, segment))

    def cancelled(self, index: int) -> bool:
        if index == 0:
            self.asked += 1
        return index == 0 and self.asked > 2


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("engine", OURS)
def test_a_cancelled_row_stops_within_a_step_and_its_neighbour_does_not_notice(
    strings: list[Waveform], engine: str, beams: int
) -> None:
    options = replace(ENGLISH, timestamps="none", beam_size=beams)
    calm = said(engine, options, strings[:2])
    watch = StopFirst()
    recognitions = loaded(engine).variant(options).recognise(list(strings[:2]), watch)
    first, second = (recognition.transcript for recognition in recognitions)
    assert first is not None
    assert second is not None
    assert first.finish is Finish.CANCELLED
    assert len(first.segments[0].tokens) == 3
    assert second.segments == calm[1].segments
    assert {index for index, _ in watch.heard} == {0, 1}
    assert watch.asked == 3


def trimmed(quantization: str = "none") -> Transcriber:
    chosen = ["engine=openvino", "engine.trim=true", f"quantization={quantization}"]
    return build_transcriber(compose("transcriber", chosen))


def test_a_trimmed_window_that_loops_is_redone_at_full_width(strings: list[Waveform]) -> None:
    built = trimmed()
    cut = replace(ENGLISH, timestamps="none", max_new_tokens=3)  # every text runs into the cap
    redone = built.variant(cut).recognise(list(strings[:3]))
    tokens = [one.transcript.segments[0].tokens for one in redone if one.transcript]
    assert tokens == [one.segments[0].tokens for one in said("openvino", cut, strings[:3])]
    assert all(one.timings["redo"] > 0 for one in redone)
    assert "redo" not in built.variant(ENGLISH).recognise(list(strings[:1]))[0].timings


def test_trimmed_windows_end_with_the_sound(strings: list[Waveform], long: Waveform) -> None:
    heard = trimmed().variant(ENGLISH).recognise([strings[0], long])
    for one, sound in zip(heard, (strings[0], long), strict=True):
        assert one.transcript is not None
        assert one.transcript.segments[-1].end <= sound.duration_seconds


def test_what_the_engine_cannot_do_is_refused_when_it_is_built() -> None:
    with pytest.raises(UnsupportedOptionError, match="none, bfloat16, int8"):
        build_transcriber(compose("transcriber", ["engine=openvino", "quantization=float16"]))
    with pytest.raises(UnsupportedOptionError, match="device=cpu"):
        build_transcriber(compose("transcriber", ["engine=openvino", "device=cuda"]))


def test_bfloat16_is_refused_where_openvino_would_take_float32_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openvino_engine, "has_bfloat16", lambda: False)
    built = build_transcriber(compose("transcriber", ["engine=openvino", "quantization=bfloat16"]))
    with pytest.raises(UnsupportedOptionError, match="choose quantization=none or int8"):
        built.load()


@pytest.mark.parametrize("engine", ["openvino", "hf"])
def test_a_language_that_the_checkpoint_does_not_know_is_refused(
    strings: list[Waveform], engine: str
) -> None:
    with pytest.raises(UnsupportedOptionError, match=r"decode\.language=xx"):
        loaded(engine).variant(DecodeOptions(language="xx")).recognise([strings[0]])


@pytest.mark.parametrize(
    ("prompt", "message"), [("one " * 300, "223 tokens"), ("<|endoftext|>", "special token")]
)
def test_a_prompt_that_does_not_fit_or_holds_markers_is_refused(
    strings: list[Waveform], prompt: str, message: str
) -> None:
    with pytest.raises(UnsupportedOptionError, match=message):
        loaded("openvino").variant(DecodeOptions(prompt=prompt)).recognise([strings[0]])
