"""The least time that a run's work can take on its machine: rates measured, work counted.

Owns the measurement and the counting. It does not know how a stage is shown.

The encoder is bound by arithmetic, a step of the decoder by the way of its numbers through memory:
all weights once a step, and once a row the keys and values of its window. Both are floors: no
program on this machine, in this precision, with this batch, can be below.

Source: Williams, Waterman, Patterson 2009, "Roofline"; layer sizes as Radford et al. 2022, 2.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, Final

from whisperlab.device import QuantizationName, ResolvedKind
from whisperlab.engine.model import ModelSpec
from whisperlab.engine.model import resolve as resolve_model
from whisperlab.engine.whisper_shape import Shape, read_shape
from whisperlab.experiment.result import Floor
from whisperlab.experiment.timing import emitted_tokens
from whisperlab.utterance import Outcome

MATRIX: Final[dict[ResolvedKind, int]] = {"cpu": 1536, "cuda": 8192, "mps": 2048}
"""Side of the square matrices whose product is timed."""

COPIED_BYTES: Final[dict[ResolvedKind, int]] = {"cpu": 1 << 27, "cuda": 1 << 30, "mps": 1 << 28}
"""More than any cache holds."""

TRIES: Final = 5
"""The fastest counts: others' work only ever slows one down."""

WINDOW_SECONDS: Final = 30.0

WEIGHT_BYTES: Final[dict[QuantizationName, float]] = {
    "none": 4, "float16": 2, "bfloat16": 2, "int8": 1, "dynamic_int8": 1, "bnb_int8": 1,
    "bnb_nf4": 0.5, "bnb_fp4": 0.5,
}  # fmt: skip
"""Bytes of a weight on its way through memory."""

MEMORY_BYTES: Final[dict[QuantizationName, int]] = {"none": 4, "dynamic_int8": 4}
"""Bytes of a key or value; 2 in the other precisions."""

PER_ENCODER_LAYER: Final = 12
"""Weights of a layer in squares of the width: 4 of attention, 8 of the two linear layers."""

PER_DECODER_LAYER: Final = 14
"""Those read at every step: the same, and 2 of cross attention; its keys and values wait."""


def measured_floor(
    model: ModelSpec,
    kind: ResolvedKind,
    quantization: QuantizationName,
    batch_size: int,
    outcomes: Sequence[Outcome],
) -> Floor | None:
    """Returns the floor of a finished run's stages; ``None`` where its engine tells no encoder time."""
    heard = [item for item in outcomes if "encode" in item.timings and item.audio_seconds]
    if not heard:
        return None
    windows = sum(max(1, math.ceil((item.audio_seconds or 0) / WINDOW_SECONDS)) for item in heard)
    operations, bytes_ = _rates(kind, quantization)
    shape = read_shape(resolve_model(model))
    stages = {
        "encode": windows * encoder_operations(shape) / operations,
        "decode_tokens": decoder_bytes(
            shape, emitted_tokens(heard) or 0, batch_size, quantization
        ) / bytes_,
    }  # fmt: skip
    return Floor(operations, bytes_, stages)


def encoder_operations(shape: Shape) -> int:
    """Returns additions and multiplications of one window, the window's keys and values included.

    >>> tiny = Shape(384, 80, 4, 6, 4, 6, 1500, 448, 51865, 7)
    >>> round(encoder_operations(tiny) / 1e9, 1)
    38.6
    """
    width, positions = shape.width, shape.source_positions
    layer = PER_ENCODER_LAYER * width**2 + 2 * positions * width
    window = 2 * width**2
    return 2 * positions * (shape.encoder_layers * layer + shape.decoder_layers * window)


def decoder_bytes(
    shape: Shape, tokens: int, batch_size: int, quantization: QuantizationName
) -> float:
    """Returns the bytes that ``tokens`` written ``batch_size`` at a time bring through memory."""
    layers = shape.decoder_layers
    weights = layers * PER_DECODER_LAYER * shape.width**2 + shape.vocabulary * shape.width
    window = layers * 2 * shape.source_positions * shape.width
    a_step = weights * WEIGHT_BYTES[quantization]
    return tokens * (a_step / batch_size + window * MEMORY_BYTES.get(quantization, 2))


def _rates(kind: ResolvedKind, quantization: QuantizationName) -> tuple[float, float]:
    """Returns operations and bytes a second; halves are multiplied where the run's precision does."""
    import torch

    exact = quantization in MEMORY_BYTES
    dtype = torch.float32 if exact else torch.float16 if kind == "mps" else torch.bfloat16
    side, size = MATRIX[kind], COPIED_BYTES[kind]
    matrix = torch.ones(side, side, dtype=dtype, device=kind)
    source = torch.ones(size, dtype=torch.uint8, device=kind)
    target = torch.empty_like(source)
    product = _fastest(lambda: matrix @ matrix, kind)
    return 2 * side**3 / product, 2 * size / _fastest(lambda: target.copy_(source), kind)


def _fastest(work: Callable[[], Any], kind: ResolvedKind) -> float:
    import torch

    taken = []
    for _ in range(TRIES):
        started = perf_counter()
        work()
        if kind != "cpu":
            torch.accelerator.synchronize()
        taken.append(perf_counter() - started)
    return min(taken)
