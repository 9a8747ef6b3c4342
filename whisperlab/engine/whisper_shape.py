"""The sizes of a Whisper network, as its checkpoint's config.json names them.

Owns what our own engines read from that file. It does not know weights.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from whisperlab.engine.decoding.segments import FRAMES_A_POSITION
from whisperlab.errors import ModelError

MEDIAN_FILTER_WIDTH = 7
"""transformers' default of ``median_filter_width``."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a Whisper network, from ``config.json``."""

    width: int
    n_mels: int
    encoder_layers: int
    encoder_heads: int
    decoder_layers: int
    decoder_heads: int
    source_positions: int
    target_positions: int
    vocabulary: int
    filter_width: int
    """Positions over which attention is smoothed before words are placed."""

    @property
    def head_width(self) -> int:
        """Channels of one head of the decoder."""
        return self.width // self.decoder_heads

    @property
    def window_frames(self) -> int:
        """Log-mel frames that the encoder hears at once."""
        return self.source_positions * FRAMES_A_POSITION


def read_shape(folder: Path) -> Shape:
    """Returns the sizes of the checkpoint in ``folder``, which ``checkpoint.inspect`` has passed.

    Raises:
        ModelError: the network is of a kind that our own engines do not know.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    activation = config.get("activation_function", "gelu")
    if activation != "gelu" or config.get("scale_embedding", False):
        raise ModelError(
            f"{folder / 'config.json'}: expected activation_function gelu and no scale_embedding, "
            f"got {str(activation)[:80]!r} and {config.get('scale_embedding')}; choose engine=hf"
        )
    return Shape(
        width=config["d_model"],
        n_mels=config["num_mel_bins"],
        encoder_layers=config["encoder_layers"],
        encoder_heads=config["encoder_attention_heads"],
        decoder_layers=config["decoder_layers"],
        decoder_heads=config["decoder_attention_heads"],
        source_positions=config["max_source_positions"],
        target_positions=config["max_target_positions"],
        vocabulary=config["vocab_size"],
        filter_width=config.get("median_filter_width", MEDIAN_FILTER_WIDTH),
    )
