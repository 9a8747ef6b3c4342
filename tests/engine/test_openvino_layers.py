"""Linear layers and norms as OpenVINO nodes, against numpy."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("openvino", reason="the extra openvino is not installed")

import openvino as ov
from openvino import opset15 as ops

from whisperlab.engine.decoding.network import Floats
from whisperlab.engine.openvino_layers import Input, Layers, Storage
from whisperlab.engine.whisper_weights import Weights

N_INPUTS, N_OUTPUTS, HEAD_WIDTH = 48, 32, 8


class Tensors(dict[str, Floats]):
    """A checkpoint in memory."""

    def tensor(self, name: str) -> Floats:
        return self[name]


@pytest.fixture
def tensors() -> Tensors:
    random = np.random.default_rng(5)
    shapes: dict[str, tuple[int, ...]] = {
        "norm.weight": (N_INPUTS,),
        "norm.bias": (N_INPUTS,),
        "attention.k_proj.weight": (N_OUTPUTS, N_INPUTS),
        "linear.weight": (N_OUTPUTS, N_INPUTS),
        "linear.bias": (N_OUTPUTS,),
    }
    return Tensors({
        name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()
    })  # fmt: skip


def layers(tensors: Tensors, storage: Storage, **options: Any) -> Layers:
    return Layers(cast("Weights", tensors), storage, **options)


def as_int8(matrix: Floats) -> Floats:
    scales = np.abs(matrix).max(axis=1, keepdims=True) / np.float32(127)
    rounded: Floats = np.rint(matrix / scales) * scales
    return rounded


def numbers(constant: Any) -> Floats:
    """Returns what a constant of bfloat16 holds."""
    assert constant.get_element_type() == ov.Type.bf16
    held: Floats = (constant.data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return held


@pytest.mark.parametrize("storage", ["float32", "int8"])
@pytest.mark.parametrize("lies", [False, True])
def test_weights_that_are_multiplied_in_bfloat16_are_held_in_it(
    tensors: Tensors, storage: Storage, lies: bool
) -> None:
    written = layers(tensors, storage, halved=True)
    x = ops.parameter([1, -1, N_INPUTS], np.float32)
    if lies:
        reshaped = written.lying(x, "attention", "k", HEAD_WIDTH)
        held = (
            reshaped.input_value(0).get_node().input_value(0).get_node().input_value(0).get_node()
        )
        matrix = tensors["attention.k_proj.weight"]
    else:
        product = written.product(Input(x), tensors["linear.weight"], None)
        held = product.input_value(0).get_node().input_value(1).get_node()
        matrix = tensors["linear.weight"]
    if storage == "int8":
        matrix = as_int8(matrix)
    bits = matrix.view(np.uint32)
    nearest = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    np.testing.assert_array_equal(numbers(held), nearest.view(np.float32))


@pytest.mark.parametrize("storage", ["float32", "int8"])
@pytest.mark.parametrize("dtype", [ov.Type.f32, ov.Type.bf16])
def test_a_norm_before_a_linear_layer_is_the_same_in_its_weights(
    tensors: Tensors, storage: Storage, dtype: ov.Type
) -> None:
    written = layers(tensors, storage, halved=True, dtype=dtype)
    x = ops.parameter([1, 4, N_INPUTS], np.float32)
    normed = written.norm(ops.convert(x, dtype), "norm")
    result = ops.convert(written.linear(normed, "linear"), "f32")
    given = np.random.default_rng(6).standard_normal((1, 4, N_INPUTS)).astype(np.float32) * 3 + 1
    compiled = ov.Core().compile_model(ov.Model([result], [x], "layer"), "CPU")
    found = compiled([given])[0]
    flat = (given - given.mean(-1, keepdims=True)) / np.sqrt(given.var(-1, keepdims=True) + 1e-5)
    matrix = tensors["linear.weight"] if storage == "float32" else as_int8(tensors["linear.weight"])
    wanted = (flat * tensors["norm.weight"] + tensors["norm.bias"]) @ matrix.T + tensors[
        "linear.bias"
    ]
    assert np.sqrt(np.mean((found - wanted) ** 2)) < 0.01 * wanted.std()


def test_layers_that_are_not_halved_hand_on_float32_alone(tensors: Tensors) -> None:
    with pytest.raises(ValueError, match="expected halved layers"):
        layers(tensors, "int8", dtype=ov.Type.bf16)
