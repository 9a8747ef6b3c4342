"""A server of its own for a benchmark, recordings to send, and clients that ask at the same time."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import httpx
import numpy as np
import psutil

FIELDS = {"model": "whisper-1", "language": "en"}
ROUTE = "/v1/audio/transcriptions"
SEED = 20261124


@dataclass(frozen=True)
class Server:
    """A running server."""

    base_url: str
    process: subprocess.Popen[str]


@contextmanager
def server(*overrides: str) -> Iterator[Server]:
    """Starts a server and waits until it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "whisperlab.serve", "port=0", "serve.log_level=warning", *overrides],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    base_url = next(line.split()[-1] for line in process.stdout if line.startswith("listening"))
    while httpx.get(f"{base_url}/health/ready").status_code != 200:
        time.sleep(0.2)
    try:
        yield Server(base_url, process)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(60)


def recordings(data: Path, count: int) -> list[bytes]:
    """Returns the encoded bytes of ``count`` different recordings."""
    found: list[bytes] = []
    for name in ("test.jsonl", "test_strings.jsonl"):
        for line in (data / name).read_text().splitlines():
            row = json.loads(line)
            if row.get("text"):
                found.append((data / row["audio_filepath"]).read_bytes())
    random.Random(SEED).shuffle(found)
    return found[:count]


async def ask(client: httpx.AsyncClient, sound: bytes) -> tuple[int, str, float]:
    """Returns status, text and seconds of one request."""
    started = perf_counter()
    answered = await client.post(ROUTE, data=FIELDS, files={"file": sound})
    text = answered.json()["text"] if answered.status_code == 200 else answered.text
    return answered.status_code, text, perf_counter() - started


async def all_of(
    base_url: str, sounds: Sequence[bytes], concurrency: int
) -> list[tuple[int, str, float]]:
    """Returns what became of each sound, ``concurrency`` of them under way at a time."""
    places = asyncio.Semaphore(concurrency)
    limits = httpx.Limits(max_connections=concurrency)
    async with httpx.AsyncClient(base_url=base_url, timeout=900, limits=limits) as client:

        async def one(sound: bytes) -> tuple[int, str, float]:
            async with places:
                return await ask(client, sound)

        return await asyncio.gather(*(one(sound) for sound in sounds))


def quantile(values: Sequence[float], share: float) -> float:
    """Returns the quantile of the values, in their unit."""
    return float(np.quantile(values, share)) if values else float("nan")


def cpu_seconds(process: subprocess.Popen[str]) -> float:
    """Returns the CPU seconds of a server and its living children."""
    parent = psutil.Process(process.pid)
    times = [one.cpu_times() for one in (parent, *parent.children(recursive=True))]
    return sum(t.user + t.system for t in times)


def batches(running: Server) -> tuple[float, float]:
    """Returns how many batches the server's engine has had, and how many sounds in them."""
    lines = httpx.get(f"{running.base_url}/metrics").text.splitlines()
    kinds = ("whisperlab_batch_size_count", "whisperlab_batch_size_sum")
    count, total = (
        sum(float(line.split()[-1]) for line in lines if line.startswith(kind)) for kind in kinds
    )
    return count, total
