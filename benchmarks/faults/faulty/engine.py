"""An engine that misbehaves at some utterances, as weights, kernels and plug-ins do.

Owns the faults and the sounds by which it knows an utterance: number n is half a second and n samples long. A
plug-in as anybody's: ``conf/engine/faulty.yaml`` by ``--config-dir``, trusted by its name.
"""

from __future__ import annotations

import ctypes
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import soundfile
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.audio import SAMPLE_RATE_HZ, Waveform
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import Watch
from whisperlab.errors import InferenceError, OutOfMemoryError
from whisperlab.transcript import Finish, Segment, Transcript

SHORTEST = SAMPLE_RATE_HZ // 2
EATEN = 64 << 20


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class FaultySettings:
    """``fault`` happens at the utterances ``at``; ``once``: only while that file is missing."""

    fault: str = "none"
    at: Annotated[list[int], Field(max_length=1000)] = Field(default_factory=list)
    seconds: float = 0.0
    once: Annotated[Path, Field(strict=False)] | None = None
    model: object = None
    device: object = None
    quantization: object = None

    def check(self, options: DecodeOptions) -> None:
        """Takes every option."""

    def load(self) -> FaultyEngine:
        """Returns the engine."""
        return FaultyEngine(self)


class FaultyEngine:
    """Says "number n" of utterance n, unless it is one of those."""

    sample_rate = SAMPLE_RATE_HZ

    def __init__(self, settings: FaultySettings) -> None:
        self._settings = settings

    def transcribe(
        self, batch: Sequence[Waveform], options: DecodeOptions, watch: Watch
    ) -> list[Transcript]:
        """Returns what was said, or misbehaves."""
        if self._settings.fault == "memory" and len(batch) > 1:
            raise OutOfMemoryError(f"{len(batch)} sounds are too many")
        return [self._one(row, sound, watch) for row, sound in enumerate(batch)]

    def _one(self, row: int, sound: Waveform, watch: Watch) -> Transcript:
        time.sleep(self._settings.seconds)
        number = len(sound.samples) - SHORTEST
        if number in self._settings.at and self._due():
            return getattr(self, f"_{self._settings.fault}")(row, watch)
        return _said(f"number {number}")

    def _due(self) -> bool:
        marker = self._settings.once
        if marker is None:
            return True
        if marker.exists():
            return False
        marker.touch()
        return True

    def _none(self, row: int, watch: Watch) -> Transcript:
        return _said("as it should be")

    _memory = _none

    def _raise(self, row: int, watch: Watch) -> Transcript:
        raise RuntimeError("a plug-in's own mistake")

    def _hang(self, row: int, watch: Watch) -> Transcript:
        while not watch.cancelled(row):
            time.sleep(0.01)
        return Transcript("", finish=Finish.CANCELLED)

    def _eat(self, row: int, watch: Watch) -> Transcript:
        eaten = []
        while True:
            eaten.append(np.ones(EATEN, dtype=np.uint8))

    def _nan(self, row: int, watch: Watch) -> Transcript:
        raise InferenceError("the logits are not numbers", code="non_finite_logits")

    def _loop(self, row: int, watch: Watch) -> Transcript:
        return _said("over and over " * 60)

    def _silence(self, row: int, watch: Watch) -> Transcript:
        return Transcript("")

    def _segfault(self, row: int, watch: Watch) -> Transcript:
        ctypes.string_at(0)
        raise AssertionError


def _said(text: str) -> Transcript:
    return Transcript(text, segments=(Segment(0.0, 0.5, f" {text}"),))


def write_manifest(folder: Path, count: int, sounds: int) -> Path:
    """Writes ``count`` utterances over ``sounds`` files of different length; returns the manifest."""
    folder.mkdir(exist_ok=True)
    for number in range(sounds):
        times = np.arange(SHORTEST + number) / SAMPLE_RATE_HZ
        samples = 0.3 * np.sin(2 * np.pi * 440 * times)
        soundfile.write(folder / f"{number}.wav", samples, SAMPLE_RATE_HZ)
    manifest = folder / "manifest.jsonl"
    with manifest.open("w", encoding="utf-8") as file:
        for number in range(count):
            which = number % sounds
            entry = {"id": f"u{number:06}", "audio": f"{which}.wav", "text": f"number {which}"}
            file.write(json.dumps(entry) + "\n")
    return manifest
