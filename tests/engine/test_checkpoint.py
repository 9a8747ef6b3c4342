from __future__ import annotations

import pickle
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file
from small_checkpoint import CONFIG, SHAPES, tensors, write_checkpoint, write_json

from whisperlab.engine.checkpoint import (
    MAX_HEADER_BYTES,
    MAX_TEXT_BYTES,
    inspect,
    tensor_shapes,
    weight_files,
)
from whisperlab.errors import ModelError


class Canary:
    """Unpickling it creates the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "checkpoint")


def refusal(folder: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        inspect(folder)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 5
    return caught.value


def test_weights_saved_without_the_outer_prefix_pass_too(folder: Path) -> None:
    bare = {name.removeprefix("model."): value for name, value in tensors(SHAPES).items()}
    save_file(bare, folder / "model.safetensors")
    inspect(folder)


def test_what_transformers_saves_passes_whole_and_in_shards(tmp_path: Path) -> None:
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    config = WhisperConfig(
        vocab_size=64, d_model=16, encoder_layers=2, decoder_layers=3, encoder_ffn_dim=32,
        decoder_ffn_dim=24, encoder_attention_heads=2, decoder_attention_heads=2,
        max_source_positions=20, max_target_positions=12, pad_token_id=0, bos_token_id=1,
        eos_token_id=2, decoder_start_token_id=3,
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config)
    model.save_pretrained(tmp_path / "whole")
    model.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    for name in ("whole", "shards"):
        inspect(tmp_path / name)
    assert len(weight_files(tmp_path / "shards")) > 1


# --- what is in the folder -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth"])
def test_a_pickle_is_refused_and_never_unpickled(folder: Path, tmp_path: Path, name: str) -> None:
    canary = tmp_path / "canary"
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Canary(canary)))
    error = refusal(folder)
    assert str(error).startswith("safetensors only")
    assert name in str(error)
    assert not canary.exists()
    with (folder / name).open("rb") as file:
        pickle.load(file).close()
    assert canary.exists()  # so the canary would have told


@pytest.mark.parametrize("model_type", ["wav2vec2", None, 5, ["whisper"]])
def test_another_family_is_refused(folder: Path, model_type: object) -> None:
    write_json(folder / "config.json", {**CONFIG, "model_type": model_type})
    assert "model_type 'whisper'" in str(refusal(folder))


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer_config.json", "preprocessor_config.json"]
)
def test_remote_code_is_refused(folder: Path, name: str) -> None:
    content = CONFIG if name == "config.json" else {}
    write_json(folder / name, {**content, "auto_map": {"AutoModel": "modeling.Evil"}})
    error = refusal(folder)
    assert error.code == "remote_code_refused"
    assert name in str(error)


def test_a_chat_template_is_refused_wherever_it_stands(folder: Path) -> None:
    write_json(folder / "tokenizer_config.json", {"chat_template": "{{ 1 }}"})
    assert "chat_template" in str(refusal(folder))
    write_json(folder / "tokenizer_config.json", {})
    (folder / "chat_template.jinja").write_text("{{ 1 }}", encoding="utf-8")
    assert "chat_template" in str(refusal(folder))


@pytest.mark.parametrize("name", ["tokenizer.json", "vocab.json", "merges.txt", "config.json"])
def test_a_huge_tokenizer_is_refused_unread(folder: Path, name: str) -> None:
    with (folder / name).open("wb") as file:
        file.truncate(MAX_TEXT_BYTES + 1)
    assert str(MAX_TEXT_BYTES) in str(refusal(folder))


def test_an_adapter_and_a_stored_precision_are_refused(folder: Path) -> None:
    write_json(folder / "adapter_config.json", {"base_model_name_or_path": "other/model"})
    assert "adapter" in str(refusal(folder))
    (folder / "adapter_config.json").unlink()
    write_json(folder / "config.json", {**CONFIG, "quantization_config": {"load_in_8bit": True}})
    assert "quantization" in str(refusal(folder))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe{}", b"[" * 200_000, b"null"])
def test_a_configuration_that_is_no_object_is_refused(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    assert "config.json" in str(refusal(folder))


def test_a_folder_without_a_configuration_is_refused(folder: Path) -> None:
    (folder / "config.json").unlink()
    assert "no config.json" in str(refusal(folder))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("d_model", 1_000_000_000),
        ("vocab_size", 7),
        ("num_mel_bins", 128),
        ("encoder_layers", 10**9),
        ("decoder_layers", 1),
        ("max_target_positions", "5"),
        ("encoder_ffn_dim", None),
    ],
)
def test_a_configuration_that_the_weights_contradict_is_refused(
    folder: Path, key: str, value: object
) -> None:
    write_json(folder / "config.json", {**CONFIG, key: value})
    assert "config.json asks for" in str(refusal(folder))


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_a_tensor_that_is_missing_is_refused(folder: Path, name: str) -> None:
    save_file(
        tensors({other: shape for other, shape in SHAPES.items() if other != name}),
        folder / "model.safetensors",
    )
    refusal(folder)


# --- shards ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shard",
    [
        "../model.safetensors",
        "/etc/passwd",
        "absent.safetensors",
        "model.bin",
        ".safetensors",
        5,
        None,
    ],
)
def test_an_index_names_only_shards_in_its_folder(folder: Path, shard: object) -> None:
    (folder / "model.safetensors").rename(folder.parent / "model.safetensors")
    write_json(folder / "model.safetensors.index.json", {"weight_map": {"a": shard}})
    assert "shard" in str(refusal(folder))


@pytest.mark.parametrize("weight_map", [None, {}, [], "x"])
def test_an_index_without_shards_is_refused(folder: Path, weight_map: object) -> None:
    (folder / "model.safetensors").unlink()
    write_json(folder / "model.safetensors.index.json", {"weight_map": weight_map})
    assert "index.json" in str(refusal(folder))


# --- safetensors headers ---------------------------------------------------------------------


def test_the_shapes_are_those_that_safetensors_reads(folder: Path) -> None:
    path = folder / "model.safetensors"
    expected = {name.removeprefix("model."): value.shape for name, value in load_file(path).items()}
    assert tensor_shapes(path) == expected


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, MAX_HEADER_BYTES + 1])
def test_a_lying_header_length_is_refused_in_little_memory(folder: Path, length: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", length) + path.read_bytes()[8:])
    with path.open("r+b") as file:
        file.truncate(MAX_HEADER_BYTES * 4)  # a sparse file: the claim alone is too long
    tracemalloc.start()
    error = refusal(folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert error.code == "damaged_checkpoint"
    assert f"claims {length} bytes" in str(error)
    assert peak < 8 * 1024 * 1024


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_cut_file_is_refused_wherever_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("cut") / "model.safetensors"
    save_file(tensors(SHAPES), path)
    path.write_bytes(path.read_bytes()[: data.draw(st.integers(0, path.stat().st_size - 1))])
    with pytest.raises(ModelError) as caught:
        tensor_shapes(path)
    assert caught.value.code == "damaged_checkpoint"


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_header_that_passes_is_read_alike_by_safetensors(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("flip") / "model.safetensors"
    save_file({"a": np.zeros((2, 3), np.float32), "b": np.zeros(5, np.int16)}, path)
    raw = bytearray(path.read_bytes())
    header_end = 8 + struct.unpack("<Q", raw[:8])[0]
    position = data.draw(st.integers(0, header_end - 1))
    raw[position] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    try:
        shapes = tensor_shapes(path)
    except ModelError:
        return
    try:
        with safe_open(path, framework="numpy") as file:
            oracle = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - safe_open is no mapping
    except SafetensorError as error:
        pytest.fail(f"accepted what safetensors refuses: {error}")
    assert shapes == {name.removeprefix("model."): shape for name, shape in oracle.items()}
