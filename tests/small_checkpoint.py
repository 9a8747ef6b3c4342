"""A checkpoint folder of a few hundred bytes that passes every look; it cannot be loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

CONFIG: dict[str, Any] = {
    "model_type": "whisper", "d_model": 4, "num_mel_bins": 80, "vocab_size": 6,
    "max_source_positions": 3, "max_target_positions": 5, "encoder_ffn_dim": 7,
    "decoder_ffn_dim": 8, "encoder_layers": 1, "decoder_layers": 2,
}  # fmt: skip
SHAPES = {
    "encoder.conv1.weight": (4, 80, 3),
    "encoder.embed_positions.weight": (3, 4),
    "encoder.layers.0.fc1.weight": (7, 4),
    "decoder.embed_tokens.weight": (6, 4),
    "decoder.embed_positions.weight": (5, 4),
    "decoder.layers.0.fc1.weight": (8, 4),
    "decoder.layers.1.fc1.weight": (8, 4),
}


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def tensors(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    return {f"model.{name}": np.zeros(shape, dtype=np.float32) for name, shape in shapes.items()}


def write_checkpoint(path: Path) -> Path:
    """A configuration and the tensors that it describes."""
    path.mkdir()
    write_json(path / "config.json", CONFIG)
    write_json(path / "tokenizer_config.json", {"model_max_length": 448})
    save_file(tensors(SHAPES), path / "model.safetensors")
    return path
