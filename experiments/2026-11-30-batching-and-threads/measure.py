"""CPU and wall milliseconds a clip by engine, threads and batch size, and whether the texts stay the same.

    python experiments/2026-11-30-batching-and-threads/measure.py --manifest test_strings.jsonl --output OUT

A process for each engine and number of threads holds the engine and hears the clips in batches of 1,
8, 32, 32, 8, 1, after a warm-up of each, so that what else the machine does falls on all of them. Writes OUT/passes.jsonl, a line a pass; prints the table.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

BATCHES = (1, 8, 32)
SETUPS = (("hf", 1), ("hf", 2), ("openvino", 1), ("openvino", 2))
CLIPS = 32


def clips(manifest: Path) -> list[Path]:
    """Returns the files of a seeded sample of the manifest."""
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    return [manifest.parent / row["audio_filepath"] for row in random.Random(0).sample(rows, CLIPS)]


def hear(engine: str, threads: int, manifest: Path, output: Path) -> None:
    """Measures one engine with ``threads`` in this process; adds its lines to ``output``."""
    from whisperlab.config.build import build_transcriber
    from whisperlab.config.compose import compose

    own = [f"engine.threads={threads}"] if engine == "openvino" else []  # torch reads OMP_NUM_THREADS
    transcriber = build_transcriber(
        compose("transcriber", ["device=cpu", f"engine={engine}", "decode.language=en", *own])
    )
    files = clips(manifest)
    for batch in BATCHES:
        transcriber.recognise(files[:batch])
    for batch in (*BATCHES, *reversed(BATCHES)):
        wall, cpu, texts = perf_counter(), process_time(), []
        for first in range(0, len(files), batch):
            for heard in transcriber.recognise(files[first : first + batch]):
                if heard.transcript is None:
                    raise SystemExit(f"{engine}, batch {batch}: {heard.error}")
                texts.append(heard.transcript.text)
        line = {
            "engine": engine, "threads": threads, "batch": batch, "load": os.getloadavg()[0],
            "wall_ms": 1000 * (perf_counter() - wall) / len(files),
            "cpu_ms": 1000 * (process_time() - cpu) / len(files),
            "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "texts": texts,
        }  # fmt: skip
        with output.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def table(output: Path) -> str:
    """Returns the medians of all passes; texts are compared with hf, one thread, one by one."""
    passes = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    expected = next(p["texts"] for p in passes if (p["engine"], p["threads"], p["batch"]) == ("hf", 1, 1))
    lines = ["| engine | threads | batch | CPU ms a clip | least to most | wall ms a clip | other texts |", "|---|---|---|---|---|---|---|"]
    for engine, threads in SETUPS:
        for batch in BATCHES:
            own = [p for p in passes if (p["engine"], p["threads"], p["batch"]) == (engine, threads, batch)]
            cpu = [p["cpu_ms"] for p in own]
            other = max(sum(a != b for a, b in zip(p["texts"], expected, strict=True)) for p in own)
            lines.append(
                f"| {engine} | {threads} | {batch} | {median(cpu):.0f} | {min(cpu):.0f} to {max(cpu):.0f} "
                f"| {median(p['wall_ms'] for p in own):.0f} | {other} of {len(expected)} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Runs the processes in turn, or one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--only", nargs=2, metavar=("ENGINE", "THREADS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    passes = given.output / "passes.jsonl"
    if given.only:
        hear(given.only[0], int(given.only[1]), given.manifest, passes)
        return
    for engine, threads in SETUPS:
        command = [sys.executable, __file__, "--manifest", str(given.manifest), "--output", str(given.output)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        subprocess.run([*command, "--only", engine, str(threads)], env=environment, check=True)
    print(table(passes))


if __name__ == "__main__":
    main()
