"""Checkpoints for peers.py: one set of weights, in the form that each peer reads.

Owns the random checkpoint whose texts have an exact length, and the conversions to CTranslate2,
whisper.cpp and OpenVINO GenAI. A checkpoint of one's own is converted by the same functions.

**Texts of an exact length.** The direction u of the embedding space means "the text ends": it is
<|endoftext|>'s embedding, no other token has a part in it, and the position embeddings hold it with
a minus sign before the wanted length and with a plus sign from there on. Tokens that are no words
(letters, languages, timestamps) have a zero embedding, below the best word. So every engine, in
every precision, greedy or with beams, ends by itself after the same number of words, without a cap
that each engine counts in its own way.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from peer_engines import PROMPT_TOKENS

ROOT = Path(__file__).resolve().parents[1]
LETTERS = 256
PULL = 3000.0
"""How strongly a position says whether the text ends; the layers write vectors of 700 to 4,000."""

GENAI_PACKAGES = ("optimum-intel[openvino]>=1.25", "openvino-tokenizers", "transformers<5.6")
"""optimum-intel does not know the transformers that whisperlab needs: a venv of its own."""


def random_checkpoint(folder: Path, size: str, n_tokens: int) -> Path:
    """Returns a checkpoint of ``size`` whose every text has ``n_tokens`` words; written once."""
    if (folder / "model.safetensors").is_file():
        return folder
    sys.path.insert(0, str(ROOT / "tests"))
    from random_whisper import TEXT_TOKENS, save_random_whisper
    from safetensors.numpy import load_file, save_file

    save_random_whisper(folder, size)
    weights = load_file(folder / "model.safetensors")
    tokens = weights["model.decoder.embed_tokens.weight"]
    positions = weights["model.decoder.embed_positions.weight"]
    end = np.random.default_rng(0).standard_normal(tokens.shape[1]).astype(np.float32)
    end -= end.mean()  # the last layer norm takes the mean away
    end /= np.linalg.norm(end)
    tokens -= np.outer(tokens @ end, end)
    tokens[:LETTERS] = 0.0
    tokens[TEXT_TOKENS:] = 0.0
    tokens[TEXT_TOKENS] = 4.0 * end  # above every word, whose embeddings have norms of 1 to 1.4
    last = PROMPT_TOKENS - 1 + n_tokens
    positions[:last] -= PULL * end
    positions[last:] += PULL * end
    # A word of its own at every position: a text that repeats one word would be taken for a loop.
    words = np.random.default_rng(1).integers(LETTERS, TEXT_TOKENS, len(positions))
    said = tokens[words]
    positions += PULL * said / np.linalg.norm(said, axis=1, keepdims=True)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def ctranslate2_folder(checkpoint: Path, folder: Path) -> Path:
    """Returns the checkpoint as CTranslate2 reads it, in float32; the engine quantises on loading."""
    if not (folder / "model.bin").is_file():
        from ctranslate2.converters import TransformersConverter

        copied = [
            name
            for name in ("tokenizer.json", "preprocessor_config.json")
            if (checkpoint / name).is_file()
        ]
        TransformersConverter(str(checkpoint), copy_files=copied).convert(str(folder), force=True)
        # CTranslate2 knows a multilingual vocabulary by its empty token, the last before the specials.
        names = json.loads((folder / "vocabulary.json").read_text())
        names[names.index("<|endoftext|>") - 1] = ""
        (folder / "vocabulary.json").write_text(json.dumps(names))
    return folder


def genai_folder(checkpoint: Path, folder: Path, weight_format: str, venv_folder: Path) -> Path:
    """Returns the checkpoint as OpenVINO GenAI reads it, exported by optimum-intel."""
    if not (folder / "openvino_detokenizer.xml").is_file():
        program = venv_folder / "bin" / "optimum-cli"
        if not program.is_file():
            venv.create(venv_folder, with_pip=True)
            pip = [str(venv_folder / "bin" / "python"), "-m", "pip"]
            subprocess.run([*pip, "install", "-q", *GENAI_PACKAGES], check=True)
            # It comes built for CUDA beside a torch for processors, and then cannot be imported.
            subprocess.run([*pip, "uninstall", "-q", "-y", "torchvision"], check=True)
        export = [str(program), "export", "openvino", "--model", str(checkpoint)]
        task = ["--task", "automatic-speech-recognition-with-past"]
        subprocess.run([*export, *task, "--weight-format", weight_format, str(folder)], check=True)
    return folder


_GGML_MAGIC = 0x67676D6C
_Q8_BLOCK = 32
_TYPES = {"f32": 0, "f16": 1, "q8_0": 8}
_FILE_TYPES = {"f16": 1, "q8_0": 2007}
"""1: mostly f16; 2007: mostly q8_0 in the second version of the quantised layouts."""
_NAMES = (
    ("model.", ""),
    ("layers", "blocks"),
    ("encoder_attn.k_proj", "cross_attn.key"),
    ("encoder_attn.q_proj", "cross_attn.query"),
    ("encoder_attn.v_proj", "cross_attn.value"),
    ("encoder_attn.out_proj", "cross_attn.out"),
    ("encoder_attn_layer_norm", "cross_attn_ln"),
    ("self_attn.k_proj", "attn.key"),
    ("self_attn.q_proj", "attn.query"),
    ("self_attn.v_proj", "attn.value"),
    ("self_attn.out_proj", "attn.out"),
    ("self_attn_layer_norm", "attn_ln"),
    ("final_layer_norm", "mlp_ln"),
    ("fc1", "mlp.0"),
    ("fc2", "mlp.2"),
    ("encoder.layer_norm", "encoder.ln_post"),
    ("decoder.layer_norm", "decoder.ln"),
    ("embed_positions.weight", "positional_embedding"),
    ("embed_tokens", "token_embedding"),
)


def ggml_file(checkpoint: Path, path: Path, kind: str) -> Path:
    """Returns the checkpoint as whisper.cpp reads it; ``kind`` is ``f16`` or ``q8_0``.

    Source: whisper.cpp ``models/convert-h5-to-ggml.py`` and ``examples/quantize``.
    """
    if path.is_file():
        return path
    from safetensors.numpy import load_file

    from whisperlab.engine.log_mel import mel_filters

    config = json.loads((checkpoint / "config.json").read_text())
    weights = load_file(checkpoint / "model.safetensors")
    with path.with_suffix(".part").open("wb") as file:
        names = (
            "vocab_size", "max_source_positions", "d_model", "encoder_attention_heads",
            "encoder_layers", "max_target_positions", "d_model", "decoder_attention_heads",
            "decoder_layers", "num_mel_bins",
        )  # fmt: skip
        file.write(struct.pack("<I10i", _GGML_MAGIC, *(config[name] for name in names)))
        filters = mel_filters(config["num_mel_bins"]).astype("<f4")
        file.write(struct.pack("<3i", _FILE_TYPES[kind], *filters.shape))
        file.write(filters.tobytes())
        spelled = list(_spelled(checkpoint))
        file.write(struct.pack("<i", len(spelled)))
        for content in spelled:
            file.write(struct.pack("<i", len(content)) + content)
        for name, values in weights.items():
            if name != "proj_out.weight":
                _write_tensor(file, name, values, kind)
    path.with_suffix(".part").rename(path)
    return path


def _spelled(checkpoint: Path) -> Iterator[bytes]:
    """Yields the bytes of every text token in the order of the ids."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    byte_of = {character: byte for byte, character in bytes_to_unicode().items()}
    vocabulary = json.loads((checkpoint / "tokenizer.json").read_text())["model"]["vocab"]
    for token, _ in sorted(vocabulary.items(), key=lambda item: int(item[1])):
        if not token.startswith("<|"):
            yield bytes(byte_of[character] for character in token)


