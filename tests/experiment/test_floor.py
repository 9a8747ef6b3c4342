"""The floor of a run: counted work by hand, rates that are rates, figures in words and signs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from whisperlab.config.build import validate
from whisperlab.config.compose import compose
from whisperlab.engine.model import ModelSpec
from whisperlab.engine.whisper_shape import Shape
from whisperlab.experiment.floor import decoder_bytes, encoder_operations, measured_floor
from whisperlab.experiment.result import Floor, Latency, Speed
from whisperlab.report.floor import rates_line, stage_lines
from whisperlab.study import evaluate
from whisperlab.transcript import Segment
from whisperlab.utterance import Outcome, State

SMALL = Shape(
    width=4, n_mels=80, encoder_layers=2, encoder_heads=1, decoder_layers=3, decoder_heads=1,
    source_positions=10, target_positions=8, vocabulary=7, filter_width=7,
)  # fmt: skip
DIGITS = validate(ModelSpec, compose("transcriber")["model"], "model")


def outcome(seconds: float, timings: dict[str, float], tokens: int) -> Outcome:
    said = Segment(0.0, 1.0, " one", tokens=(1,) * tokens)
    return Outcome("a", State.OK, "one", "one", segments=(said,), audio_seconds=seconds,
                   timings=timings)  # fmt: skip


def test_operations_of_a_window_by_hand() -> None:
    layer = 12 * 16 + 2 * 10 * 4  # projections and feed-forward; scores and what they weigh
    assert encoder_operations(SMALL) == 2 * 10 * (2 * layer + 3 * 2 * 16)


@pytest.mark.parametrize(("precision", "weight", "memory"), [("none", 4, 4), ("int8", 1, 2)])
def test_bytes_of_tokens_by_hand(precision: str, weight: int, memory: int) -> None:
    weights = 3 * 14 * 16 + 7 * 4
    window = 3 * 2 * 10 * 4
    expected = 6 * (weights * weight / 2 + window * memory)
    assert decoder_bytes(SMALL, 6, 2, precision) == expected  # type: ignore[arg-type]


def test_windows_and_tokens_make_the_floor() -> None:
    one = outcome(10.0, {"encode": 1.0, "decode_tokens": 1.0}, tokens=5)
    three = outcome(61.0, {"encode": 1.0, "decode_tokens": 1.0}, tokens=10)
    first = measured_floor(DIGITS, "cpu", "none", 1, [one])
    second = measured_floor(DIGITS, "cpu", "none", 1, [three])
    assert first is not None
    assert second is not None
    for found in (first, second):
        assert found.operations_per_second > 1e8
        assert found.bytes_per_second > 1e8
    work = {f.stages["encode"] * f.operations_per_second for f in (first, second)}
    assert max(work) == pytest.approx(3 * min(work))
    moved = [f.stages["decode_tokens"] * f.bytes_per_second for f in (first, second)]
    assert moved[1] == pytest.approx(2 * moved[0])


def test_an_engine_that_tells_no_stages_has_no_floor() -> None:
    assert measured_floor(DIGITS, "cpu", "none", 1, [outcome(10.0, {"total": 1.0}, 5)]) is None


def test_the_bar_is_as_solid_as_the_floor_is_high() -> None:
    speed = Speed(1.0, 1, Latency(None, None, None, 0), None, {"encode": 2.0, "read": 1.0, "total": 3.0},
                  resumed=False, floor=Floor(2e9, 3e9, {"encode": 1.0}))  # fmt: skip
    encode, read = stage_lines(speed)
    assert encode == ("encode", "█" * 12 + "░" * 12 + " 2.00 s, floor 1.00 s (50.00 %)")
    assert read == ("read", "░" * 12 + " 1.00 s")
    assert stage_lines(replace(speed, floor=None)) == []
    assert rates_line(Floor(2e9, 3e9, {})).startswith("floors at 2 GFLOP/s and 3.0 GB/s")


def test_a_run_that_profiles_its_stages_stays_above_its_floor(tmp_path: Path) -> None:
    run = evaluate("dataset.subset=2", "latency_utterances=0", "profile_stages=true",
                   "resamples=100", "device=cpu", run_dir=tmp_path / "run")  # fmt: skip
    speed = run.scores.speed
    assert speed.floor is not None
    assert 0 < speed.floor.stages["encode"] < 2 * speed.stages["encode"]
    assert "The dark part is the least" in run.report.read_text(encoding="utf-8")
    assert "GFLOP/s" in run._repr_html_()
