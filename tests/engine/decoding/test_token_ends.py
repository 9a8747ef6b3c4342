"""Word alignment against transformers: the path through the attention, and what comes before it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.whisper.generation_whisper import _dynamic_time_warping, _median_filter

from whisperlab.engine.decoding.alignment import _median, token_ends, warp


@given(st.integers(1, 12), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_the_cheapest_path_is_transformers(n_tokens: int, n_positions: int, seed: int) -> None:
    costs = np.random.default_rng(seed).standard_normal((n_tokens, n_positions))
    wanted = _dynamic_time_warping(costs)
    for got, reference in zip(warp(costs), wanted, strict=True):
        np.testing.assert_array_equal(got, reference)


@pytest.mark.parametrize("n_positions", [2, 3, 4, 40])
def test_the_running_median_is_transformers(n_positions: int) -> None:
    weights = np.random.default_rng(1).random((2, 3, n_positions)).astype(np.float32)
    wanted = _median_filter(torch.from_numpy(weights), 7).numpy()
    np.testing.assert_array_equal(_median(weights, 7), wanted)


def test_tokens_end_where_the_attention_moves_on() -> None:
    attention = np.full((1, 3, 30), 0.01, np.float32)
    for token in range(3):
        attention[0, token, 10 * token : 10 * token + 10] = 1.0
    ends = token_ends(attention, n_frames=60, filter_width=3)
    assert ends == pytest.approx([0.0, 0.2, 0.4, 0.4], abs=0.021)


def test_positions_behind_the_sound_do_not_count() -> None:
    attention = np.random.default_rng(2).random((2, 4, 100)).astype(np.float32)
    cut = token_ends(attention, n_frames=40, filter_width=7)
    assert cut == token_ends(attention[..., :20], n_frames=40, filter_width=7)
    assert max(cut) <= 0.4


def test_no_tokens_have_one_end() -> None:
    assert token_ends(np.zeros((2, 0, 50), np.float32), n_frames=100, filter_width=7) == [0.0]
