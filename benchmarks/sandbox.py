"""What the sandbox adds to decoding: the same clips decoded in process and in a sandboxed child.

    python benchmarks/sandbox.py [--rounds 40] [--hour]

Rounds are interleaved (in process, sandbox, in process, ...), so that a busy machine slows both.
Wall is the median of a round; CPU is the mean of a round, parent and child together.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import resource
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import psutil
import soundfile
import soxr

from whisperlab.audio import AudioLimits, decode
from whisperlab.audio.sandbox import DecodeSandbox

CLIPS = {  # name: source rate in Hz, container, subtype
    "wav": (16_000, "WAV", "PCM_16"),
    "flac": (44_100, "FLAC", "PCM_16"),
    "mp3": (44_100, "MP3", None),
    "opus": (48_000, "OGG", "OPUS"),
}
CLIP_SECONDS = 10
HOUR_SECONDS = 3_600
HOUR_ROUNDS = 3


@dataclass
class Cost:
    """Wall seconds of every round, and CPU seconds of all."""

    wall: list[float] = field(default_factory=list)
    cpu: float = 0.0

    def row(self) -> str:
        """Returns ``wall | CPU`` of a round in milliseconds."""
        return f"{1000 * statistics.median(self.wall):.1f} | {1000 * self.cpu / len(self.wall):.1f}"


def clip(name: str, seconds: int) -> bytes:
    """Returns encoded sound: seeded noise with the slope of speech, -20 dB."""
    rate, container, subtype = CLIPS[name]
    noise = np.random.default_rng(0).standard_normal(seconds * 8_000).astype(np.float32)
    smooth = np.convolve(noise, np.hanning(8).astype(np.float32), mode="same")
    samples = soxr.resample(0.1 * smooth / smooth.std(), 8_000, rate)
    written = io.BytesIO()
    with soundfile.SoundFile(
        written, "w", rate, 1, format=container, subtype=subtype
    ) as file:  # in pieces: libsndfile's Opus encoder overflows its stack otherwise
        for start in range(0, len(samples), rate):
            file.write(samples[start : start + rate])
    return written.getvalue()


def own_cpu() -> float:
    """CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def children_cpu() -> float:
    """CPU seconds of the decoders so far."""
    return sum(sum(child.cpu_times()[:2]) for child in psutil.Process().children())


def measure(call: Callable[[bytes], object], encoded: bytes, cost: Cost) -> None:
    """Adds one round."""
    cpu, started = own_cpu(), perf_counter()
    call(encoded)
    cost.wall.append(perf_counter() - started)
    cost.cpu += own_cpu() - cpu


def compare(sandbox: DecodeSandbox, encoded: bytes, rounds: int) -> str:
    """Returns a table row for one clip."""
    here, there = Cost(), Cost()
    for _ in range(2):  # warm
        decode(encoded)
        sandbox.decode(encoded)
    before = children_cpu()
    for _ in range(rounds):
        measure(decode, encoded, here)
        measure(sandbox.decode, encoded, there)
    there.cpu += children_cpu() - before
    added = statistics.median(there.wall) - statistics.median(here.wall)
    return f"{here.row()} | {there.row()} | {1000 * added:+.1f}"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--hour", action="store_true", help="one hour of WAV as well")
    chosen = parser.parse_args()
    started = perf_counter()
    with DecodeSandbox(workers=1, limits=AudioLimits()) as sandbox:
        print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        print(f"start of one decoder: {perf_counter() - started:.2f} s\n")
        print("| clip | in process: wall ms | CPU ms | sandbox: wall ms | CPU ms | added wall ms |")
        print("|---|---|---|---|---|---|")
        for name in CLIPS:
            row = compare(sandbox, clip(name, CLIP_SECONDS), chosen.rounds)
            print(f"| {CLIP_SECONDS} s {name} | {row} |", flush=True)
        if chosen.hour:
            row = compare(sandbox, clip("wav", HOUR_SECONDS), HOUR_ROUNDS)
            print(f"| 1 h wav | {row} |")


if __name__ == "__main__":
    main()
