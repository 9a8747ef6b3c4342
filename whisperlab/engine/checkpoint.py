"""Looks at a Whisper checkpoint's folder before anything in it is loaded.

Owns the checks that make a folder from anywhere safe to hand to a loader: safetensors only, no
remote code, no templates, sizes that fit what the headers and the configuration say. It reads
configuration files and headers, never weights, and does not know where the folder came from.

A safetensors file is 8 bytes of header length (little-endian unsigned), the header, the data::

    {"model.encoder.conv1.bias": {"dtype": "F32", "shape": [384], "data_offsets": [0, 1536]}, ...}

Source: https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import json
import math
import re
import struct
from pathlib import Path
from typing import Any, Final

from whisperlab.errors import ModelError

WEIGHTS: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"

MAX_TEXT_BYTES: Final = 64 * 1024 * 1024
"""For any tokenizer, index or configuration file; openai's largest, tokenizer.json, has 4 MB."""
MAX_HEADER_BYTES: Final = 16 * 1024 * 1024
"""For a safetensors header; whisper-large-v3, the largest Whisper, has 0.2 MB."""

_LENGTH: Final = struct.Struct("<Q")
_ITEM_BITS: Final = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "I16": 16, "U16": 16, "F16": 16,
    "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip
_SHARD_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\.safetensors")
_LAYER: Final = re.compile(r"(encoder|decoder)\.layers\.(\d+)\.")

Shapes = dict[str, tuple[int, ...]]
"""Tensor name, without the leading ``model.``, to its shape."""


def inspect(folder: Path) -> None:
    """Checks that ``folder`` holds a Whisper checkpoint that is safe and whole enough to load.

    Raises:
        ModelError: one line that names the file, what was expected and what came.
    """
    config = _configuration(folder)
    for path in sorted(folder.iterdir()):
        _check_file(path)
    shapes: Shapes = {}
    for path in weight_files(folder):
        shapes.update(tensor_shapes(path))
    _check_shapes(folder, config, shapes)


def weight_files(folder: Path) -> list[Path]:
    """Returns the safetensors files of ``folder``: the single one, or the index's shards.

    Raises:
        ModelError: there are none (``pytorch_model.bin`` and ``.pt`` are pickles: reading one runs
            code), or the index names a file that is missing or outside the folder.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        pickles = sorted(p.name for p in folder.iterdir() if p.suffix in {".bin", ".pt", ".pth"})
        came = f"only {', '.join(pickles)}, which are never unpickled" if pickles else "no weights"
        raise ModelError(
            f"safetensors only: expected {WEIGHTS} or {INDEX} in {folder}, found {came}; "
            "save the model with save_pretrained(..., safe_serialization=True)",
            code="safetensors_only",
        )
    weight_map = _json_object(folder / INDEX).get("weight_map")
    names = set(weight_map.values()) if isinstance(weight_map, dict) and weight_map else {None}
    shards: list[Path] = []
    for name in sorted(names, key=str):
        if not isinstance(name, str) or not _SHARD_NAME.fullmatch(name):
            raise ModelError(
                f"{folder / INDEX}: expected shard names like model-00001-of-00002.safetensors, "
                f"got {str(name)[:80]!r}; download the checkpoint again"
            )
        if not (folder / name).is_file():
            raise ModelError(
                f"{folder / INDEX} names the shard {name}, which is missing; "
                "download the checkpoint again"
            )
        shards.append(folder / name)
    return shards


def tensor_shapes(path: Path) -> Shapes:
    """Returns the shapes that a safetensors header declares, after checking them against the file.

    Reads the header alone, so memory is bounded by ``MAX_HEADER_BYTES`` whatever the file claims.

    Raises:
        ModelError: the file is cut, its header is too long or is no header, or its tensors do not
            fill the data exactly.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        prefix = file.read(_LENGTH.size)
        if len(prefix) < _LENGTH.size:
            raise _damaged(path, f"expected at least {_LENGTH.size} bytes, got {len(prefix)}")
        (length,) = _LENGTH.unpack(prefix)
        room = min(MAX_HEADER_BYTES, size - _LENGTH.size)
        if length > room:
            raise _damaged(path, f"the header claims {length} bytes where {room} are possible")
        raw = file.read(length)
    header = _parsed_object(path, raw)
    data_bytes = size - _LENGTH.size - length
    shapes: Shapes = {}
    spans: list[tuple[int, int]] = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        shape, span = _tensor(path, name, entry)
        shapes[name.removeprefix("model.")] = shape
        spans.append(span)
    end = 0
    for start, stop in sorted(spans):
        if start != end:
            raise _damaged(path, f"a gap or an overlap in the data at byte {end}")
        end = stop
    if end != data_bytes:
        raise _damaged(path, f"its tensors need {end} bytes of data, the file has {data_bytes}")
    return shapes


def _tensor(path: Path, name: str, entry: object) -> tuple[tuple[int, ...], tuple[int, int]]:
    """Returns a header entry's shape and its span of bytes in the data."""
    if isinstance(entry, dict):
        bits = _ITEM_BITS.get(str(entry.get("dtype")))
        shape, span = _counts(entry.get("shape")), _counts(entry.get("data_offsets"))
        if bits is not None and shape is not None and span is not None:
            match span:
                case (start, stop) if math.prod(shape) * bits == (stop - start) * 8:
                    return shape, (start, stop)
    raise _damaged(path, f"tensor {name[:80]!r} has no dtype, shape and offsets that agree")


