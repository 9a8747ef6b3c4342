"""Whisper's log-mel features on a GPU: the samples go there, the features stay there.

Owns `LogMel` said in torch. What a frame, a filter and silence are is ``log_mel.py``'s; it is in
float64 here too, so that both give the same features to the last digit or so of a float32.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from whisperlab.audio import Samples
from whisperlab.engine.log_mel import (
    FRAME_SAMPLES,
    HOP_SAMPLES,
    POWER_FLOOR,
    RANGE_DECADES,
    WINDOW_SAMPLES,
    frames_heard,
    mel_filters,
    mirrored,
)

BLOCK_FRAMES: Final = 1 << 15
"""Frames transformed at once: some 300 MB, so that ten hours of sound fit beside a model."""


class TorchLogMel:
    """`LogMel` on ``device``."""

    def __init__(self, n_mels: int, device: torch.device) -> None:
        self._n_mels = n_mels
        self._device = device
        self._filters = torch.from_numpy(mel_filters(n_mels)).to(device)
        self._window = torch.hann_window(FRAME_SAMPLES, dtype=torch.float64, device=device)

    @torch.inference_mode()
    def __call__(self, samples: Samples, at_least: int = WINDOW_SAMPLES) -> Tensor:
        """Returns what `LogMel` returns, as a float32 tensor on the device."""
        total = max(len(samples), at_least)
        n_frames = total // HOP_SAMPLES
        sound = to_device(torch.from_numpy(mirrored(samples, total)), self._device)
        frames = sound.unfold(0, FRAME_SAMPLES, HOP_SAMPLES)
        features = torch.empty(self._n_mels, n_frames, device=self._device)
        heard = frames_heard(len(samples), n_frames)
        for start in range(0, heard, BLOCK_FRAMES):
            stop = min(start + BLOCK_FRAMES, heard)
            spectrum = torch.fft.rfft(frames[start:stop] * self._window)  # shape (n_frames, 201)
            power = spectrum.real.square() + spectrum.imag.square()
            mels = self._filters @ power.T  # shape (n_mels, n_frames)
            features[:, start:stop] = mels.clamp_min_(POWER_FLOOR).log10_()
        features[:, heard:] = float(np.float32(np.log10(POWER_FLOOR)))
        floor = features.amax() - RANGE_DECADES
        return torch.maximum(features, floor).add_(4.0).mul_(0.25)

    @staticmethod
    def widened(part: Tensor, n_frames: int) -> Tensor:
        """Returns ``part`` of features with zeros behind it: ``n_frames`` wide."""
        return functional.pad(part, (0, n_frames - part.shape[1]))


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Returns ``tensor`` on the device; to a GPU through pinned memory, without waiting for it.

    The pinned copy is kept by torch until the GPU has read it.
    """
    if device.type == "cuda" and not tensor.is_cuda:
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
