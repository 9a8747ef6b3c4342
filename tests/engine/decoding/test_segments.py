"""Cutting a window at its timestamps against transformers' ``_retrieve_segment``."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import WhisperForConditionalGeneration

from whisperlab.engine.decoding.segments import cut

FIRST = 100
"""<|0.00|> of these tests; ids below are text."""


def reference(tokens: list[int], seek: int, n_frames: int) -> tuple[list[dict[str, Any]], int]:
    segments, offset = WhisperForConditionalGeneration._retrieve_segment(
        seek_sequence=torch.tensor(tokens, dtype=torch.long),
        seek_outputs=[None],
        time_offset=torch.tensor([seek], dtype=torch.float64) * 0.02 / 2,
        timestamp_begin=FIRST,
        seek_num_frames=torch.tensor([n_frames]),
        time_precision=0.02,
        time_precision_features=0.01,
        input_stride=2,
        prev_idx=0,
        idx=0,
        return_token_timestamps=False,
        decoder_input_ids=torch.zeros(1, 3),
    )
    return segments, int(offset)


@st.composite
def texts(draw: st.DrawFn) -> list[int]:
    """Tokens as the rules allow them: timestamps in pairs that grow, and an open end."""
    tokens = [FIRST + draw(st.integers(0, 3))]
    for _ in range(draw(st.integers(1, 4))):
        tokens += draw(st.lists(st.integers(0, 99), min_size=1, max_size=3))
        ending = draw(st.sampled_from(["pair", "single", "open"]))
        if ending == "open":
            break
        later = max(token for token in tokens if token >= FIRST) + draw(st.integers(1, 50))
        tokens.append(later)
        if ending == "single":
            break
        tokens.append(later + draw(st.integers(0, 20)))
    return tokens


@given(tokens=texts(), seek=st.integers(0, 5000), n_frames=st.integers(1, 3000))
def test_pieces_and_the_next_window_are_transformers(
    tokens: list[int], seek: int, n_frames: int
) -> None:
    segments, offset = reference(tokens, seek, n_frames)
    found = cut(tokens, FIRST, seek=seek, n_frames=n_frames)
    assert found.advance == offset
    for piece, segment in zip(found.pieces, segments, strict=True):
        assert tokens[piece.first : piece.last] == segment["tokens"].tolist()
        assert piece.end == pytest.approx(float(segment["end"]))
        assert (piece.first + 3, piece.last + 3) == segment["idxs"]
        # transformers gives a window's only segment the window's start: ours its first timestamp's.
        first = (tokens[piece.first] - FIRST) * 0.02
        assert piece.start == pytest.approx(seek * 0.01 + first)


def test_text_without_timestamps_is_one_piece_of_the_whole_window() -> None:
    found = cut([1, 2, 3], FIRST, seek=300, n_frames=500)
    [piece] = found.pieces
    assert (piece.start, piece.end) == pytest.approx((3.0, 8.0))
    assert found.advance == 500


def test_no_text_at_all_is_an_empty_piece() -> None:
    found = cut([], FIRST, seek=0, n_frames=3000)
    assert [(piece.first, piece.last) for piece in found.pieces] == [(0, 0)]
    assert found.advance == 3000
