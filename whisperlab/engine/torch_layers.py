"""Whisper's layers in torch over a checkpoint's tensors, with memory that never moves.

Owns the arithmetic of both halves: fused projections, keys and values in fixed buffers, one type for
all. It does not know which rows run, which token is chosen or what a CUDA graph is.

Source: Radford et al. 2022, section 2.2; transformers ``modeling_whisper.py`` for the names of
tensors and the order of operations.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from whisperlab.engine.whisper_shape import Shape
from whisperlab.engine.whisper_weights import Weights

LAYER_NORM_EPSILON = 1e-5
"""torch's ``LayerNorm`` default."""

INT8_LIMIT = 127
"""The largest magnitude of symmetric int8."""


@dataclass(frozen=True, slots=True)
class Format:
    """Where tensors lie and in which type they are multiplied; ``int8`` holds weights as int8.

    int8 is symmetric, one scale an output channel; products are those of bfloat16 inputs.
    """

    device: torch.device
    dtype: torch.dtype
    int8: bool


class Linear:
    """``x @ weight.T + bias``, the weight held as the format says.

    A GPU's own product with int8 weights is made for few rows; there the weight is unpacked for each
    product instead (bfloat16 holds every int8), and the scale is applied to what comes out.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, to: Format) -> None:
        self._bias = None if bias is None else bias.to(to.device, to.dtype)
        self._scale: Tensor | None = None
        if not to.int8:
            self._weight = weight.to(to.device, to.dtype)
            return
        scale = weight.abs().amax(1, keepdim=True) / INT8_LIMIT
        scale[scale == 0] = 1.0
        self._weight = (weight / scale).round().to(torch.int8).to(to.device)
        self._scale = scale.squeeze(1).to(to.device, to.dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """Returns shape ``(..., n_outputs)``."""
        if self._scale is None:
            return functional.linear(x, self._weight, self._bias)
        if x.device.type == "cpu":
            flat = torch._weight_int8pack_mm(x.reshape(-1, x.shape[-1]), self._weight, self._scale)
            whole = flat.view(*x.shape[:-1], -1)
        else:
            whole = functional.linear(x, self._weight.to(x.dtype)) * self._scale
        return whole if self._bias is None else whole + self._bias


class Norm:
    """Layer normalisation."""

    def __init__(self, weights: Weights, name: str, to: Format) -> None:
        self._weight = _tensor(weights, f"{name}.weight").to(to.device, to.dtype)
        self._bias = _tensor(weights, f"{name}.bias").to(to.device, to.dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """Returns shape ``(..., width)``."""
        return functional.layer_norm(x, x.shape[-1:], self._weight, self._bias, LAYER_NORM_EPSILON)


class FeedForward:
    """The two linear layers behind every attention, with their norm and residual."""

    def __init__(self, weights: Weights, layer: str, to: Format) -> None:
        self._norm = Norm(weights, f"{layer}.final_layer_norm", to)
        self._inner = _linear(weights, f"{layer}.fc1", to)
        self._outer = _linear(weights, f"{layer}.fc2", to)

    def __call__(self, x: Tensor) -> Tensor:
        """Returns ``x`` and what the layer adds to it."""
        return x + self._outer(functional.gelu(self._inner(self._norm(x))))


class EncoderLayer:
    """Self attention over a window's positions."""

    def __init__(self, weights: Weights, number: int, heads: int, to: Format) -> None:
        layer = f"encoder.layers.{number}"
        self._heads = heads
        self._norm = Norm(weights, f"{layer}.self_attn_layer_norm", to)
        self._together = _fused(weights, f"{layer}.self_attn", "qkv", to)
        self._out = _linear(weights, f"{layer}.self_attn.out_proj", to)
        self._feed_forward = FeedForward(weights, layer, to)

    def __call__(self, x: Tensor) -> Tensor:
        """Returns shape ``(n_windows, n_positions, width)``."""
        query, key, value = split(self._together(self._norm(x)), 3, self._heads)
        heads = functional.scaled_dot_product_attention(query, key, value)
        return self._feed_forward(x + self._out(join(heads)))


