"""The wire examples and the loaded engine that the tests of engine=remote share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from openai_peer import Answer, Peer, running_peer

from whisperlab.audio import Waveform
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import RowsFailedError, SilentWatch
from whisperlab.engine.remote import RemoteSettings
from whisperlab.engine.remote_engine import RemoteEngine
from whisperlab.errors import (
    WhisperlabError,
)
from whisperlab.transcript import Transcript

NONE = DecodeOptions(timestamps="none")

VERBOSE: dict[str, Any] = {
    "task": "transcribe",
    "language": "english",
    "duration": 1.0,
    "text": "One two. Three.",
    "segments": [
        {
            "id": 0, "seek": 0, "start": 0.0, "end": 0.62, "text": " One two.",
            "tokens": [50364, 1485, 732, 13, 50395], "temperature": 0.0, "avg_logprob": -0.25,
            "compression_ratio": 0.75, "no_speech_prob": 0.01,
        },
        {
            "id": 1, "seek": 0, "start": 0.62, "end": 1.0, "text": " Three.",
            "tokens": [50395, 6244, 13, 50414], "temperature": 0.0, "avg_logprob": -0.25,
            "compression_ratio": 0.75, "no_speech_prob": 0.01,
        },
    ],
    "usage": {"type": "duration", "seconds": 1},
}  # fmt: skip
WORDS = [
    {"word": "One", "start": 0.0, "end": 0.3},
    {"word": "two.", "start": 0.3, "end": 0.64},  # ends beyond its segment, as Whisper's do
    {"word": "Three.", "start": 0.64, "end": 1.0},
]


def refusal(code: str, message: str = "no") -> dict[str, Any]:
    return {"error": {"message": message, "type": "t", "param": None, "code": code}}


def tone(hertz: float = 440.0, seconds: float = 0.5) -> Waveform:
    times = np.arange(int(16_000 * seconds)) / 16_000
    return Waveform((0.5 * np.sin(2 * np.pi * hertz * times)).astype(np.float32))


@contextmanager
def loaded(*answers: Answer, **settings: Any) -> Iterator[tuple[RemoteEngine, Peer]]:
    with running_peer(answers) as peer:
        engine = RemoteSettings(base_url=peer.base_url, **settings).load()
        peer.asked.clear()
        yield engine, peer


def one(engine: RemoteEngine, options: DecodeOptions = DecodeOptions()) -> Transcript:  # noqa: B008
    (transcript,) = engine.transcribe([tone()], options, SilentWatch())
    return transcript


def failed_row(engine: RemoteEngine) -> WhisperlabError:
    with pytest.raises(RowsFailedError) as raised:
        one(engine)
    (error,) = raised.value.results
    assert isinstance(error, WhisperlabError)
    return error
