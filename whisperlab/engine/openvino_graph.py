"""Whisper's encoder and decoder as OpenVINO graphs, written straight from a checkpoint's tensors.

Owns the order of layers, attention and what a graph takes and gives. It does not know decoding,
batches or compiled models.

Source: Radford et al. 2022, section 2.2; transformers ``modeling_whisper.py`` for the order of
operations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset15 as ops

from whisperlab.engine.openvino_layers import Input, Layers, Storage, indices
from whisperlab.engine.whisper_shape import Shape
from whisperlab.engine.whisper_weights import Weights

WHOLE_POSITIONS = 32
"""The rows of two AMX tiles: over 1504 positions attention takes a tenth less time than over 1500."""

UNHEARD = np.float32(-1e30)
"""The score of a position that is none; finite, so that no row is NaN."""


def encoder(
    weights: Weights,
    shape: Shape,
    storage: Storage,
    memory: ov.Type,
    n_frames: int | None,
    *,
    halved: bool = False,
) -> ov.Model:
    """Returns the encoder with the decoder's cross attention keys and values behind it.

    Input ``features`` ``(1, n_mels, n_frames)``, ``None`` frames for any even number. With a number
    the beginning of a window will do where the rest repeats a frame: ``spread`` says for each position
    of the window, and for some that fill a tile behind it, which position of the beginning it is
    like. Outputs ``key.N`` and ``value.N`` of each decoder layer, ``(1, heads, head_width,
    n_frames / 2)`` in the type ``memory``. ``halved`` layers multiply in bfloat16 and hold their
    weights so.
    """
    dtype = ov.Type.bf16 if halved else ov.Type.f32
    layers = Layers(weights, storage, halved=halved, dtype=dtype)
    features = _input([1, shape.n_mels, -1], np.float32, "features")
    inputs = [features]
    x = ops.convert(features, dtype)
    for name, stride in (("encoder.conv1", 1), ("encoder.conv2", 2)):
        kernel = layers.constant(weights.tensor(f"{name}.weight"))
        bias = layers.constant(weights.tensor(f"{name}.bias")[None, :, None])
        x = ops.gelu(ops.add(ops.convolution(x, kernel, [stride], [1], [1], [1]), bias), "erf")
    x = ops.transpose(x, indices(0, 2, 1))  # shape (1, positions, width)
    places = weights.tensor("encoder.embed_positions.weight")
    filling = 0
    if n_frames is None:
        heard = ops.slice(
            ops.shape_of(x), indices(1), indices(2), indices(1)
        )  # shape (1,): the number of positions
        whole = layers.constant(places[None])
        x = ops.add(x, ops.slice(whole, indices(0), heard, indices(1), indices(1)))
    else:
        filling = -(n_frames // 2) % WHOLE_POSITIONS if halved else 0
        spread = _input([n_frames // 2 + filling], np.int32, "spread")
        inputs.append(spread)
        x = ops.gather(x, spread, indices(1))
        x = ops.add(x, layers.constant(np.pad(places, ((0, filling), (0, 0)))[None]))
    for number in range(shape.encoder_layers):
        layer = f"encoder.layers.{number}"
        x = _hearing_attention(layers, x, layer, shape, filling)
        x = layers.feed_forward(x, layer)
    x = layers.whole_norm(x, "encoder.layer_norm")
    results = []
    for number in range(shape.decoder_layers):
        attention = f"decoder.layers.{number}.encoder_attn"
        for name in ("key", "value"):
            part = layers.lying(x, attention, name[0], shape.head_width)
            if filling:
                part = ops.slice(part, indices(0), indices(-filling), indices(1), indices(3))
            results.append(_output(ops.convert(part, memory), f"{name}.{number}"))
    return ov.Model(results, inputs, "encoder")


def decoder(
    weights: Weights, shape: Shape, storage: Storage, memory: ov.Type, *, halved: bool = False
) -> ov.Model:
    """Returns the decoder that keeps its own keys and values as state.

    Inputs: ``embedded`` ``(n_rows, n_tokens, width)``; ``mask`` ``(n_rows or 1, 1, n_tokens,
    n_past + n_tokens)``, added to self attention's scores; ``sources`` ``(n_rows,)``, the rows of
    the last call that these continue; ``read`` ``(n_read,)``, the tokens whose logits are wanted;
    ``key.N`` and ``value.N`` as the encoder gives them, ``(n_windows, ...)``, where ``n_rows`` is a
    multiple of ``n_windows``. Output: ``logits`` ``(n_rows, n_read, vocabulary)``. ``halved`` as
    the encoder's.
    """
    layers = Layers(weights, storage, halved=halved)
    embedded = _input([-1, -1, shape.width], np.float32, "embedded")
    mask = _input([-1, 1, -1, -1], np.float32, "mask")
    sources = _input([-1], np.int32, "sources")
    read = _input([-1], np.int32, "read")
    windows = _window_inputs(shape, memory, shape.decoder_layers)
    n_rows = ops.slice(ops.shape_of(embedded), indices(0), indices(1), indices(1))
    nothing = ops.broadcast(
        ops.constant(np.float32(0)),
        ops.concat([n_rows, indices(shape.decoder_heads, 0, shape.head_width)], 0),
    )
    sinks = []

    def remember(new: Any, name: str) -> Any:
        """Returns ``new`` behind what the state ``name`` holds, which becomes the state."""
        kept = ops.read_value(
            nothing, name, np.float32, [-1, shape.decoder_heads, -1, shape.head_width]
        )
        whole = ops.concat([ops.gather(kept, sources, indices(0)), new], 2)
        sinks.append(ops.assign(whole, name))
        return whole

    x = embedded
    for number in range(shape.decoder_layers):
        x = _own_attention(layers, x, number, shape, mask, remember)
        x, _ = _window_attention(layers, x, number, shape, *windows[number])
        x = layers.feed_forward(x, f"decoder.layers.{number}")
    x = layers.norm(ops.gather(x, read, indices(1)), "decoder.layer_norm")
    name = "proj_out.weight" if "proj_out.weight" in weights else "decoder.embed_tokens.weight"
    logits = _output(layers.product(x, weights.tensor(name), None), "logits")
    inputs = [embedded, mask, sources, read, *(part for pair in windows for part in pair)]
    return ov.Model([logits], sinks, inputs, "decoder")


def aligner(
    weights: Weights, shape: Shape, memory: ov.Type, heads: list[tuple[int, int]]
) -> ov.Model:
    """Returns the decoder as far as the cross attention of ``heads``, (layer, head) pairs.

    Inputs ``embedded``, ``mask``, ``key.N`` and ``value.N`` as the decoder's, for one row. Output
    ``attention`` ``(n_heads, n_tokens, n_positions)``, in the order of ``heads``.
    """
    layers = Layers(weights, "float32")
    embedded = _input([1, -1, shape.width], np.float32, "embedded")
    mask = _input([1, 1, -1, -1], np.float32, "mask")
    depth = 1 + max(layer for layer, _ in heads)
    windows = _window_inputs(shape, memory, depth)
    scores = []
    x = embedded
    for number in range(depth):
        x = _own_attention(layers, x, number, shape, mask, lambda new, _: new)
        x, score = _window_attention(layers, x, number, shape, *windows[number])
        x = layers.feed_forward(x, f"decoder.layers.{number}")
        scores.append(score)  # shape (1, heads, n_tokens, n_positions)
    wanted = [
        ops.gather(ops.squeeze(scores[layer], indices(0)), indices(head), indices(0))
        for layer, head in heads
    ]
    attention = ops.softmax(ops.convert(ops.concat(wanted, 0), "f32"), -1)
    result = _output(attention, "attention")
    inputs = [embedded, mask, *(part for pair in windows for part in pair)]
    return ov.Model([result], inputs, "aligner")


def _hearing_attention(layers: Layers, x: Any, layer: str, shape: Shape, filling: int) -> Any:
    """Returns ``x`` with the encoder's attention added to it.

    Its scores are float32 whatever the layers' type: bfloat16 would multiply the error by twenty where
    they reach 170. The last ``filling`` positions are heard by none. They are left out by selection: a
    row of numbers added to every head's scores, OpenVINO 2026.4 reads wrongly in bfloat16.
    """
    attention = f"{layer}.self_attn"
    inner = layers.norm(x, f"{attention}_layer_norm")
    head_width = shape.width // shape.encoder_heads
    query, key, value = (
        ops.convert(layers.by_head(inner, attention, kind, head_width), "f32") for kind in "qkv"
    )
    scores = ops.matmul(query, key, False, True)
    if filling:
        n_positions = scores.get_output_shape(0)[-1]
        beyond = np.arange(n_positions) >= n_positions - filling
        scores = ops.select(ops.constant(beyond[None, None, None]), ops.constant(UNHEARD), scores)
    heads = ops.convert(ops.matmul(ops.softmax(scores, -1), value, False, False), layers.dtype)
    joined = Input(_join(heads, shape.width))
    return ops.add(x, layers.linear(joined, f"{attention}.out_proj"))


def _own_attention(
    layers: Layers,
    x: Any,
    number: int,
    shape: Shape,
    mask: Any,
    remember: Callable[[Any, str], Any],
) -> Any:
    layer = f"decoder.layers.{number}"
    inner = layers.norm(x, f"{layer}.self_attn_layer_norm")
    together = layers.fused(inner, f"{layer}.self_attn", "qkv", shape.head_width)
    query, key, value = _split(together, 3, shape.decoder_heads)
    heads = ops.scaled_dot_product_attention(
        query,
        remember(key, f"own_key.{number}"),
        remember(value, f"own_value.{number}"),
        mask,
        ops.constant(np.float32(1)),  # queries are scaled already
    )
    joined = Input(_join(heads, shape.width))
    return ops.add(x, layers.linear(joined, f"{layer}.self_attn.out_proj"))


def _window_attention(
    layers: Layers, x: Any, number: int, shape: Shape, key: Any, value: Any
) -> tuple[Any, Any]:
    """Returns the hidden state and the scores ``(n_windows, heads, queries, n_positions)``.

    The rows of one window are queries side by side: its keys are read once for all beams. Attention
    is computed in the type that they lie in, whatever precision the rest of the graph computes in.
    """
    layer = f"decoder.layers.{number}"
    inner = layers.norm(x, f"{layer}.encoder_attn_layer_norm")
    query = layers.fused(inner, f"{layer}.encoder_attn", "q", shape.head_width)
    n_windows = ops.slice(ops.shape_of(key), indices(0), indices(1), indices(1))
    memory = key.get_element_type()
    side_by_side = ops.concat([n_windows, indices(-1, shape.decoder_heads, shape.head_width)], 0)
    query = ops.transpose(ops.reshape(query, side_by_side, False), indices(0, 2, 1, 3))
    scores = ops.matmul(ops.convert(query, memory), key, False, False)
    heads = ops.convert(ops.matmul(ops.softmax(scores, -1), value, False, True), "f32")
    # shape of heads: (n_windows, heads, queries, head_width)
    joined = ops.reshape(ops.transpose(heads, indices(0, 2, 1, 3)), ops.shape_of(x), False)
    return ops.add(x, layers.after_lying(joined, f"{layer}.encoder_attn")), scores


def _window_inputs(shape: Shape, memory: ov.Type, n_layers: int) -> list[tuple[Any, Any]]:
    sizes = [-1, shape.decoder_heads, shape.head_width, -1]
    return [
        (_input(sizes, memory, f"key.{n}"), _input(sizes, memory, f"value.{n}"))
        for n in range(n_layers)
    ]


def _input(sizes: list[int], kind: Any, name: str) -> Any:
    node = ops.parameter(sizes, kind, name)
    node.output(0).get_tensor().set_names({name})
    return node


def _output(x: Any, name: str) -> Any:
    node = ops.result(x)
    node.output(0).get_tensor().set_names({name})
    return node


def _split(together: Any, n_parts: int, n_heads: int) -> list[Any]:
    """Returns the parts of ``(n_rows, n_tokens, n_parts * width)``, ``(n_rows, n_heads, n_tokens, -1)``."""
    by_head = ops.reshape(together, indices(0, 0, n_parts * n_heads, -1), True)
    parts = ops.split(by_head, ops.constant(np.int64(2)), n_parts)
    return [ops.transpose(part, indices(0, 2, 1, 3)) for part in parts.outputs()]


def _join(heads: Any, width: int) -> Any:
    """Returns ``(n_rows, n_tokens, width)`` of ``(n_rows, heads, n_tokens, head_width)``."""
    return ops.reshape(ops.transpose(heads, indices(0, 2, 1, 3)), indices(0, 0, width), True)
