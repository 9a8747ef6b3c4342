"""When each token was said, by the attention that it paid to the window.

Owns normalising, smoothing and dynamic time warping. It does not know words.

Source: transformers ``_extract_token_timestamps`` and ``_dynamic_time_warping``; openai/whisper
``timing.py``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from whisperlab.engine.decoding.network import Floats
from whisperlab.engine.decoding.segments import FRAMES_A_POSITION, SECONDS_A_TIMESTAMP

DIAGONAL, DOWN, RIGHT = 0, 1, 2
"""How a path came to a cell: both a token and a position further, a token, a position."""


def token_ends(attention: Floats, *, n_frames: int, filter_width: int) -> list[float]:
    """Returns the seconds of the window at which each token ends, the last token's twice.

    ``attention`` has shape ``(n_heads, n_tokens, n_positions)``; positions beyond ``n_frames`` of
    sound do not count. No tokens give one 0.
    """
    weights = attention[..., : max(n_frames, FRAMES_A_POSITION) // FRAMES_A_POSITION]
    if not weights.shape[1]:
        return [0.0]
    with np.errstate(invalid="ignore", divide="ignore"):  # one token has no spread
        normal = (weights - weights.mean(axis=1, keepdims=True)) / weights.std(
            axis=1, keepdims=True
        )
    matrix = _median(normal, filter_width).mean(axis=0)
    tokens, positions = warp(-matrix.astype(np.float64))
    jumps = np.concatenate([[True], np.diff(tokens).astype(bool)])
    times = [float(position) * SECONDS_A_TIMESTAMP for position in positions[jumps]]
    return [*times, times[-1]]


def _median(weights: Floats, width: int) -> Floats:
    """Returns the running median over positions, mirrored at the edges."""
    edge = width // 2
    if weights.shape[-1] <= edge:
        return weights
    mirrored = np.pad(weights, ((0, 0), (0, 0), (edge, edge)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(mirrored, width, axis=-1)
    middle: Floats = np.sort(windows, axis=-1)[..., edge]
    return middle


def warp(
    costs: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Returns the cheapest monotonic path through ``(n_tokens, n_positions)``, from its start.

    >>> [step.tolist() for step in warp(np.array([[0.0, 0.0, 1.0], [1.0, 1.0, 0.0]]))]
    [[0, 0, 1], [0, 1, 2]]
    """
    n_tokens, n_positions = costs.shape
    total = np.full((n_tokens + 1, n_positions + 1), np.inf, np.float32)
    total[0, 0] = 0
    came = np.full((n_tokens + 1, n_positions + 1), RIGHT, np.int8)
    came[:, 0] = DOWN
    came[0, :] = RIGHT
    # Cells of one anti-diagonal depend on the two before it alone.
    for diagonal in range(2, n_tokens + n_positions + 1):
        i = np.arange(max(1, diagonal - n_positions), min(n_tokens, diagonal - 1) + 1)
        j = diagonal - i
        both, down, right = total[i - 1, j - 1], total[i - 1, j], total[i, j - 1]
        is_both = (both < down) & (both < right)
        is_down = ~is_both & (down < both) & (down < right)
        total[i, j] = costs[i - 1, j - 1] + np.where(is_both, both, np.where(is_down, down, right))
        came[i, j] = np.where(is_both, DIAGONAL, np.where(is_down, DOWN, RIGHT))
    tokens, positions = [], []
    i_last, j_last = n_tokens, n_positions
    while i_last > 0 or j_last > 0:
        tokens.append(i_last - 1)
        positions.append(j_last - 1)
        way = came[i_last, j_last]
        i_last -= way != RIGHT
        j_last -= way != DOWN
    return np.array(tokens[::-1]), np.array(positions[::-1])
