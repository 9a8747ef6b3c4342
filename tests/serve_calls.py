"""What tests send to a server of the replay engine, and where its processes are."""

from __future__ import annotations

import io
import signal
from contextlib import suppress

import httpx
import psutil
import soundfile
from serve_process import Running
from serve_replay import tone

ROUTE = "/v1/audio/transcriptions"
PATIENCE_SECONDS = 60.0


def wav(number: int, seconds: float = 0.5) -> bytes:
    """The encoded tone with this number."""
    written = io.BytesIO()
    soundfile.write(written, tone(number, seconds).samples, 16_000, format="WAV", subtype="PCM_16")
    return written.getvalue()


def ask(
    running: Running,
    encoded: bytes,
    *,
    key: str | None = None,
    name: str = "upload",
    **fields: str,
) -> httpx.Response:
    return httpx.post(
        running.base_url + ROUTE,
        headers={} if key is None else {"Authorization": f"Bearer {key}"},
        data={"model": "whisper-1", **fields},
        files={"file": (name, encoded, "application/octet-stream")},
        timeout=PATIENCE_SECONDS,
    )


def code(answered: httpx.Response) -> str:
    return str(answered.json()["error"]["code"])


def metric(running: Running, name: str) -> float:
    """The value of a metric, its labels written as they are shown; 0 where it is not shown."""
    for line in httpx.get(f"{running.base_url}/metrics").text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.rpartition(" ")[2])
    return 0.0


def workers(running: Running) -> list[psutil.Process]:
    """The processes that hold engines."""
    found = []
    for child in psutil.Process(running.process.pid).children():
        with suppress(psutil.NoSuchProcess):
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found


def kill(process: psutil.Process) -> None:
    process.send_signal(signal.SIGKILL)