def _counts(value: object) -> tuple[int, ...] | None:
    """Returns a list of integers that are not negative as a tuple, ``None`` for anything else."""
    if isinstance(value, list) and all(type(n) is int and n >= 0 for n in value):
        return tuple(value)
    return None


def _damaged(path: Path, why: str) -> ModelError:
    return ModelError(
        f"{path} is not a whole safetensors file: {why}; download the checkpoint again",
        code="damaged_checkpoint",
    )


def _configuration(folder: Path) -> dict[str, Any]:
    """Returns ``config.json`` of a Whisper model."""
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(
            f"expected a Whisper checkpoint in {folder}, found no config.json; "
            "give the folder that save_pretrained wrote"
        )
    config = _json_object(path)
    if config.get("model_type") != "whisper":
        raise ModelError(
            f"{path}: expected model_type 'whisper', got {str(config.get('model_type'))[:80]!r}; "
            "only checkpoints of the Whisper family are supported"
        )
    if "quantization_config" in config:
        raise ModelError(
            f"{path} holds a quantization_config; precision comes from quantization=... alone: "
            "give the unquantised checkpoint"
        )
    return config


def _check_file(path: Path) -> None:
    """Refuses what a loader would execute, follow or choke on."""
    if path.name == "adapter_config.json":
        raise ModelError(
            f"{path}: adapters are not supported, they name another model to fetch; "
            "merge the adapter into the model and save that"
        )
    if path.name.startswith("chat_template"):
        raise _template(path)
    if path.suffix not in {".json", ".txt"} or not path.is_file():
        return
    size = path.stat().st_size
    if size > MAX_TEXT_BYTES:
        raise _too_large(path, size)
    if path.name.endswith("config.json"):
        content = _json_object(path)
        if "auto_map" in content:
            raise ModelError(
                f"{path} asks for remote code (auto_map), which is never run; "
                "use a checkpoint that transformers knows by itself",
                code="remote_code_refused",
            )
        if content.get("chat_template") is not None:
            raise _template(path)


def _template(path: Path) -> ModelError:
    return ModelError(
        f"{path} holds a chat_template, a program that no speech recogniser needs; remove it",
        code="remote_code_refused",
    )


def _check_shapes(folder: Path, config: dict[str, Any], shapes: Shapes) -> None:
    """Compares the tensors that fix every dimension with ``config.json``.

    A loader builds the model that the configuration describes before it reads a weight: a lie here
    would cost memory, and a tensor that is missing would stay random.
    """
    width = config.get("d_model")
    expected: dict[str, tuple[object, ...]] = {
        "encoder.conv1.weight": (width, config.get("num_mel_bins"), 3),
        "encoder.embed_positions.weight": (config.get("max_source_positions"), width),
        "decoder.embed_tokens.weight": (config.get("vocab_size"), width),
        "decoder.embed_positions.weight": (config.get("max_target_positions"), width),
        "encoder.layers.0.fc1.weight": (config.get("encoder_ffn_dim"), width),
        "decoder.layers.0.fc1.weight": (config.get("decoder_ffn_dim"), width),
    }
    for name, shape in expected.items():
        if shapes.get(name) != shape:
            raise ModelError(
                f"{folder}: config.json asks for {name} of shape {shape}, "
                f"the weights have {shapes.get(name, 'no such tensor')}; download the checkpoint again",
                code="damaged_checkpoint",
            )
    layers: dict[str, set[int]] = {"encoder": set(), "decoder": set()}
    for name in shapes:
        if match := _LAYER.match(name):
            layers[match[1]].add(int(match[2]))
    for half, numbers in layers.items():
        if config.get(f"{half}_layers") != len(numbers) or max(numbers) != len(numbers) - 1:
            raise ModelError(
                f"{folder}: config.json asks for {str(config.get(f'{half}_layers'))[:80]} {half} "
                f"layers, the weights have {len(numbers)}; download the checkpoint again",
                code="damaged_checkpoint",
            )


def _json_object(path: Path) -> dict[str, Any]:
    """Returns a small JSON file's object; a larger one than ``MAX_TEXT_BYTES`` is not read."""
    size = path.stat().st_size
    if size > MAX_TEXT_BYTES:
        raise _too_large(path, size)
    return _parsed_object(path, path.read_bytes())


def _too_large(path: Path, size: int) -> ModelError:
    return ModelError(
        f"{path}: expected at most {MAX_TEXT_BYTES} bytes for a tokenizer or configuration file, "
        f"got {size}; this is no Whisper checkpoint"
    )


def _parsed_object(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{path}: expected JSON, got {type(error).__name__}: {str(error)[:120]}; "
            "download the checkpoint again",
            code="damaged_checkpoint",
        ) from error
    if not isinstance(content, dict):
        raise ModelError(
            f"{path}: expected a JSON object, got {type(content).__name__}; "
            "download the checkpoint again",
            code="damaged_checkpoint",
        )
    return content
