"""What every variant promises, whichever there are: each yaml of conf/preprocess is found and built."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from whisperlab.audio import Waveform
from whisperlab.preprocess.protocol import Preprocessor

REPOSITORY = Path(__file__).parents[2]
YAMLS = sorted((REPOSITORY / "conf" / "preprocess").glob("*.yaml"))
NOT_VARIANTS = {"__init__", "protocol"}


def content(path: Path) -> dict[str, Any]:
    loaded: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text())
    assert list(loaded) == [path.stem]  # a list group's file puts its content under its own name
    return loaded[path.stem]


def target(path: Path) -> type[Any]:
    module, _, name = str(content(path)["_target_"]).rpartition(".")
    found: type[Any] = getattr(importlib.import_module(module), name)
    return found


def variant(path: Path) -> Preprocessor:
    settings_of = {key: value for key, value in content(path).items() if key != "_target_"}
    built = target(path)(**settings_of)
    assert isinstance(built, Preprocessor)
    return built


VARIANTS = [pytest.param(variant(path), id=path.stem) for path in YAMLS]

RATES_HZ = (4_000, 8_000, 16_000, 22_050, 48_000)


@st.composite
def waveforms(draw: st.DrawFn) -> Waveform:
    """Noise, tones, clicks, offsets and silence, from a quiet 0.003 to full scale, from one sample on."""
    rate_hz = draw(st.sampled_from(RATES_HZ))
    count = draw(st.integers(1, 20) | st.integers(rate_hz // 10, rate_hz))
    kind = draw(st.sampled_from(["noise", "tone", "click", "offset", "silence"]))
    amplitude = draw(st.sampled_from([1.0, 0.3, 0.003, 1e-7]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    samples = np.zeros(count)
    if kind == "noise":
        samples = rng.uniform(-1, 1, count)
    elif kind == "tone":
        samples = np.sin(2 * np.pi * rng.uniform(20, rate_hz / 2) * np.arange(count) / rate_hz)
    elif kind == "click":
        samples[rng.integers(count)] = 1.0
    elif kind == "offset":
        samples[:] = 1.0
    return Waveform(
        (amplitude * samples).astype(np.float32), rate_hz, start=draw(st.sampled_from([0.0, 2.5]))
    )


SILENCE = Waveform(np.zeros(1_600, dtype=np.float32))
FULL_SCALE_SQUARE = Waveform(np.tile([1.0, -1.0], 8_000).astype(np.float32))


def test_every_module_of_the_room_has_its_yaml() -> None:
    modules = {path.stem for path in (REPOSITORY / "whisperlab" / "preprocess").glob("*.py")}
    assert modules - NOT_VARIANTS == {path.stem for path in YAMLS}


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: path.stem)
def test_the_first_line_says_what_it_is(path: Path) -> None:
    assert path.read_text().startswith("# ")


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: path.stem)
def test_an_unknown_setting_is_refused_by_name(path: Path) -> None:
    known = {key: value for key, value in content(path).items() if key != "_target_"}
    with pytest.raises(ValidationError, match="loudnes"):
        target(path)(**known, loudnes=1)


@pytest.mark.parametrize("step", VARIANTS)
@given(waveform=waveforms())
@example(waveform=SILENCE)
@example(waveform=FULL_SCALE_SQUARE)
@settings(max_examples=40, deadline=None)
def test_any_sound_keeps_its_rate_its_place_and_its_type(
    step: Preprocessor, waveform: Waveform
) -> None:
    before = waveform.samples.copy()
    after = step(waveform)
    half_sample = 0.5 / waveform.sample_rate
    assert after.samples.dtype == np.float32
    assert np.isfinite(after.samples).all()
    assert len(after.samples) > 0
    assert after.sample_rate == waveform.sample_rate
    assert after.start >= waveform.start
    assert after.end <= waveform.end + half_sample
    np.testing.assert_array_equal(waveform.samples, before)  # the input is not written to


@pytest.mark.parametrize("step", VARIANTS)
@given(waveform=waveforms())
@settings(max_examples=15, deadline=None)
def test_the_same_sound_gives_the_same_sound(step: Preprocessor, waveform: Waveform) -> None:
    once, twice = step(waveform), step(waveform)
    assert once.start == twice.start
    assert once.samples.tobytes() == twice.samples.tobytes()


@pytest.mark.parametrize("step", VARIANTS)
def test_silence_stays_silent(step: Preprocessor) -> None:
    assert not step(SILENCE).samples.any()


@pytest.mark.parametrize("step", VARIANTS)
@given(start=st.floats(0, 3600), rate_hz=st.sampled_from(RATES_HZ))
@settings(max_examples=15, deadline=None)
def test_sound_inside_stays_where_it_is_in_the_source(
    step: Preprocessor, start: float, rate_hz: int
) -> None:
    # a burst of some 0.1 s at 0.5 s of one second; its place is the centre of its energy
    seconds = np.arange(rate_hz) / rate_hz
    burst = np.exp(-0.5 * ((seconds - 0.5) / 0.02) ** 2) * np.cos(2 * np.pi * 1_000 * seconds)
    after = step(Waveform((0.5 * burst).astype(np.float32), rate_hz, start=start))
    energy = after.samples.astype(np.float64) ** 2
    centre = after.start + float(np.average(np.arange(len(energy)), weights=energy)) / rate_hz
    # a first difference delays by half a sample
    assert centre == pytest.approx(start + 0.5, abs=0.0002 + 0.5 / rate_hz)
