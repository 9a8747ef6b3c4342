"""Training forward pass through the modules of ``WhisperForConditionalGeneration``.

Inference always pads to 30 s, and 1,500 positions make a training step slow. Behind the end of the audio every position holds the same silence, so
training keeps all positions of the audio and every ``stride``-th position of the padding, and gives each of those the attention weight of the
``stride`` positions it stands for. Audio positions keep their places, nothing is shifted.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as functional
from torch import nn
from transformers import WhisperForConditionalGeneration
from transformers.audio_utils import mel_filter_bank

POSITIONS = 1500
GUIDED_HEADS = ((0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1))


class Attention(torch.autograd.Function):
    """softmax(query @ key' + bias) @ value. Its backward pass takes half the time of torch's fused one on this CPU."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor
    ) -> torch.Tensor:
        spread = torch.softmax((query @ key.transpose(-1, -2)).add_(bias), dim=-1)
        mixed = spread @ value
        ctx.save_for_backward(query, key, value, spread, mixed)
        return mixed

    @staticmethod
    def backward(
        ctx: Any, gradient: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None]:
        query, key, value, spread, mixed = ctx.saved_tensors
        gradient = gradient.contiguous()
        inner = gradient @ value.transpose(-1, -2)
        inner.sub_((gradient * mixed).sum(dim=-1, keepdim=True)).mul_(spread)
        return (
            inner @ key,
            inner.transpose(-1, -2) @ query,
            spread.transpose(-1, -2) @ gradient,
            None,
        )


class Features(nn.Module):
    """Whisper's log-mel features of a batch that is shorter than 30 s, as ``WhisperFeatureExtractor`` gives them after padding to 30 s."""

    def __init__(self) -> None:
        super().__init__()
        filters = mel_filter_bank(201, 80, 0.0, 8000.0, 16_000, norm="slaney", mel_scale="slaney")
        self.register_buffer("filters", torch.tensor(filters, dtype=torch.float32).T.contiguous())
        self.register_buffer("window", torch.hann_window(400))

    def forward(self, audio: torch.Tensor, tilt: torch.Tensor | None = None) -> torch.Tensor:
        """Log-mel features of shape (batch, 80, frames); ``tilt`` (batch, 80) is added in log10 units as a channel effect."""
        spectrum = (
            torch.stft(audio, 400, 160, window=self.window, return_complex=True)[..., :-1].abs()
            ** 2
        )
        logarithm = (self.filters @ spectrum).clamp(min=1e-10).log10()
        if tilt is not None:
            logarithm = (logarithm + tilt[:, :, None]).clamp(min=-10)
        top = logarithm.amax(dim=(1, 2), keepdim=True)
        return (torch.maximum(logarithm, top - 8.0) + 4.0) / 4.0


def padding_positions(length: int, stride: int, phase: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Kept positions behind ``length`` and the number of positions that each stands for."""
    if length >= POSITIONS:
        return torch.zeros(0, dtype=torch.long), torch.zeros(0)
    kept = torch.arange(min(length + phase, POSITIONS - 1), POSITIONS, stride)
    return kept, torch.full((len(kept),), (POSITIONS - length) / len(kept))


def split(tensor: torch.Tensor, heads: int) -> torch.Tensor:
    batch, length, width = tensor.shape
    return tensor.view(batch, length, heads, width // heads).transpose(1, 2)


def encode(
    model: WhisperForConditionalGeneration, mel: torch.Tensor, length: int, stride: int, phase: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Encoder states (batch, kept positions, width) and the log weight of each kept position.

    ``mel`` has at least ``2 * length + 8`` frames, the last 8 of them silence, or exactly 3,000.
    """
    encoder = model.model.encoder
    heads = model.config.encoder_attention_heads
    hidden = functional.gelu(encoder.conv1(mel))
    hidden = functional.gelu(encoder.conv2(hidden)).transpose(1, 2)
    kept, counts = padding_positions(length, stride, phase)
    silence = hidden[:, length + 1 : length + 2].expand(-1, len(kept), -1)
    hidden = torch.cat([hidden[:, :length], silence], dim=1)
    positions = torch.cat([torch.arange(length), kept])
    hidden = hidden + encoder.embed_positions.weight[positions]
    weight = torch.cat([torch.zeros(length), counts.log()])
    bias = weight.to(torch.bfloat16)[None, None, None].expand(mel.shape[0], 1, 1, -1)
    for layer in encoder.layers:
        normed = layer.self_attn_layer_norm(hidden)
        attention = layer.self_attn
        query, key, value = (
            split(project(normed), heads)
            for project in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        mixed = Attention.apply(query * query.shape[-1] ** -0.5, key, value, bias.to(query.dtype))
        hidden = hidden + attention.out_proj(mixed.transpose(1, 2).flatten(2))
        hidden = hidden + layer.fc2(functional.gelu(layer.fc1(layer.final_layer_norm(hidden))))
    return encoder.layer_norm(hidden), weight


def decode(
    model: WhisperForConditionalGeneration,
    tokens: torch.Tensor,
    states: torch.Tensor,
    weight: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Decoder states (batch, tokens, width) and cross attention (batch, guided heads, tokens, positions)."""
    decoder = model.model.decoder
    heads = model.config.decoder_attention_heads
    hidden = decoder.embed_tokens(tokens) + decoder.embed_positions.weight[: tokens.shape[1]]
    guided = []
    for number, layer in enumerate(decoder.layers):
        normed, own = layer.self_attn_layer_norm(hidden), layer.self_attn
        query, key, value = (
            split(project(normed), heads) for project in (own.q_proj, own.k_proj, own.v_proj)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        hidden = hidden + own.out_proj(mixed.transpose(1, 2).flatten(2))
        normed, cross = layer.encoder_attn_layer_norm(hidden), layer.encoder_attn
        query = split(cross.q_proj(normed), heads)
        key, value = split(cross.k_proj(states), heads), split(cross.v_proj(states), heads)
        scores = (query @ key.transpose(2, 3)).float() * (query.shape[-1] ** -0.5) + weight
        spread = scores.softmax(dim=-1)
        hidden = hidden + cross.out_proj(
            (spread.to(value.dtype) @ value).transpose(1, 2).flatten(2)
        )
        guided += [spread[:, head] for at, head in GUIDED_HEADS if at == number]
        hidden = hidden + layer.fc2(functional.gelu(layer.fc1(layer.final_layer_norm(hidden))))
    return decoder.layer_norm(hidden), torch.stack(guided, dim=1)
