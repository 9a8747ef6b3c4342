"""Whisper's encoder and decoder as OpenVINO graphs, written straight from a checkpoint's tensors.

Owns the layers and what a precision means for their weights. It does not know decoding, batches or
compiled models. int8 is symmetric, one scale an output channel: ``weight = i8 * scale``.

Source: Radford et al. 2022, section 2.2; transformers ``modeling_whisper.py`` for the names of
tensors and the order of operations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import openvino as ov
from openvino import opset15 as ops

from whisperlab.engine.whisper_shape import Shape
from whisperlab.engine.whisper_weights import Floats, Weights

Storage = Literal["float32", "int8"]
"""How the weights of linear layers are held; biases, norms and convolutions are float32."""

LAYER_NORM_EPSILON = 1e-5
"""torch's ``LayerNorm`` default."""

ROUNDED_AT_ONCE = 1024
"""Rows of a matrix that are rounded together: the vocabulary's would need three times their memory."""

INT8_LIMIT = 127
"""The largest magnitude of symmetric int8."""


class _Layers:
    """Writes layers over the tensors of one checkpoint, in one storage.

    ``halved`` linear layers multiply in bfloat16 and hold their weights so, int8's as it rounds
    them: OpenVINO would keep float32 constants beside the bfloat16 that it makes of them.
    """

    def __init__(self, weights: Weights, storage: Storage, *, halved: bool = False) -> None:
        self._weights = weights
        self._storage = storage
        self._halved = halved

    def norm(self, x: Any, name: str) -> Any:
        axes = ops.constant(np.array([-1], dtype=np.int64))
        flat = ops.mvn(x, axes, True, LAYER_NORM_EPSILON, "inside_sqrt")
        scaled = ops.multiply(flat, _constant(self._weights.tensor(f"{name}.weight")))
        return ops.add(scaled, _constant(self._weights.tensor(f"{name}.bias")))

    def weight(self, matrix: Floats) -> Any:
        """Returns a node that is ``matrix``, shape ``(n_outputs, n_inputs)``."""
        if self._storage == "float32":
            return _halved(matrix) if self._halved else _constant(matrix)
        rounded = np.empty(matrix.shape, np.int8)
        scales = np.empty((len(matrix), 1), np.float32)
        for first in range(0, len(matrix), ROUNDED_AT_ONCE):
            part = slice(first, first + ROUNDED_AT_ONCE)
            largest = np.abs(matrix[part]).max(axis=1, keepdims=True)
            scales[part] = np.where(largest == 0, 1, largest / INT8_LIMIT)
            rounded[part] = np.rint(matrix[part] / scales[part])
        if self._halved:
            return _halved(rounded * scales)
        return ops.multiply(ops.convert(ops.constant(rounded), "f32"), _constant(scales))

    def product(self, x: Any, matrix: Floats, bias: Floats | None) -> Any:
        if self._halved:
            half = ops.matmul(ops.convert(x, "bf16"), self.weight(matrix), False, True)
            multiplied = ops.convert(half, "f32")
        else:
            multiplied = ops.matmul(x, self.weight(matrix), False, True)
        return multiplied if bias is None else ops.add(multiplied, _constant(bias))

    def linear(self, x: Any, name: str) -> Any:
        tensor = self._weights.tensor
        return self.product(x, tensor(f"{name}.weight"), tensor(f"{name}.bias"))

    def fused(self, x: Any, attention: str, kinds: str, head_width: int) -> Any:
        """Returns queries, keys and values of ``kinds`` ("qkv" or "q") side by side."""
        parts = [self._projection(attention, kind, head_width) for kind in kinds]
        matrices, biases = zip(*parts, strict=True)
        return self.product(x, np.concatenate(matrices), np.concatenate(biases))

    def by_head(self, x: Any, attention: str, kind: str, head_width: int) -> Any:
        """Returns queries, keys or values, ``(n_rows, n_heads, n_tokens, head_width)``.

        Beside many tokens three products cost less than one whose parts are copied apart.
        """
        return ops.transpose(self._heads_last(x, attention, kind, head_width), _indices(0, 2, 1, 3))

    def by_head_lying(self, x: Any, attention: str, kind: str, head_width: int) -> Any:
        """Returns keys or values, ``(n_rows, n_heads, head_width, n_tokens)``."""
        if not self._halved:  # int8 weights are multiplied as int8 on the right side alone
            last = self._heads_last(x, attention, kind, head_width)
            return ops.transpose(last, _indices(0, 2, 3, 1))
        matrix, bias = self._projection(attention, kind, head_width)
        left = ops.unsqueeze(self.weight(matrix), _indices(0))
        half = ops.matmul(left, ops.convert(x, "bf16"), False, True)
        lying = ops.add(ops.convert(half, "f32"), _constant(bias[:, None]))
        return ops.reshape(lying, _indices(0, len(matrix) // head_width, head_width, -1), True)

    def _heads_last(self, x: Any, attention: str, kind: str, head_width: int) -> Any:
        """Returns ``(n_rows, n_tokens, n_heads, head_width)``."""
        product = self.product(x, *self._projection(attention, kind, head_width))
        return ops.reshape(product, _indices(0, 0, -1, head_width), True)

    def _projection(self, attention: str, kind: str, head_width: int) -> tuple[Floats, Floats]:
        """Returns matrix and bias of ``kind``: "q", scaled by ``head_width ** -0.5``, "k" or "v"."""
        matrix = self._weights.tensor(f"{attention}.{kind}_proj.weight")
        bias = (
            np.zeros(len(matrix), np.float32)  # keys have none
            if kind == "k"
            else self._weights.tensor(f"{attention}.{kind}_proj.bias")
        )
        scale = np.float32(head_width**-0.5 if kind == "q" else 1.0)
        return matrix * scale, bias * scale

    def feed_forward(self, x: Any, layer: str) -> Any:
        inner = ops.gelu(
            self.linear(self.norm(x, f"{layer}.final_layer_norm"), f"{layer}.fc1"), "erf"
        )
        return ops.add(x, self.linear(inner, f"{layer}.fc2"))


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

    Input ``features`` ``(1, n_mels, n_frames)``, ``None`` frames for any even number. Outputs
    ``key.N`` and ``value.N`` of each decoder layer, ``(1, heads, head_width, n_frames / 2)`` in the
    type ``memory``. ``halved`` layers multiply in bfloat16 and hold their weights so.
    """
    layers = _Layers(weights, storage, halved=halved)
    frames = -1 if n_frames is None else n_frames
    features = _input([1, shape.n_mels, frames], np.float32, "features")
    x = features
    for name, stride in (("encoder.conv1", 1), ("encoder.conv2", 2)):
        kernel = _constant(weights.tensor(f"{name}.weight"))
        bias = _constant(weights.tensor(f"{name}.bias")[None, :, None])
        x = ops.gelu(ops.add(ops.convolution(x, kernel, [stride], [1], [1], [1]), bias), "erf")
    x = ops.transpose(x, _indices(0, 2, 1))  # shape (1, positions, width)
    places = _constant(weights.tensor("encoder.embed_positions.weight")[None])
    if n_frames is None:
        heard = ops.slice(
            ops.shape_of(x), _indices(1), _indices(2), _indices(1)
        )  # shape (1,): the number of positions
        places = ops.slice(places, _indices(0), heard, _indices(1), _indices(1))
    x = ops.add(x, places)
    head_width = shape.width // shape.encoder_heads
    for number in range(shape.encoder_layers):
        layer = f"encoder.layers.{number}"
        inner = layers.norm(x, f"{layer}.self_attn_layer_norm")
        query, key, value = (
            layers.by_head(inner, f"{layer}.self_attn", kind, head_width) for kind in "qkv"
        )
        chances = ops.softmax(ops.matmul(query, key, False, True), -1)
        heads = ops.matmul(chances, value, False, False)
        x = ops.add(x, layers.linear(_join(heads, shape.width), f"{layer}.self_attn.out_proj"))
        x = layers.feed_forward(x, layer)
    x = layers.norm(x, "encoder.layer_norm")
    results = []
    for number in range(shape.decoder_layers):
        attention = f"decoder.layers.{number}.encoder_attn"
        for kind in ("key", "value"):
            part = layers.by_head_lying(x, attention, kind[0], shape.head_width)
            results.append(_output(ops.convert(part, memory), f"{kind}.{number}"))
    return ov.Model(results, [features], "encoder")


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
    layers = _Layers(weights, storage, halved=halved)
    embedded = _input([-1, -1, shape.width], np.float32, "embedded")
    mask = _input([-1, 1, -1, -1], np.float32, "mask")
    sources = _input([-1], np.int32, "sources")
    read = _input([-1], np.int32, "read")
    windows = _window_inputs(shape, memory, shape.decoder_layers)
    n_rows = ops.slice(ops.shape_of(embedded), _indices(0), _indices(1), _indices(1))
    nothing = ops.broadcast(
        ops.constant(np.float32(0)),
        ops.concat([n_rows, _indices(shape.decoder_heads, 0, shape.head_width)], 0),
    )
    sinks = []

    def remember(new: Any, name: str) -> Any:
        """Returns ``new`` behind what the state ``name`` holds, which becomes the state."""
        kept = ops.read_value(
            nothing, name, np.float32, [-1, shape.decoder_heads, -1, shape.head_width]
        )
        whole = ops.concat([ops.gather(kept, sources, _indices(0)), new], 2)
        sinks.append(ops.assign(whole, name))
        return whole

    x = embedded
    for number in range(shape.decoder_layers):
        x = _own_attention(layers, x, number, shape, mask, remember)
        x, _ = _window_attention(layers, x, number, shape, *windows[number])
        x = layers.feed_forward(x, f"decoder.layers.{number}")
    x = layers.norm(ops.gather(x, read, _indices(1)), "decoder.layer_norm")
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
    layers = _Layers(weights, "float32")
    embedded = _input([1, -1, shape.width], np.float32, "embedded")
    mask = _input([1, 1, -1, -1], np.float32, "mask")
    depth = 1 + max(layer for layer, _ in heads)
    windows = _window_inputs(shape, memory, depth)
    chances = []
    x = embedded
    for number in range(depth):
        x = _own_attention(layers, x, number, shape, mask, lambda new, _: new)
        x, chance = _window_attention(layers, x, number, shape, *windows[number])
        x = layers.feed_forward(x, f"decoder.layers.{number}")
        chances.append(chance)  # shape (1, heads, n_tokens, n_positions)
    wanted = [
        ops.gather(ops.squeeze(chances[layer], _indices(0)), _indices(head), _indices(0))
        for layer, head in heads
    ]
    result = _output(ops.concat(wanted, 0), "attention")
    inputs = [embedded, mask, *(part for pair in windows for part in pair)]
    return ov.Model([result], inputs, "aligner")


def _own_attention(
    layers: _Layers,
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
    return ops.add(x, layers.linear(_join(heads, shape.width), f"{layer}.self_attn.out_proj"))


def _window_attention(
    layers: _Layers, x: Any, number: int, shape: Shape, key: Any, value: Any
) -> tuple[Any, Any]:
    """Returns the hidden state and the attention ``(n_windows, heads, queries, n_positions)``.

    The rows of one window are queries side by side: its keys are read once for all beams, and
    multiplied in the type that they lie in, whatever precision the rest of the graph computes in.
    """
    layer = f"decoder.layers.{number}"
    inner = layers.norm(x, f"{layer}.encoder_attn_layer_norm")
    query = layers.fused(inner, f"{layer}.encoder_attn", "q", shape.head_width)
    n_windows = ops.slice(ops.shape_of(key), _indices(0), _indices(1), _indices(1))
    memory = key.get_element_type()
    side_by_side = ops.concat([n_windows, _indices(-1, shape.decoder_heads, shape.head_width)], 0)
    query = ops.transpose(ops.reshape(query, side_by_side, False), _indices(0, 2, 1, 3))
    scores = ops.convert(ops.matmul(ops.convert(query, memory), key, False, False), "f32")
    chances = ops.softmax(scores, -1)
    heads = ops.convert(ops.matmul(ops.convert(chances, memory), value, False, True), "f32")
    # shape of heads: (n_windows, heads, queries, head_width)
    joined = ops.reshape(ops.transpose(heads, _indices(0, 2, 1, 3)), ops.shape_of(x), False)
    return ops.add(x, layers.linear(joined, f"{layer}.encoder_attn.out_proj")), chances


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


def _constant(array: Floats) -> Any:
    return ops.constant(np.ascontiguousarray(array, dtype=np.float32))


def _halved(array: Floats) -> Any:
    """Returns a constant of bfloat16, rounded to the nearest, ties to even: OpenVINO's own is not."""
    tensor = ov.Tensor(ov.Type.bf16, array.shape)
    held = tensor.data.view(np.uint16)
    for first in range(0, len(array), ROUNDED_AT_ONCE):
        part = slice(first, first + ROUNDED_AT_ONCE)
        bits = np.ascontiguousarray(array[part], dtype=np.float32).view(np.uint32)
        held[part] = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return ops.constant(tensor)


def _indices(*numbers: int) -> Any:
    return ops.constant(np.array(numbers, dtype=np.int64))


def _split(together: Any, n_parts: int, n_heads: int) -> list[Any]:
    """Returns the parts of ``(n_rows, n_tokens, n_parts * width)``, ``(n_rows, n_heads, n_tokens, -1)``."""
    by_head = ops.reshape(together, _indices(0, 0, n_parts * n_heads, -1), True)
    parts = ops.split(by_head, ops.constant(np.int64(2)), n_parts)
    return [ops.transpose(part, _indices(0, 2, 1, 3)) for part in parts.outputs()]


def _join(heads: Any, width: int) -> Any:
    """Returns ``(n_rows, n_tokens, width)`` of ``(n_rows, heads, n_tokens, head_width)``."""
    return ops.reshape(ops.transpose(heads, _indices(0, 2, 1, 3)), _indices(0, 0, width), True)
