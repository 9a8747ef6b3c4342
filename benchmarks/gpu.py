"""Whisper on a GPU, side by side, against what the chip allows.

    python benchmarks/gpu.py --output OUT                                  # the whole table, on a GPU
    python benchmarks/gpu.py --sizes large-v3-turbo --batches 1 32 128 --output OUT
    python benchmarks/gpu.py --device cpu --sizes tiny --batches 1 2 --rows torch hf --tokens 8 --output OUT

Random weights of the real sizes whose every text has ``--tokens`` words (peer_checkpoints.py), which
is asserted; 30 s windows; greedy. Every row has a process of its own, so that memory is its own: what
the GPU holds more than before the row's model was loaded, with what its allocator keeps; one that
fails, dies or takes more than ``--limit`` seconds is "not run", with the reason. A cell is the median of
``--rounds`` after two that warm up, compile and record. Latency is comparable in the rows of batch 1:
in the others the engine has been made for windows of that batch. The floor comes from the same machine
in the same run: the rate of a large matrix product and of a copy, and from them the time that the
windows' arithmetic and the weights' way through memory must take. Writes OUT/gpu.md and OUT/gpu.json
after every row; without a GPU the table says so instead of numbers.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peer_checkpoints import ctranslate2_folder, random_checkpoint
from peer_engines import RATE_HZ, Clips
from peers import clips_of, machine

WINDOW_SECONDS = 30.0
SHORT_SECONDS = 10.0
MATRIX = {"cuda": 8192, "cpu": 1024}
"""Side of the square matrices whose product is timed."""
COPIED_BYTES = {"cuda": 1 << 30, "cpu": 1 << 26}
PRECISION = {"cuda": "bfloat16", "cpu": "none"}
TEXT_MARK = "w"
"""Every word of the random checkpoint begins with it."""
WARM_UPS = 2
"""Rounds that do not count: torch.compile runs a graph once, records it then, and plays it from the third on."""
STAGES = ("features", "encode", "decode_tokens")
"""What engines of ours tell of their time, as far as they know it."""


@dataclass(frozen=True)
class Cell:
    """One row at one batch: seconds a batch of windows, one short clip alone, bytes."""

    size: str
    row: str
    batch: int
    seconds: float
    short_seconds: float
    peak_bytes: int | None
    stages: dict[str, float]
    """Seconds of the last batch by stage, of engines that tell them."""


@dataclass(frozen=True)
class Missing:
    """A row that gave no figure, and why."""

    size: str
    row: str
    batch: int
    reason: str


@dataclass(frozen=True)
class Rates:
    """What the machine does at most, measured: multiply-adds as two operations, bytes a second."""

    operations: float
    bytes: float


@dataclass(frozen=True)
class Floor:
    """The least seconds of a batch: of the encoder's products, of the decoder's way through memory."""

    encoder: float
    decoder: float


Transcribe = Callable[[Clips], tuple[list[str], dict[str, float]]]
"""Texts, and seconds by stage where they are known."""


def ours(engine: str, precision: str | None = None) -> Callable[[Path, str], Transcribe]:
    """Returns what loads an engine of whisperlab."""

    def load(checkpoint: Path, device: str) -> Transcribe:
        from whisperlab.audio import Waveform
        from whisperlab.config.build import build_transcriber
        from whisperlab.config.compose import compose

        chosen = [
            f"engine={engine}", f"device={device}", f"model.source={checkpoint}",
            "model.revision=null", f"quantization={precision or PRECISION[device]}",
            "decode.language=en", "decode.timestamps=none",
        ]  # fmt: skip
        transcriber = build_transcriber(compose("transcriber", chosen))
        transcriber.load()

        def transcribe(clips: Clips) -> tuple[list[str], dict[str, float]]:
            found = transcriber.recognise([Waveform(clip) for clip in clips])
            texts = [one.transcript.text if one.transcript else str(one.error) for one in found]
            known = {stage for stage in STAGES for one in found if stage in one.timings}
            return texts, {
                stage: sum(one.timings.get(stage, 0.0) for one in found) for stage in known
            }

        return transcribe

    return load


def transformers(*, static: bool) -> Callable[[Path, str], Transcribe]:
    """Returns what loads ``generate``: as shipped, or with a static cache and ``torch.compile``.

    With these its features are computed on the GPU too.
    """

    def load(checkpoint: Path, device: str) -> Transcribe:
        import torch
        from transformers import WhisperForConditionalGeneration, WhisperProcessor

        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        model = WhisperForConditionalGeneration.from_pretrained(checkpoint, dtype=dtype)
        model = model.to(device).eval()
        processor = WhisperProcessor.from_pretrained(checkpoint)
        if static:
            model.generation_config.cache_implementation = "static"
            model.forward = torch.compile(model.forward, mode="reduce-overhead", fullgraph=True)

        def transcribe(clips: Clips) -> tuple[list[str], dict[str, float]]:
            where = {"device": device} if static else {}
            inputs = processor(list(clips), sampling_rate=RATE_HZ, return_tensors="pt", **where)
            features = inputs["input_features"].to(device, dtype)
            with torch.inference_mode():
                tokens = model.generate(features, language="en", task="transcribe", num_beams=1)
            texts: list[str] = processor.batch_decode(tokens, skip_special_tokens=True)
            return texts, {}

        return transcribe

    return load


def faster_whisper(checkpoint: Path, device: str) -> Transcribe:
    """Loads faster-whisper's batched pipeline."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    folder = ctranslate2_folder(checkpoint, checkpoint.with_name(f"{checkpoint.name}-ct2"))
    kind = "bfloat16" if device == "cuda" else "float32"
    pipeline = BatchedInferencePipeline(WhisperModel(str(folder), device=device, compute_type=kind))

    def transcribe(clips: Clips) -> tuple[list[str], dict[str, float]]:
        ends = np.cumsum([len(clip) for clip in clips]) / RATE_HZ
        spans = [{"start": end - len(clip) / RATE_HZ, "end": end}
                 for clip, end in zip(clips, ends.tolist(), strict=True)]  # fmt: skip
        segments, _ = pipeline.transcribe(
            np.concatenate(clips), language="en", beam_size=1, temperature=0.0,
            without_timestamps=True, clip_timestamps=spans, batch_size=len(clips),
        )  # fmt: skip
        return [segment.text for segment in segments], {}

    return transcribe


