"""Our server with the replay engine, which knows the clips that the conformance checks send."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serve_process import running_server

from whisperlab.audio import decode
from whisperlab.conformance.server import CLIP
from whisperlab.conformance.sounds import LONG_STEP_SECONDS, LONG_STEPS, long_sound
from whisperlab.engine.replay import record
from whisperlab.transcript import Segment, Transcript, Word

INFERENCE_SECONDS = 2.0
"""Beyond it 504: a sound of 200 s, at 10 ms a second of sound."""
TEXT = "five eight six nine"
# 0.6196 and 2.0005 s are written 620 and 2000 or 2001 ms: cutting off shows.
SAID = Transcript(
    TEXT,
    "en",
    (
        Segment(
            0.0, 1.6196, " five eight", (50_364, 1732, 3180, 50_444), -0.25, 0.01, 0.75, 0.0,
            (Word(0.0, 0.8, "five"), Word(0.8, 1.6, "eight")),
        ),
        Segment(
            1.6196, 3.4776, " six nine", (50_444, 2309, 4949, 50_537), -0.25, 0.01, 0.75, 0.0,
            (Word(1.62, 2.4, "six"), Word(2.4, 3.47, "nine")),
        ),
    ),
)  # fmt: skip
LONG = Transcript(
    " ".join(["digits"] * LONG_STEPS),
    "en",
    tuple(
        Segment(step * LONG_STEP_SECONDS, (step + 1) * LONG_STEP_SECONDS, " digits")
        for step in range(LONG_STEPS)
    ),
)


@dataclass(frozen=True)
class Keyed:
    """A running server, two keys that open it, and the recording that it plays back.

    ``limited_key`` may ask once a minute.
    """

    base_url: str
    key: str
    limited_key: str
    recording: Path


def _new_key(keys: Path, name: str, *limits: str) -> str:
    command = [sys.executable, "-m", "whisperlab.serve.keys", "create", name, "--file", str(keys)]
    made = subprocess.run([*command, *limits], capture_output=True, text=True, check=True)
    return made.stdout.strip()


@contextmanager
def conforming_server(folder: Path) -> Iterator[Keyed]:
    """Starts it with a key; a second of sound takes 10 ms."""
    known = folder / "recording.jsonl"
    lines = [record(decode(CLIP), SAID), record(decode(long_sound()), LONG)]
    known.write_text("\n".join(lines) + "\n", encoding="utf-8")
    keys = folder / "keys.json"
    key = _new_key(keys, "test")
    limited_key = _new_key(keys, "limited", "--requests-per-minute", "1")
    with running_server(
        folder,
        "engine=replay",
        f"engine.path={known}",
        f"engine.default_text='{TEXT}'",
        "engine.seconds_per_audio_second=0.01",
        f"serve.keys_file={keys}",
        f"serve.limits.inference_seconds={INFERENCE_SECONDS}",
    ) as running:
        yield Keyed(f"{running.base_url}/v1", key, limited_key, known)
