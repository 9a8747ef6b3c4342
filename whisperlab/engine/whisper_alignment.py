"""One row out of a batch that ``generate`` has decoded, as if it had been decoded alone.

Owns the cutting of transformers' outputs before words are aligned. It does not know how they are
aligned (cross attention and dynamic time warping, in transformers).
"""

from __future__ import annotations

from typing import Any

import torch


def row_alone(outputs: Any, position: int, *, n_rows: int, prompt: int, end: int) -> Any:
    """Returns the outputs of the row at ``position`` without its neighbours and its padding.

    ``outputs`` are ``generate``'s for ``n_rows`` rows with cross attention: ``sequences`` of shape
    ``(n_rows, prompt + tokens)`` and one tuple of layers a step, each of shape
    ``(n_rows * n_beams, heads, queries, frames)``. ``end`` is <|endoftext|>, which also pads.
    """
    tokens = outputs.sequences[position, prompt:]
    ended = (tokens == end).nonzero()
    steps = int(ended[0]) + 1 if len(ended) else len(tokens)
    beams = outputs.cross_attentions[0][0].shape[0] // n_rows
    mine = slice(position * beams, (position + 1) * beams)
    fields: dict[str, Any] = {
        "sequences": outputs.sequences[position : position + 1, : prompt + steps],
        "cross_attentions": tuple(
            tuple(layer[mine] for layer in step) for step in outputs.cross_attentions[:steps]
        ),
    }
    if "beam_indices" in outputs:
        indices = outputs.beam_indices[position : position + 1, :steps]
        fields["beam_indices"] = torch.where(indices < 0, indices, indices - mine.start)
    return type(outputs)(**fields)
