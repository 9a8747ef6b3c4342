"""Calls of the page's endpoints, and the server's answer for the same sound."""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import httpx
import numpy as np
import soundfile
from gradio_client import Client, handle_file
from serve_process import Running

from whisperlab.audio import Samples

DEMO = Path(__file__).parents[1] / "whisperlab" / "dataset" / "demo"
CLIP = DEMO / "digits-02.flac"
TEXT = "five two"
ROUTE = "/v1/audio/transcriptions"
PATIENCE_SECONDS = 60.0


def served(page: Running, path: Path, **fields: str) -> httpx.Response:
    """The server's answer for the same sound, from the same process."""
    data = {"model": "default", **fields}
    answer = httpx.post(page.base_url + ROUTE, data=data, files={"file": path.read_bytes()}, timeout=60.0)  # fmt: skip
    answer.raise_for_status()
    return answer


def transcribe(client: Client, path: Path, name: str = "default", **fields: Any) -> Any:
    return client.predict(handle_file(path), name=name, api_name="/transcribe", **fields)


def pieces(samples: Samples, seconds: float = 0.4, rate_hz: int = 16_000) -> Iterator[str]:
    """A recording as the page's microphone sends it."""
    step = round(seconds * rate_hz)
    for start in range(0, len(samples), step):
        written = io.BytesIO()
        with wave.open(written, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(rate_hz)
            sound.writeframes((samples[start : start + step] * 32767).astype("<i2").tobytes())
        yield base64.b64encode(written.getvalue()).decode()


def long_silence(path: Path, seconds: float) -> Path:
    soundfile.write(path, np.zeros(round(seconds * 16_000), dtype=np.int16), 16_000)
    return path


def in_engine(running: Running, **headers: str) -> float:
    metrics = httpx.get(f"{running.base_url}/metrics", headers=headers, timeout=60.0).text
    counts = [line.rpartition(" ")[2] for line in metrics.splitlines() if "in_engine{" in line]
    return sum(map(float, counts))


@contextmanager
def no_traceback(running: Running) -> Iterator[None]:
    """Fails if the process wrote a traceback meanwhile."""
    before = running.log.stat().st_size
    yield
    written = running.log.read_bytes()[before:].decode()
    assert "Traceback" not in written, written[-3000:]


def until(true: Callable[[], object], seconds: float, what: str) -> None:
    end = perf_counter() + seconds
    while not true():
        assert perf_counter() < end, what
        sleep(0.02)
