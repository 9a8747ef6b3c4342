"""The linear layers and norms of a Whisper checkpoint as nodes of an OpenVINO graph.

Owns what a precision means for weights and for what layers hand each other. It does not know how
layers make an encoder or a decoder. int8 is symmetric, one scale an output: ``weight = i8 * scale``.

Source: transformers ``modeling_whisper.py`` for the names of tensors.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset15 as ops

from whisperlab.engine.whisper_weights import Floats, Weights

Storage = Literal["float32", "int8"]
"""How the weights of linear layers are rounded; what else there is keeps the precision of its layers."""

LAYER_NORM_EPSILON = 1e-5
"""torch's ``LayerNorm`` default."""

ROUNDED_AT_ONCE = 1024
"""Rows of a matrix that are rounded together: the vocabulary's would need three times their memory."""

INT8_LIMIT = 127
"""The largest magnitude of symmetric int8."""


class Input(NamedTuple):
    """What linear layers take: ``node``, or ``node * scale + shift`` with these in their weights."""

    node: Any
    scale: Floats | None = None
    shift: Floats | None = None


class Layers:
    """Writes layers over the tensors of one checkpoint, in one storage.

    ``halved`` linear layers multiply in bfloat16 and hold their weights so, int8's as it rounds
    them: OpenVINO would keep float32 constants beside the bfloat16 that it makes of them. ``dtype``
    is the type of what layers hand each other.

    Raises:
        ValueError: ``dtype`` is not float32 and the layers are not ``halved``.
    """

    def __init__(
        self,
        weights: Weights,
        storage: Storage,
        *,
        halved: bool = False,
        dtype: ov.Type = ov.Type.f32,
    ) -> None:
        if dtype != ov.Type.f32 and not halved:
            raise ValueError(f"expected halved layers between {dtype}, got layers of {storage}")
        self._weights = weights
        self._storage = storage
        self._halved = halved
        self.dtype = dtype

    def constant(self, array: Floats) -> Any:
        """Returns a node that is ``array`` in the layers' type."""
        return constant(array) if self.dtype == ov.Type.f32 else halved(array)

    def norm(self, x: Any, name: str) -> Input:
        """Returns a layer norm for linear layers, which between bfloat16 layers do its last part."""
        if self.dtype == ov.Type.f32:
            return Input(self.whole_norm(x, name))
        tensor = self._weights.tensor
        return Input(_centred(x), tensor(f"{name}.weight"), tensor(f"{name}.bias"))

    def whole_norm(self, x: Any, name: str) -> Any:
        """Returns a layer norm for whoever takes it."""
        tensor = self._weights.tensor
        scaled = ops.multiply(_centred(x), self.constant(tensor(f"{name}.weight")))
        return ops.add(scaled, self.constant(tensor(f"{name}.bias")))

    def product(self, x: Input, matrix: Floats, bias: Floats | None) -> Any:
        """Returns ``x @ matrix.T + bias``; ``matrix`` has shape ``(n_outputs, n_inputs)``."""
        if not self._halved:
            multiplied = ops.matmul(x.node, self._weight(matrix), False, True)
            return multiplied if bias is None else ops.add(multiplied, constant(bias))
        matrix = self._rounded(matrix)
        if x.shift is not None:
            bias = matrix @ x.shift + (np.float32(0) if bias is None else bias)
        weight = halved(matrix if x.scale is None else matrix * x.scale)
        multiplied = ops.convert(
            ops.matmul(ops.convert(x.node, "bf16"), weight, False, True), self.dtype
        )
        return multiplied if bias is None else ops.add(multiplied, self.constant(bias))

    def linear(self, x: Input, name: str) -> Any:
        """Returns the layer ``name``."""
        tensor = self._weights.tensor
        return self.product(x, tensor(f"{name}.weight"), tensor(f"{name}.bias"))

    def fused(self, x: Input, attention: str, kinds: str, head_width: int) -> Any:
        """Returns queries, keys and values of ``kinds`` ("qkv" or "q") side by side."""
        matrices, biases = zip(
            *(self._projection(attention, kind, head_width) for kind in kinds), strict=True
        )
        return self.product(x, np.concatenate(matrices), np.concatenate(biases))

    def by_head(self, x: Input, attention: str, kind: str, head_width: int) -> Any:
        """Returns queries, keys or values, ``(n_rows, n_heads, n_tokens, head_width)``.

        Beside many tokens three products cost less than one whose parts are copied apart.
        """
        product = self.product(x, *self._projection(attention, kind, head_width))
        heads_last = ops.reshape(product, indices(0, 0, -1, head_width), True)
        return ops.transpose(heads_last, indices(0, 2, 1, 3))

    def lying(self, x: Any, attention: str, kind: str, head_width: int) -> Any:
        """Returns keys, or values without their bias, ``(n_rows, n_heads, head_width, n_tokens)``.

        `after_lying` makes up for the bias.
        """
        matrix, _ = self._projection(attention, kind, head_width)
        if not self._halved:  # int8 weights are multiplied as int8 on the right side alone
            product = self.product(Input(x), matrix, None)
            heads_last = ops.reshape(product, indices(0, 0, -1, head_width), True)
            return ops.transpose(heads_last, indices(0, 2, 3, 1))
        left = ops.unsqueeze(halved(self._rounded(matrix)), indices(0))
        product = ops.matmul(left, ops.convert(x, "bf16"), False, True)
        return ops.reshape(product, indices(0, len(matrix) // head_width, head_width, -1), True)

    def after_lying(self, heads: Any, attention: str) -> Any:
        """Returns what follows attention to values that `lying` gave.

        The chances of every query sum to one, so that a value's bias comes out as it went in.
        """
        tensor = self._weights.tensor
        matrix = tensor(f"{attention}.out_proj.weight")
        bias = tensor(f"{attention}.out_proj.bias") + matrix @ tensor(f"{attention}.v_proj.bias")
        return self.product(Input(heads), matrix, bias)

    def feed_forward(self, x: Any, layer: str) -> Any:
        """Returns ``x`` with what the two linear layers of ``layer`` add to it."""
        inner = self.linear(self.norm(x, f"{layer}.final_layer_norm"), f"{layer}.fc1")
        return ops.add(x, self.linear(Input(ops.gelu(inner, "erf")), f"{layer}.fc2"))

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

    def _weight(self, matrix: Floats) -> Any:
        """Returns a node that is ``matrix`` as its storage holds it."""
        if self._storage == "float32":
            return constant(matrix)
        rounded, scales = _round(matrix)
        return ops.multiply(ops.convert(ops.constant(rounded), "f32"), constant(scales))

    def _rounded(self, matrix: Floats) -> Floats:
        """Returns ``matrix`` as its storage rounds it."""
        if self._storage == "float32":
            return matrix
        rounded, scales = _round(matrix)
        return rounded * scales


def constant(array: Floats) -> Any:
    """Returns a node of float32."""
    return ops.constant(np.ascontiguousarray(array, dtype=np.float32))


def halved(array: Floats) -> Any:
    """Returns a node of bfloat16, rounded to the nearest, ties to even: OpenVINO's own is not."""
    tensor = ov.Tensor(ov.Type.bf16, array.shape)
    held = tensor.data.view(np.uint16)
    for first in range(0, len(array), ROUNDED_AT_ONCE):
        part = slice(first, first + ROUNDED_AT_ONCE)
        bits = np.ascontiguousarray(array[part], dtype=np.float32).view(np.uint32)
        held[part] = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return ops.constant(tensor)


def indices(*numbers: int) -> Any:
    """Returns a node of whole numbers: axes, sizes, places."""
    return ops.constant(np.array(numbers, dtype=np.int64))


def _centred(x: Any) -> Any:
    """Returns ``x`` with a mean of 0 and a variance of 1 along its last axis."""
    return ops.mvn(x, indices(-1), True, LAYER_NORM_EPSILON, "inside_sqrt")


def _round(matrix: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Returns int8 and a scale a row, shape ``(n_outputs, 1)``."""
    rounded = np.empty(matrix.shape, np.int8)
    scales = np.empty((len(matrix), 1), np.float32)
    for first in range(0, len(matrix), ROUNDED_AT_ONCE):
        part = slice(first, first + ROUNDED_AT_ONCE)
        largest = np.abs(matrix[part]).max(axis=1, keepdims=True)
        scales[part] = np.where(largest == 0, 1, largest / INT8_LIMIT)
        rounded[part] = np.rint(matrix[part] / scales[part])
    return rounded, scales
