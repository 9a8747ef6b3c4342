"""CTranslate2 gives the texts of engine hf on the embedded checkpoint, and refuses what it cannot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from whisperlab.audio import Waveform, decode
from whisperlab.config.build import build_transcriber
from whisperlab.config.compose import compose
from whisperlab.device import Device, Quantization
from whisperlab.engine.ctranslate2_engine import Ctranslate2Settings
from whisperlab.engine.hf import HfSettings
from whisperlab.engine.model import EMBEDDED_FOLDER, ModelSpec
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import Engine, SilentWatch
from whisperlab.errors import UnsupportedOptionError
from whisperlab.transcript import Finish, Segment

pytest.importorskip("ctranslate2", reason="the extra ctranslate2 is not installed")

DIGITS = ModelSpec(name="digits", source=str(EMBEDDED_FOLDER / "whisperlab-digits"))
CPU, FLOAT32 = Device("cpu"), Quantization("none")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("converted")


@pytest.fixture(scope="module")
def engine(cache: Path) -> Engine:
    return Ctranslate2Settings(DIGITS, CPU, FLOAT32, threads=1, cache_dir=str(cache)).load()


@pytest.fixture(scope="module")
def reference() -> Engine:
    return HfSettings(DIGITS, CPU, FLOAT32).load()


@pytest.fixture(scope="module")
def strings(test_data: Path) -> list[Waveform]:
    manifest = test_data / "fsdd" / "test_strings.jsonl"
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    spoken = [row for row in rows if row["text"]]
    return [decode(manifest.parent / row["audio_filepath"]) for row in spoken[:12]]


def options(**chosen: Any) -> DecodeOptions:
    return DecodeOptions(**{"language": "en", **chosen})


def texts(engine: Engine, batch: Sequence[Waveform], chosen: DecodeOptions) -> list[str]:
    return [one.text for one in engine.transcribe(batch, chosen, SilentWatch())]


@pytest.mark.parametrize("timestamps", ["none", "segment"])
def test_greedy_texts_are_those_of_hf(
    engine: Engine, reference: Engine, strings: list[Waveform], timestamps: str
) -> None:
    chosen = options(timestamps=timestamps)
    expected = texts(reference, strings, chosen)
    assert texts(engine, strings, chosen) == expected
    assert all(expected)


def test_segments_begin_and_end_where_those_of_hf_do(
    engine: Engine, reference: Engine, strings: list[Waveform]
) -> None:
    ours, theirs = (
        [
            [(segment.start, segment.end, segment.tokens) for segment in one.segments]
            for one in loaded.transcribe(strings[:8], options(), SilentWatch())
        ]
        for loaded in (engine, reference)
    )
    assert ours == theirs


@pytest.mark.parametrize("beam_size", [1, 3])
def test_silence_is_empty_and_its_probability_a_number(
    engine: Engine, reference: Engine, strings: list[Waveform], beam_size: int
) -> None:
    chosen = options(timestamps="none", beam_size=beam_size)
    batch = [strings[0], Waveform(np.zeros(16_000, np.float32)), strings[1]]
    ours, theirs = (one.transcribe(batch, chosen, SilentWatch()) for one in (engine, reference))
    assert [one.text for one in ours] == [one.text for one in theirs]
    assert ours[1].text == ""
    averages = [[one.segments[0].avg_logprob for one in said] for said in (ours, theirs)]
    assert averages[0] == pytest.approx(averages[1], abs=5e-3)


def test_a_long_sound_has_the_text_of_hf(
    engine: Engine, reference: Engine, strings: list[Waveform]
) -> None:
    joined = Waveform(np.concatenate([one.samples for one in strings]))
    assert joined.duration_seconds > 31
    assert texts(engine, [joined], options()) == texts(reference, [joined], options())


def test_a_prompt_reaches_the_decoder(
    engine: Engine, reference: Engine, strings: list[Waveform]
) -> None:
    chosen = options(prompt="one two three")
    assert texts(engine, strings[:6], chosen) == texts(reference, strings[:6], chosen)


def test_the_language_is_detected(
    engine: Engine, reference: Engine, strings: list[Waveform]
) -> None:
    found, expected = (
        [one.language for one in loaded.transcribe(strings[:3], DecodeOptions(), SilentWatch())]
        for loaded in (engine, reference)
    )
    assert found == expected


@pytest.mark.parametrize("cap", [1, 3, 5])
def test_the_cap_counts_the_tokens_of_a_window(
    engine: Engine, strings: list[Waveform], cap: int
) -> None:
    chosen = options(timestamps="none", max_new_tokens=cap)
    said = engine.transcribe(strings[:4], chosen, SilentWatch())
    tokens = [sum(len(segment.tokens) for segment in one.segments) for one in said]
    assert max(tokens) == cap
    cut = [one.finish is Finish.TRUNCATED for one in said]
    assert cut == [count == cap for count in tokens]


def test_a_row_does_not_depend_on_its_neighbours(engine: Engine, strings: list[Waveform]) -> None:
    alone = [texts(engine, [one], options())[0] for one in strings[:6]]
    assert texts(engine, strings[:6], options()) == alone


def test_sampling_repeats_with_its_seed(engine: Engine, strings: list[Waveform]) -> None:
    warm = [options(temperatures=(1.0,), seed=seed) for seed in (1, 1, 2)]
    first, again, other = (texts(engine, strings[:8], chosen) for chosen in warm)
    assert first == again != other


class CancelSecond(SilentWatch):
    """Cancels row 1 and keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    def segment(self, index: int, segment: Segment, final: bool) -> None:
        self.heard.append(index)

    def cancelled(self, index: int) -> bool:
        return index == 1


def test_a_cancelled_row_stops_after_its_window(engine: Engine, strings: list[Waveform]) -> None:
    watch = CancelSecond()
    said = engine.transcribe(strings[:3], options(), watch)
    assert [one.finish for one in said] == [Finish.COMPLETE, Finish.CANCELLED, Finish.COMPLETE]
    assert {0, 2} <= set(watch.heard)


def test_int8_says_digits(cache: Path, strings: list[Waveform]) -> None:
    int8 = Ctranslate2Settings(DIGITS, CPU, Quantization("int8"), threads=1, cache_dir=str(cache))
    words = " ".join(texts(int8.load(), strings[:8], options())).split()
    assert len(words) > 15
    assert len(set(words)) > 5


def test_a_checkpoint_is_converted_once(cache: Path, engine: Engine) -> None:
    del engine
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    Ctranslate2Settings(DIGITS, CPU, FLOAT32, threads=1, cache_dir=str(cache)).load()
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == before
    assert len(before) == 1


def test_what_ctranslate2_cannot_do_is_refused_when_the_configuration_is_built() -> None:
    base = ["engine=ctranslate2", "model=whisperlab-digits"]
    for override, said in (
        ("quantization=bnb_nf4", "it can do: none, float16, bfloat16, int8"),
        ("decode.timestamps=word", "no attention to place words by"),
        ("device=mps", "add device=cpu"),
    ):
        with pytest.raises(UnsupportedOptionError, match=said):
            build_transcriber(compose("transcriber", [*base, override]))


def test_float16_on_a_processor_is_refused_and_not_replaced(cache: Path) -> None:
    half = Ctranslate2Settings(DIGITS, CPU, Quantization("float16"), cache_dir=str(cache))
    with pytest.raises(UnsupportedOptionError, match="cannot compute in float16"):
        half.load()