ROWS: dict[str, Callable[[Path, str], Transcribe]] = {
    "transformers": transformers(static=False),
    "transformers compiled": transformers(static=True),
    "faster-whisper": faster_whisper,
    "hf": ours("hf"),
    "torch": ours("torch"),
    "torch int8": ours("torch", "int8"),
}


def measure(
    talk: Connection, row: str, checkpoint: Path, given: dict[str, Any], batch: int
) -> None:
    """Sends a Cell's figures, or the reason why there are none: what a row's process does."""
    try:
        talk.send(_measured(row, checkpoint, given, batch))
    except Exception as error:  # noqa: BLE001 - a peer may fail in any way; the table says how
        line = traceback.format_exception_only(error)[-1]
        talk.send(" ".join(line.split())[:160])


def _measured(row: str, checkpoint: Path, given: dict[str, Any], batch: int) -> tuple[Any, ...]:
    import torch

    def free() -> int | None:
        # Of the whole GPU: CTranslate2 does not allocate through torch.
        return torch.cuda.mem_get_info()[0] if given["device"] == "cuda" else None

    before = free()
    transcribe = ROWS[row](checkpoint, given["device"])
    windows = clips_of(None, WINDOW_SECONDS, batch)
    short = clips_of(None, SHORT_SECONDS, 1)
    seconds, stages = _median(transcribe, windows, given)
    short_seconds, _ = _median(transcribe, short, given)
    after = free()
    held = None if before is None or after is None else before - after
    return seconds, short_seconds, held, stages


def _median(
    transcribe: Transcribe, clips: list[NDArray[np.float32]], given: dict[str, Any]
) -> tuple[float, dict[str, float]]:
    taken = []
    for _ in range(WARM_UPS + given["rounds"]):
        started = perf_counter()
        texts, stages = transcribe(clips)
        taken.append(perf_counter() - started)
        words = {text.count(TEXT_MARK) for text in texts}
        if len(texts) != len(clips) or words != {given["tokens"]}:
            raise ValueError(
                f"expected {len(clips)} texts of {given['tokens']} words, got {len(texts)} of "
                f"{sorted(words)}: {texts[0][:80]}"
            )
    return statistics.median(taken[WARM_UPS:]), stages


