"""Where a text starts: its window, its prompt, and how far it may go.

Owns the first pass of a batch, and what is read from it beside the text: whether there is speech.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from whisperlab.engine.decoding.network import Floats, Network
from whisperlab.engine.decoding.rules import log_sum_exp


@dataclass(frozen=True, slots=True)
class Start:
    """A text to write: of the window ``heard``, after ``prompt``, at most ``room`` tokens.

    ``from_end`` says where <|startoftranscript|> is in the prompt, 1 for its last token; it is the
    same for all of a batch.
    """

    heard: int
    prompt: tuple[int, ...]
    from_end: int
    room: int
    no_speech_token: int | None


class Begun(NamedTuple):
    """Logits of each first token, shape ``(n_rows, vocabulary)``, and P(no speech) of each row."""

    logits: Floats
    no_speech: list[float | None]


def begin(network: Network, starts: Sequence[Start], beside: Sequence[int] = ()) -> Begun:
    """Feeds the prompts of a batch and reads P(<|nospeech|>) after <|startoftranscript|>.

    ``beside`` are the running rows, as `Network.begin` takes them.
    """
    beginning = network.begin(
        [start.heard for start in starts],
        [start.prompt for start in starts],
        starts[0].from_end,
        beside,
    )
    chances = [
        None
        if start.no_speech_token is None
        else float(np.exp(logits[start.no_speech_token] - log_sum_exp(logits)))
        for start, logits in zip(starts, beginning.at_start, strict=True)
    ]
    return Begun(beginning.at_end, chances)
