"""Deltas put together are the last event's text and the plain answer's: with the real model, every way."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from serve_calls import ROUTE, ask
from serve_process import Running, running_server

from whisperlab.audio import SAMPLE_RATE_HZ, decode

DEMO = Path(__file__).parents[2] / "whisperlab" / "dataset" / "demo"
WAYS = {
    "plain": {},
    "by voice activity": {"chunking_strategy": "auto"},
    "with word times": {"response_format": "verbose_json", "timestamp_granularities[]": "word"},
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("streams")
    with running_server(folder, "decode.language=en", "serve.limits.decoders=1") as started:
        yield started


def flac(*parts: np.ndarray[tuple[int], np.dtype[np.float32]]) -> bytes:
    written = io.BytesIO()
    soundfile.write(written, np.concatenate(parts), SAMPLE_RATE_HZ, format="FLAC")
    return written.getvalue()


def silence(seconds: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), dtype=np.float32)


def clip() -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    samples = decode(DEMO / "digits-00.flac").samples
    return samples.reshape(len(samples))


def streamed(running: Running, encoded: bytes, fields: dict[str, str]) -> tuple[list[str], str]:
    """Returns the deltas and the text of the last event."""
    deltas, text = [], ""
    with httpx.stream(
        "POST", running.base_url + ROUTE, timeout=120, files={"file": encoded},
        data={"model": "whisper-1", "stream": "true", **fields},
    ) as response:  # fmt: skip
        assert response.status_code == 200
        for line in response.iter_lines():
            if line:
                event = json.loads(line.removeprefix("data: "))
                if event["type"] == "transcript.text.delta":
                    deltas.append(event["delta"])
                else:
                    text = event["text"]
    return deltas, text


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "sound",
    ["speech", "silence", pytest.param("35 s of both", marks=pytest.mark.slow)],
)
def test_deltas_are_the_text_and_the_text_is_the_plain_answers(
    running: Running, way: str, sound: str
) -> None:
    encoded = {
        "speech": lambda: flac(clip()),
        "silence": lambda: flac(silence(2.0)),
        "35 s of both": lambda: flac(clip(), silence(14.0), clip(), silence(14.0), clip()),
    }[sound]()
    deltas, text = streamed(running, encoded, WAYS[way])
    assert "".join(deltas) == text == ask(running, encoded, **WAYS[way]).json()["text"]
    assert bool(text) is (sound != "silence")
