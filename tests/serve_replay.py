"""Configurations of the replay engine for the server's tests: real processes, no weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from whisperlab.audio import Waveform
from whisperlab.config.compose import compose
from whisperlab.engine.replay import record
from whisperlab.serve.configurations import TRANSCRIBER_KEYS, Configuration
from whisperlab.transcript import Segment, Transcript


def tone(number: int, seconds: float = 0.5) -> Waveform:
    """Returns a sound that no other number gives, its samples exact in 16 bits."""
    times = np.arange(round(seconds * 16_000)) / 16_000
    wave = np.rint(8_000 * np.sin(2 * np.pi * (200 + 10 * number) * times))
    return Waveform((wave / 32_768).astype(np.float32))


def spoken(words: Sequence[str], seconds: float = 0.5) -> Transcript:
    """Returns a transcript with one segment a word."""
    step = seconds / max(1, len(words))
    segments = tuple(Segment(n * step, (n + 1) * step, f" {word}") for n, word in enumerate(words))
    return Transcript(" ".join(words), "en", segments)


def recording(path: Path, transcripts: Mapping[int, Transcript]) -> Path:
    """Writes the transcripts of the tones with these numbers."""
    lines = [record(tone(number), said) for number, said in transcripts.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def replay(name: str = "default", *overrides: str) -> Configuration:
    """Returns a configuration of the replay engine."""
    return configuration(name, "engine=replay", *overrides)


def configuration(name: str, *overrides: str) -> Configuration:
    """Returns a configuration of any engine."""
    composed: Mapping[str, Any] = compose("transcriber", list(overrides))
    return Configuration(name, {key: composed[key] for key in TRANSCRIBER_KEYS})