def _write_tensor(file: object, name: str, values: NDArray[np.float32], kind: str) -> None:
    for theirs, ours in _NAMES:
        name = name.replace(theirs, ours)
    if name in ("encoder.conv1.bias", "encoder.conv2.bias"):
        values = values[:, None]
    small = values.ndim < 2 or name.endswith(("positional_embedding", ".bias"))
    stored = "f32" if small else kind if values.ndim == 2 else "f16"
    content = {"f32": _f32, "f16": _f16, "q8_0": _q8_0}[stored](values)
    head = struct.pack("<3i", values.ndim, len(name.encode()), _TYPES[stored])
    shape = struct.pack(f"<{values.ndim}i", *reversed(values.shape))
    file.write(head + shape + name.encode() + content)  # type: ignore[attr-defined]


def _f32(values: NDArray[np.float32]) -> bytes:
    return values.astype("<f4").tobytes()


def _f16(values: NDArray[np.float32]) -> bytes:
    return values.astype("<f2").tobytes()


def _q8_0(values: NDArray[np.float32]) -> bytes:
    """Blocks of 32 values: their scale in float16, then 32 int8."""
    blocks = values.astype(np.float32).reshape(-1, _Q8_BLOCK)
    scales = np.abs(blocks).max(axis=1, keepdims=True) / 127.0
    inverse = np.divide(1.0, scales, out=np.zeros_like(scales), where=scales > 0)
    packed = np.empty((len(blocks), 2 + _Q8_BLOCK), np.uint8)
    packed[:, :2] = scales.astype("<f2").view(np.uint8)
    packed[:, 2:] = np.rint(blocks * inverse).astype(np.int8).view(np.uint8)
    return packed.tobytes()