def rates(device: str) -> Rates:
    """Measures a large product in the rows' precision, and a copy."""
    import torch

    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    side = MATRIX[device]
    matrix = torch.randn(side, side, device=device, dtype=dtype)
    source = torch.empty(COPIED_BYTES[device], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    product = _fastest(lambda: matrix @ matrix, device)
    copy = _fastest(lambda: target.copy_(source), device)
    return Rates(2 * side**3 / product, 2 * len(source) / copy)


def _fastest(work: Callable[[], Any], device: str) -> float:
    import torch

    taken = []
    for _ in range(10):
        started = perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        taken.append(perf_counter() - started)
    return min(taken)


def floor_of(checkpoint: Path, batch: int, n_tokens: int, reached: Rates, width: int) -> Floor:
    """Returns the least time of a batch: products of the encoder, bytes of the decoder's steps.

    A layer of the encoder multiplies ``12 width^2 + 2 positions * width`` times a position; a step
    of the decoder reads its weights once and each window's keys and values. ``width`` is the bytes
    of a number.
    """
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    channels, positions = config["d_model"], config["max_source_positions"]
    a_position = config["encoder_layers"] * (12 * channels**2 + 2 * positions * channels)
    a_position += config["decoder_layers"] * 2 * channels**2  # keys and values of the window
    encoder = 2 * batch * positions * a_position / reached.operations
    weights = config["decoder_layers"] * 14 * channels**2 + config["vocab_size"] * channels
    windows = batch * config["decoder_layers"] * 2 * positions * channels
    return Floor(encoder, n_tokens * width * (weights + windows) / reached.bytes)


def table(cells: Sequence[Cell | Missing], floors: dict[tuple[str, int], Floor]) -> str:
    """Returns the table in markdown, and behind it that of the stages."""
    lines = [
        "| checkpoint | row | batch | RTFx | share of the floor | 10 s alone, ms | MiB held |",
        f"|{'---|' * 7}",
    ]
    staged = [
        "| checkpoint | row | batch | features, ms | encoder, ms | its floor | decoder, ms | its floor |",
        f"|{'---|' * 8}",
    ]
    for cell in cells:
        begin = f"| {cell.size} | {cell.row} | {cell.batch} |"
        if isinstance(cell, Missing):
            lines.append(f"{begin} not run | – | – | {cell.reason} |")
            continue
        factor = cell.batch * WINDOW_SECONDS / cell.seconds
        floor = floors[cell.size, cell.batch]
        share = (floor.encoder + floor.decoder) / cell.seconds
        held = "–" if cell.peak_bytes is None else f"{cell.peak_bytes / 2**20:,.0f}"
        lines.append(
            f"{begin} {factor:,.0f} | {share:.0%} | {1000 * cell.short_seconds:.0f} | {held} |"
        )
        if cell.stages:
            taken = [1000 * cell.stages.get(stage, 0.0) for stage in STAGES]
            staged.append(
                f"{begin} {taken[0]:.0f} | {taken[1]:.0f} | {1000 * floor.encoder:.0f} | "
                f"{taken[2]:.0f} | {1000 * floor.decoder:.0f} |"
            )
    return "\n".join([*lines, "", "A batch by stage:", "", *staged])


def run_row(
    row: str, checkpoint: Path, size: str, batch: int, given: dict[str, Any]
) -> Cell | Missing:
    """Returns what a fresh process measured."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=measure, args=(there, row, checkpoint, given, batch))
    child.start()
    there.close()
    found: Any = f"not finished within {given['limit']:g} s"
    try:
        if here.poll(given["limit"]):
            found = here.recv()
    except EOFError:
        child.join()
        found = f"its process died ({child.exitcode}; out of memory?)"
    child.kill()
    child.join()
    here.close()
    if isinstance(found, str):
        return Missing(size, row, batch, found)
    return Cell(size, row, batch, *found)


def main() -> None:
    """Measures what is asked for and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--sizes", nargs="+", default=["small", "large-v3-turbo", "large-v3"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16, 64, 128, 256])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--limit", type=float, default=1800.0, help="seconds a row may take at a batch"
    )
    parser.add_argument("--device", choices=MATRIX, default="cuda")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    import torch

    if given.device == "cuda" and not torch.cuda.is_available():
        content = f"{machine()}.\n\nNot run: this machine has no CUDA device.\n"
        (given.output / "gpu.md").write_text(content, encoding="utf-8")
        print(content)
        return
    reached = rates(given.device)
    if given.device == "cuda":
        torch.cuda.empty_cache()  # the rows' processes are to have the memory
    name = torch.cuda.get_device_name() if given.device == "cuda" else "the processor"
    head = (
        f"{machine()}, on {name}: {reached.operations / 1e9:,.0f} GFLOP/s and "
        f"{reached.bytes / 1e9:.0f} GB/s measured in this run; {given.tokens} tokens a 30 s window, "
        f"medians of {given.rounds} rounds."
    )
    cells: list[Cell | Missing] = []
    floors: dict[tuple[str, int], Floor] = {}
    asked = {key: getattr(given, key) for key in ("device", "rounds", "tokens", "limit")}
    for size in given.sizes:
        checkpoint = random_checkpoint(given.output / size, size, given.tokens)
        for batch in given.batches:
            width = 2 if given.device == "cuda" else 4
            floors[size, batch] = floor_of(checkpoint, batch, given.tokens, reached, width)
            for row in given.rows:
                cells.append(run_row(row, checkpoint, size, batch, asked))
                print(cells[-1], flush=True)
                written(given.output, head, reached, cells, floors)
    print((given.output / "gpu.md").read_text(encoding="utf-8"))


def written(
    folder: Path,
    head: str,
    reached: Rates,
    cells: Sequence[Cell | Missing],
    floors: dict[tuple[str, int], Floor],
) -> None:
    """Writes what is known so far: a later row may take the machine with it."""
    content = f"{head}\n\n{table(cells, floors)}\n"
    (folder / "gpu.md").write_text(content, encoding="utf-8")
    stored = {"rates": asdict(reached), "cells": [asdict(cell) for cell in cells]}
    (folder / "gpu.json").write_text(json.dumps(stored, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
