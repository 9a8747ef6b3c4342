"""Engines that jobs share: loaded once for equal settings, let go when there are too many."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from whisperlab.audio import Waveform
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import Watch
from whisperlab.errors import ConfigError
from whisperlab.experiment.loaded_engines import LoadedEngines
from whisperlab.segmentation.whole import WholeUtterance
from whisperlab.transcriber import Transcriber
from whisperlab.transcript import Transcript

SOUND = Waveform(np.zeros(8_000, dtype=np.float32))


@dataclasses.dataclass
class Named:
    """Settings that count how often they are loaded; the engine says its settings' name."""

    name: str
    loads: list[str] = dataclasses.field(compare=False, repr=False)
    sample_rate: int = 16_000

    def check(self, options: DecodeOptions) -> None:
        return None

    def load(self) -> Named:
        self.loads.append(self.name)
        return self

    def transcribe(
        self, batch: Sequence[Waveform], options: DecodeOptions, watch: Watch
    ) -> list[Transcript]:
        return [Transcript(self.name) for _ in batch]


def transcriber(name: str, loads: list[str]) -> Transcriber:
    return Transcriber(engine=Named(name, loads), segmentation=WholeUtterance())


def say(engines: LoadedEngines, one: Transcriber) -> str:
    engines.share(one)
    return one.transcribe(SOUND).text


def test_jobs_with_equal_settings_load_once() -> None:
    loads: list[str] = []
    engines = LoadedEngines(keep=1)
    assert [say(engines, transcriber("a", loads)) for _ in range(3)] == ["a"] * 3
    assert loads == ["a"]


def test_the_engine_used_longest_ago_goes_first_and_comes_back_when_asked() -> None:
    loads: list[str] = []
    engines = LoadedEngines(keep=2)
    jobs = {name: transcriber(name, loads) for name in "abc"}
    said = [say(engines, jobs[name]) for name in "abacab"]
    assert said == list("abacab")
    # a, b; a again is there; c drives out b; a is still there; b must be loaded anew.
    assert loads == ["a", "b", "c", "b"]


def test_an_engine_of_other_settings_is_not_taken_over() -> None:
    with pytest.raises(ConfigError, match="expected an engine with the settings"):
        transcriber("a", []).share_engine(transcriber("b", []))
