"""The network's logits against transformers' own layers: rows of any length, dropped, repeated."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from joining_rows import check_joining
from transformers import WhisperConfig, WhisperForConditionalGeneration

from whisperlab.engine.decoding.network import Floats
from whisperlab.engine.whisper_shape import read_shape
from whisperlab.engine.whisper_weights import Weights
from whisperlab.errors import ModelError

pytest.importorskip("openvino", reason="the extra openvino is not installed")

import openvino as ov

from whisperlab.engine import openvino_graph, openvino_network
from whisperlab.engine.openvino_layers import Storage
from whisperlab.engine.openvino_network import OpenvinoNetwork

CLOSE = 2e-4
"""Two libraries add in different orders; the logits are of the order of 10."""

SHAPES: dict[str, dict[str, Any]] = {
    "multilingual, 80 mels": {"num_mel_bins": 80, "encoder_layers": 2, "decoder_layers": 2},
    "turbo's, 128 mels": {"num_mel_bins": 128, "encoder_layers": 3, "decoder_layers": 1},
    "heads of unequal width": {
        "num_mel_bins": 80, "encoder_layers": 1, "decoder_layers": 2, "decoder_attention_heads": 2,
    },
}  # fmt: skip


def written(folder: Path, sizes: dict[str, Any], dtype: torch.dtype = torch.float32) -> Any:
    torch.manual_seed(7)
    config = WhisperConfig(**{
        "vocab_size": 300, "d_model": 32, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
        "encoder_ffn_dim": 64, "decoder_ffn_dim": 48, "init_std": 0.3, "bos_token_id": 1,
        "pad_token_id": 1, "eos_token_id": 1, "decoder_start_token_id": 2,
        "suppress_tokens": None, "begin_suppress_tokens": None, **sizes,
    })  # fmt: skip
    model = WhisperForConditionalGeneration(config).to(dtype).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:  # norms and biases, which begin as ones and zeros
                parameter += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(
        folder, max_shard_size="100KB" if sizes.get("num_mel_bins") == 80 else "1GB"
    )
    return WhisperForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )


def numbers(tensor: ov.Tensor) -> Floats:
    held: Floats = tensor.data
    if tensor.element_type == ov.Type.bf16:
        held = (tensor.data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return held.copy()


def network(
    folder: Path,
    *,
    n_frames: int | None = 3000,
    storage: Storage = "float32",
    half: bool = False,
) -> OpenvinoNetwork:
    return OpenvinoNetwork(
        Weights(folder),
        read_shape(folder),
        storage,
        half=half,
        threads=1,
        n_frames=n_frames,
        heads=[(0, 1), (0, 0)],
    )


def windows(n_mels: int, n_frames: int = 3000) -> list[Floats]:
    generator = np.random.default_rng(3)
    return [generator.standard_normal((n_mels, n_frames)).astype(np.float32) for _ in range(3)]


def expected(model: Any, window: Floats, tokens: Sequence[int]) -> Any:
    with torch.no_grad():
        return model(
            input_features=torch.from_numpy(window)[None],
            decoder_input_ids=torch.tensor([list(tokens)]),
            output_attentions=True,
        )


@pytest.fixture(params=SHAPES)
def both(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, OpenvinoNetwork]:
    model = written(tmp_path, SHAPES[request.param])
    return model, network(tmp_path)


def test_rows_of_unequal_prompts_leave_repeat_and_change_places(
    both: tuple[Any, OpenvinoNetwork],
) -> None:
    model, ours = both
    heard = windows(model.config.num_mel_bins)
    assert ours.hear(heard) == [0, 1, 2]
    texts = [(0, [5, 6, 7, 8]), (1, [9, 10]), (2, [4, 11, 12])]
    beginning = ours.begin([0, 1, 2], [text for _, text in texts], 2)
    for row, (window, text) in enumerate(texts):
        logits = expected(model, heard[window], text).logits[0].numpy()
        np.testing.assert_allclose(beginning.at_start[row], logits[-2], atol=CLOSE, rtol=CLOSE)
        np.testing.assert_allclose(beginning.at_end[row], logits[-1], atol=CLOSE, rtol=CLOSE)
    steps = [
        ([21, 22, 23], [0, 1, 2]),  # all go on
        ([24, 25], [2, 1]),  # the first has ended, the others change places
        ([26, 27, 28, 29], [0, 0, 1, 1]),  # two beams of each
        ([30, 31], [1, 0]),  # the second window has ended; its neighbour's beams swap
    ]
    for tokens, sources in steps:
        texts = [
            (texts[source][0], [*texts[source][1], token])
            for token, source in zip(tokens, sources, strict=True)
        ]
        got = ours.step(tokens, sources)
        for row, (window, text) in enumerate(texts):
            logits = expected(model, heard[window], text).logits[0, -1].numpy()
            np.testing.assert_allclose(got[row], logits, atol=CLOSE, rtol=CLOSE)


def test_texts_join_and_windows_change_while_others_are_written(
    both: tuple[Any, OpenvinoNetwork],
) -> None:
    model, ours = both
    n_mels = model.config.num_mel_bins
    check_joining(
        ours, n_mels, lambda window, text: expected(model, window, text).logits[0].numpy()
    )


def test_attention_is_that_of_the_named_heads(both: tuple[Any, OpenvinoNetwork]) -> None:
    model, ours = both
    heard = windows(model.config.num_mel_bins)
    ours.hear(heard)
    text = [5, 6, 7, 8, 9]
    reference = expected(model, heard[1], text).cross_attentions[0][0].numpy()
    np.testing.assert_allclose(ours.attend(1, text), reference[[1, 0]], atol=1e-5)


def test_attention_to_windows_in_bfloat16_stays_near_float32(tmp_path: Path) -> None:
    model = written(tmp_path, SHAPES["multilingual, 80 mels"])
    ours = network(tmp_path, half=True)
    heard = windows(80)
    ours.hear(heard)
    text = [5, 6, 7, 8, 9]
    reference = expected(model, heard[1], text).cross_attentions[0][0].numpy()
    found = ours.attend(1, text)
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)  # as bfloat16 they would not
    assert np.abs(found - reference[[1, 0]]).max() < 0.05 * reference.max()


def test_a_trimmed_window_is_the_encoder_s_over_fewer_positions(tmp_path: Path) -> None:
    model = written(tmp_path, SHAPES["turbo's, 128 mels"])
    ours = network(tmp_path, n_frames=None)
    for n_frames in (400, 1200, 3000):
        [window, *_] = windows(128, n_frames)
        ours.hear([window])
        got = ours.begin([0], [[3, 4]], 1).at_end[0]
        encoder = model.model.encoder
        with torch.no_grad():
            x = torch.from_numpy(window)[None]
            x = torch.nn.functional.gelu(encoder.conv1(x))
            x = torch.nn.functional.gelu(encoder.conv2(x)).transpose(1, 2)
            x = x + encoder.embed_positions.weight[: n_frames // 2]
            for layer in encoder.layers:
                x = layer(x, None)
            logits = model(
                encoder_outputs=(encoder.layer_norm(x),), decoder_input_ids=torch.tensor([[3, 4]])
            ).logits
        np.testing.assert_allclose(got, logits[0, -1].numpy(), atol=CLOSE, rtol=CLOSE)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_checkpoints_are_widened(tmp_path: Path, dtype: torch.dtype) -> None:
    model = written(tmp_path, SHAPES["turbo's, 128 mels"], dtype)
    weights = Weights(tmp_path)
    name = "decoder.embed_tokens.weight"
    stored = model.model.decoder.embed_tokens.weight.detach().numpy()
    np.testing.assert_array_equal(weights.tensor(name), stored)
    rows = np.array([[3, 1], [2, 3]])
    np.testing.assert_array_equal(weights.rows(name, rows), stored[rows])


def test_a_checkpoint_that_shrank_while_it_was_used_is_refused(tmp_path: Path) -> None:
    written(tmp_path, SHAPES["turbo's, 128 mels"])
    weights = Weights(tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    os.truncate(file, 0)
    with pytest.raises(ModelError, match="ends within a tensor"):
        weights.tensor("encoder.embed_positions.weight")


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("sound", [0, 1, 433, 434, 435, 1002, 2482, 2483, 2999])
def test_the_silence_behind_a_sound_is_heard_without_computing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sound: int, half: bool
) -> None:
    written(tmp_path, SHAPES["multilingual, 80 mels"])
    window = np.random.default_rng(3).normal(size=(80, 3000)).astype(np.float32)
    window[:, sound:] = 0.3
    ours = network(tmp_path, half=half)
    ours.hear([window])
    computed = ours._encoder.get_tensor("features").shape[-1]
    heard = {name: numbers(part) for name, part in ours._windows.items()}
    monkeypatch.setattr(openvino_network, "_beginning", lambda window: window)
    ours.hear([window])
    assert ours._encoder.get_tensor("features").shape[-1] == 3000
    assert computed == next(
        n for n in (440, 952, 1464, 1976, 2488, 3000) if n >= min(sound + 6, 3000)
    )
    for name, part in ours._windows.items():
        np.testing.assert_allclose(
            heard[name], numbers(part), atol=1e-5, rtol=0.01 if half else 1e-5
        )


@pytest.mark.parametrize("n_frames", [None, 34, 64])
def test_positions_that_fill_the_last_tile_are_heard_by_none(
    tmp_path: Path, n_frames: int | None
) -> None:
    places = (n_frames or 3000) // 2
    written(tmp_path, {**SHAPES["multilingual, 80 mels"], "max_source_positions": places})
    window = np.random.default_rng(3).normal(size=(1, 80, n_frames or 34)).astype(np.float32)
    weights, shape = Weights(tmp_path), read_shape(tmp_path)
    heard = []
    for halved in (False, True):
        model = openvino_graph.encoder(
            weights, shape, "float32", ov.Type.f32, n_frames, halved=halved
        )
        hint = {"INFERENCE_PRECISION_HINT": "bf16" if halved else "f32"}
        request = ov.Core().compile_model(model, "CPU", hint).create_infer_request()
        if n_frames:
            spread = request.get_tensor("spread").data
            spread[:] = np.minimum(np.arange(len(spread)), n_frames // 2 - 1)
        request.infer({"features": window})
        heard.append({name: request.get_tensor(name).data.copy() for name in ("key.1", "value.1")})
    for name, exact in heard[0].items():
        assert heard[1][name].shape == exact.shape == (1, 4, 8, window.shape[-1] // 2)
        assert np.sqrt(np.mean((heard[1][name] - exact) ** 2)) < 0.02 * exact.std()


def test_bfloat16_layers_hear_whole_tiles_and_score_in_float32(tmp_path: Path) -> None:
    written(tmp_path, SHAPES["multilingual, 80 mels"])
    model = openvino_graph.encoder(
        Weights(tmp_path), read_shape(tmp_path), "int8", ov.Type.bf16, 3000, halved=True
    )
    assert list(model.input("spread").shape) == [1504]
    scores = [node for node in model.get_ops() if node.get_type_name() == "Softmax"]
    assert [node.get_element_type().get_type_name() for node in scores] == ["f32", "f32"]


@pytest.mark.parametrize("amx", [False, True])
def test_windows_heard_with_int8_weights_stay_near_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, amx: bool
) -> None:
    written(tmp_path, SHAPES["multilingual, 80 mels"])
    window = np.random.default_rng(3).normal(size=(80, 3000)).astype(np.float32)
    monkeypatch.setattr(openvino_network, "has_amx", lambda: amx)
    monkeypatch.setattr(openvino_network, "has_bfloat16", lambda: False)  # memory in float32
    keys = []
    for found in (network(tmp_path), network(tmp_path, storage="int8", half=True)):
        found.hear([window])
        keys.append(found._windows["key.1"].data.copy())  # the last thing the encoder computes
    distance = np.sqrt(np.mean((keys[0] - keys[1]) ** 2)) / keys[0].std()
    assert 1e-4 < distance < 0.05


@pytest.mark.parametrize(("bfloat16", "memory"), [(True, "bf16"), (False, "f32")])
def test_int8_steps_stay_near_float32_whatever_the_memory_of_windows_is_held_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bfloat16: bool, memory: str
) -> None:
    model = written(tmp_path, SHAPES["multilingual, 80 mels"])
    monkeypatch.setattr(openvino_network, "has_bfloat16", lambda: bfloat16)
    ours = network(tmp_path, storage="int8", half=True)
    heard = windows(model.config.num_mel_bins)
    ours.begin(ours.hear(heard), [[5, 6, 7]] * 3, 2)
    logits = ours.step([8, 8, 8], [0, 1, 2])
    assert ours._windows["key.0"].element_type.get_type_name() == memory
    for row, window in enumerate(heard):
        wanted = expected(model, window, [5, 6, 7, 8]).logits[0, -1].numpy()
        assert np.sqrt(np.mean((logits[row] - wanted) ** 2)) < 0.1 * wanted.std()