class DecoderLayer:
    """Self attention over the text so far, cross attention over the window."""

    def __init__(self, weights: Weights, number: int, heads: int, to: Format) -> None:
        layer = f"decoder.layers.{number}"
        self._heads = heads
        self._norm = Norm(weights, f"{layer}.self_attn_layer_norm", to)
        self._together = _fused(weights, f"{layer}.self_attn", "qkv", to)
        self._out = _linear(weights, f"{layer}.self_attn.out_proj", to)
        self._window_norm = Norm(weights, f"{layer}.encoder_attn_layer_norm", to)
        self._window_query = _linear(weights, f"{layer}.encoder_attn.q_proj", to)
        self._window_out = _linear(weights, f"{layer}.encoder_attn.out_proj", to)
        self._window_keys = _fused(weights, f"{layer}.encoder_attn", "kv", to)
        self._feed_forward = FeedForward(weights, layer, to)

    def heard(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the window's keys and values, ``(n_windows, heads, n_positions, head_width)``."""
        key, value = split(self._window_keys(encoded), 2, self._heads)
        return key, value

    def __call__(self, x: Tensor, own: Tensor, window: Tensor, at: Tensor, mask: Tensor) -> Tensor:
        """Returns shape ``(n_rows, n_tokens, width)`` and writes the tokens' keys and values.

        ``own`` ``(2, n_rows, heads, n_places, head_width)`` holds the texts, ``window`` ``(2,
        n_windows, heads, n_positions, head_width)`` the windows; ``at`` ``(n_rows, n_tokens)`` are
        the places to write to, ``mask`` ``(n_rows, 1, n_tokens, n_places)`` what may be looked at.
        """
        x = self._look_back(x, own, at, mask)
        query = self._window_queries(x, window.shape[1])
        seen = functional.scaled_dot_product_attention(query, window[0], window[1])
        return self._feed_forward(x + self._window_out(join(seen).reshape(x.shape)))

    def attended(
        self, x: Tensor, own: Tensor, window: Tensor, at: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns what calling the layer does, and the cross attention of one row.

        The attention has the shape ``(heads, n_tokens, n_positions)``, in float32.
        """
        x = self._look_back(x, own, at, mask)
        query = self._window_queries(x, window.shape[1])
        scores = (query @ window[0].transpose(-1, -2)).float() * query.shape[-1] ** -0.5
        chances = scores.softmax(-1)
        seen = chances.to(x.dtype) @ window[1]
        x = self._feed_forward(x + self._window_out(join(seen).reshape(x.shape)))
        return x, chances[0]

    def _look_back(self, x: Tensor, own: Tensor, at: Tensor, mask: Tensor) -> Tensor:
        query, key, value = split(self._together(self._norm(x)), 3, self._heads)
        places = at[:, None, :, None].expand(key.shape)
        own[0].scatter_(2, places, key)
        own[1].scatter_(2, places, value)
        seen = functional.scaled_dot_product_attention(query, own[0], own[1], attn_mask=mask)
        return x + self._out(join(seen))

    def _window_queries(self, x: Tensor, n_windows: int) -> Tensor:
        """Returns the rows of one window side by side: its keys are read once for all of them.

        Shape ``(n_windows, heads, rows a window * n_tokens, head_width)``.
        """
        query = self._window_query(self._window_norm(x))
        return split(query.reshape(n_windows, -1, query.shape[-1]), 1, self._heads)[0]


class Encoder:
    """Log-mel windows to hidden positions."""

    def __init__(self, weights: Weights, shape: Shape, to: Format) -> None:
        self._kernels = [
            (_tensor(weights, f"{name}.weight").to(to.device, to.dtype),
             _tensor(weights, f"{name}.bias").to(to.device, to.dtype), stride)
            for name, stride in (("encoder.conv1", 1), ("encoder.conv2", 2))
        ]  # fmt: skip
        places = _tensor(weights, "encoder.embed_positions.weight")
        self._places = places.to(to.device, to.dtype)
        self._layers = [
            EncoderLayer(weights, number, shape.encoder_heads, to)
            for number in range(shape.encoder_layers)
        ]
        self._norm = Norm(weights, "encoder.layer_norm", to)

    def __call__(self, features: Tensor) -> Tensor:
        """Returns ``(n_windows, n_frames / 2, width)`` of ``(n_windows, n_mels, n_frames)``."""
        x = features
        # By default torch convolves float32 on a GPU with ten bits of mantissa (TF32).
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            for kernel, bias, stride in self._kernels:
                x = functional.gelu(functional.conv1d(x, kernel, bias, stride=stride, padding=1))
        x = x.transpose(1, 2)
        x = x + self._places[: x.shape[1]]
        for layer in self._layers:
            x = layer(x)
        return self._norm(x)


class Decoder:
    """Tokens to logits, over buffers that the caller holds."""

    def __init__(self, weights: Weights, shape: Shape, to: Format) -> None:
        table = _tensor(weights, "decoder.embed_tokens.weight")
        self._table = table.to(to.device, to.dtype)
        self._places = _tensor(weights, "decoder.embed_positions.weight").to(to.device, to.dtype)
        self.layers = [
            DecoderLayer(weights, number, shape.decoder_heads, to)
            for number in range(shape.decoder_layers)
        ]
        self._norm = Norm(weights, "decoder.layer_norm", to)
        tied = "proj_out.weight" not in weights
        out = table if tied else _tensor(weights, "proj_out.weight")
        self._logits = Linear(out, None, to)

    def embed(self, ids: Tensor, places: Tensor) -> Tensor:
        """Returns ``(n_rows, n_tokens, width)`` of ids and places, both ``(n_rows, n_tokens)``."""
        return functional.embedding(ids, self._table) + functional.embedding(places, self._places)

    def __call__(self, x: Tensor, own: Tensor, window: Tensor, at: Tensor, mask: Tensor) -> Tensor:
        """Returns the last hidden states; buffers as `DecoderLayer`, layers in front."""
        for number, layer in enumerate(self.layers):
            x = layer(x, own[number], window[number], at, mask)
        return x

    def logits(self, x: Tensor) -> Tensor:
        """Returns float32 logits ``(..., vocabulary)`` of hidden states."""
        return self._logits(self._norm(x)).float()


def split(x: Tensor, parts: int, heads: int) -> tuple[Tensor, ...]:
    """Returns ``parts`` tensors ``(n_rows, heads, n_tokens, head_width)`` that lie side by side."""
    rows, tokens, _ = x.shape
    apart = x.view(rows, tokens, parts, heads, -1).permute(2, 0, 3, 1, 4)
    return tuple(apart)


def join(heads: Tensor) -> Tensor:
    """Returns ``(n_rows, n_tokens, width)``."""
    return heads.transpose(1, 2).flatten(2)


def _tensor(weights: Weights, name: str) -> Tensor:
    return torch.from_numpy(weights.tensor(name))


def _linear(weights: Weights, name: str, to: Format) -> Linear:
    return Linear(_tensor(weights, f"{name}.weight"), _tensor(weights, f"{name}.bias"), to)


def _fused(weights: Weights, attention: str, kinds: str, to: Format) -> Linear:
    """Returns the projections of ``kinds`` as one product; keys have no bias."""
    matrices = [_tensor(weights, f"{attention}.{kind}_proj.weight") for kind in kinds]
    biases = [
        torch.zeros(len(matrix))
        if kind == "k"
        else _tensor(weights, f"{attention}.{kind}_proj.bias")
        for kind, matrix in zip(kinds, matrices, strict=True)
    ]
    return Linear(torch.cat(matrices), torch.cat(biases), to)
