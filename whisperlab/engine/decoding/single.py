"""One text a window, token by token: the likeliest, or drawn at a temperature.

Owns the loop over the steps of a batch whose rows end one by one. It does not judge its texts.

Source: transformers ``GenerationMixin._sample``, ``TemperatureLogitsWarper``, ``TopKLogitsWarper``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from whisperlab.engine.decoding.network import Choice, ChoosingNetwork, Floats, Network
from whisperlab.engine.decoding.rules import Rules, log_sum_exp
from whisperlab.engine.decoding.start import Start, begin
from whisperlab.engine.decoding.text import Text
from whisperlab.errors import InferenceError

SAMPLED_FROM = 50
"""The likeliest tokens among which one is drawn (``top_k`` of transformers' generation)."""


@dataclass(slots=True)
class _Row:
    """A text on its way."""

    position: int
    room: int
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


def decode(
    network: Network,
    starts: Sequence[Start],
    rules: Rules,
    *,
    temperature: float,
    generators: Sequence[np.random.Generator],
    end: int,
    is_stopped: Callable[[int], bool],
) -> list[Text]:
    """Returns a text for each start, greedily at ``temperature`` 0, else drawn by its generator.

    ``is_stopped(position)`` is asked after every token of the start at ``position``.
    """
    beginning = begin(network, starts)
    rows = [_Row(position, start.room) for position, start in enumerate(starts)]
    texts: dict[int, Text] = {}
    choice = _choice(beginning.logits, rows, rules, temperature, generators)
    while rows:
        for row, token, logprob in zip(rows, choice.tokens, choice.logprobs, strict=True):
            row.tokens.append(token)
            row.logprobs.append(_finite(logprob))
        open_rows = []
        for source, row in enumerate(rows):
            stopped = is_stopped(row.position)
            ended = row.tokens[-1] == end
            if ended or stopped or len(row.tokens) == row.room:
                texts[row.position] = _text(row, beginning.no_speech[row.position], ended=ended)
            else:
                open_rows.append(source)
        kept = filled(open_rows, len(rows))
        rows = [rows[source] for source in kept]
        if not rows:
            break
        tokens = [row.tokens[-1] for row in rows]
        if temperature == 0 and isinstance(network, ChoosingNetwork):
            choice = network.choose(tokens, kept, rules, [row.tokens for row in rows])
        else:
            choice = _choice(network.step(tokens, kept), rows, rules, temperature, generators)
    return [texts[position] for position in range(len(starts))]


def _choice(
    logits: Floats,
    rows: Sequence[_Row],
    rules: Rules,
    temperature: float,
    generators: Sequence[np.random.Generator],
) -> Choice:
    tokens, logprobs = [], []
    for row, scores in zip(rows, logits, strict=True):
        rules.apply(scores, row.tokens)
        token = (
            _draw(scores, temperature, generators[row.position])
            if temperature > 0
            else int(scores.argmax())
        )
        tokens.append(token)
        logprobs.append(float(scores[token] - log_sum_exp(scores)))
    return Choice(tokens, logprobs)


def filled(kept: Sequence[int], n_before: int) -> list[int]:
    """Returns ``kept`` so ordered that few change their place: the last fill the gaps.

    >>> filled([1, 2, 3], 4)
    [3, 1, 2]
    """
    staying = [index for index in kept if index < len(kept)]
    moving = [index for index in kept if index >= len(kept)]
    return [
        index if index in staying else moving.pop() for index in range(min(len(kept), n_before))
    ]


def _draw(scores: Floats, temperature: float, generator: np.random.Generator) -> int:
    likeliest = np.argpartition(scores, -min(SAMPLED_FROM, len(scores)))[-SAMPLED_FROM:]
    warm = scores[likeliest].astype(np.float64) / temperature
    chances = np.exp(warm - warm.max())
    return int(generator.choice(likeliest, p=chances / chances.sum()))


def _finite(logprob: float) -> float:
    if math.isnan(logprob):
        raise InferenceError(
            "the model produced non-finite logits; its weights are damaged, or the precision "
            "overflows: try quantization=none",
            code="non_finite_logits",
        )
    return logprob


def _text(row: _Row, no_speech: float | None, *, ended: bool) -> Text:
    tokens = row.tokens[:-1] if ended else row.tokens
    mean = sum(row.logprobs) / len(row.logprobs)
    return Text(tuple(tokens), ended, tuple(row.logprobs), mean, no_speech)
