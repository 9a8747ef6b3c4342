"""Texts token by token, side by side: the likeliest token, or one drawn at a temperature.

Owns the running batch: rows end one by one, and further ones join between steps. It does not judge
its texts.

Source: transformers ``GenerationMixin._sample``, ``TemperatureLogitsWarper``, ``TopKLogitsWarper``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from whisperlab.engine.decoding.language import detect_languages
from whisperlab.engine.decoding.network import (
    NEW,
    Beginning,
    Choice,
    ChoosingNetwork,
    Floats,
    Network,
)
from whisperlab.engine.decoding.rules import Rules, log_sum_exp
from whisperlab.engine.decoding.start import Start, begin
from whisperlab.engine.decoding.text import Text
from whisperlab.engine.decoding.vocabulary import Vocabulary
from whisperlab.errors import InferenceError

SAMPLED_FROM = 50
"""The likeliest tokens among which one is drawn (``top_k`` of transformers' generation)."""


@dataclass(slots=True)
class Writing:
    """A text on its way: greedy at ``temperature`` 0, else drawn by ``generator``.

    ``try_number`` counts the tries of its window from 0. ``is_stopped`` is asked after every token.
    """

    start: Start
    timestamps: bool
    temperature: float
    try_number: int
    generator: np.random.Generator
    is_stopped: Callable[[], bool]
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    no_speech: float | None = None
    text: Text | None = None
    """``None`` until it is written."""


class Batch:
    """The running texts of one network; no text depends on its neighbours.

    ``rules`` are those of texts without timestamps and with.
    """

    def __init__(self, network: Network, rules: Mapping[bool, Rules], end: int) -> None:
        self._network = network
        self._choosing = network if isinstance(network, ChoosingNetwork) else None
        self._rules = rules
        self._end = end
        self._rows: list[Writing | None] = []
        """The network's rows; ``None`` where a text has ended."""

    def join(self, writings: Sequence[Writing]) -> None:
        """Begins texts beside the running ones, and chooses the first token of each.

        Either all have timestamps or none.
        """
        beside = self._beside(len(writings))
        begun = begin(self._network, [writing.start for writing in writings], beside)
        self._settle(beside, writings)
        for writing, no_speech in zip(writings, begun.no_speech, strict=True):
            writing.no_speech = no_speech
        self._take(writings, self._choose(begun.logits, writings))

    def detect_languages(self, vocabulary: Vocabulary, heard: Sequence[int]) -> list[int] | None:
        """Returns the likeliest language of each window, ``None`` without languages."""

        def beside_running(
            heard: Sequence[int], prompts: Sequence[Sequence[int]], from_end: int
        ) -> Beginning:
            beside = self._beside(len(heard))
            beginning = self._network.begin(heard, prompts, from_end, beside)
            self._settle(beside, [None] * len(heard))
            return beginning

        return detect_languages(beside_running, vocabulary, heard)

    def step(self) -> None:
        """Appends a token to every running text; those that end have their ``text`` then."""
        kept = placed(self._open())
        rows = [row for row in (self._rows[source] for source in kept) if row is not None]
        self._rows = list(rows)
        tokens = [row.tokens[-1] for row in rows]
        if self._choosing and not any(row.temperature for row in rows):
            bans = [self._rules[row.timestamps].ban(row.tokens) for row in rows]
            self._take(rows, self._choosing.choose(tokens, kept, self._rules[False], bans))
        else:
            self._take(rows, self._choose(self._network.step(tokens, kept), rows))

    def _open(self) -> list[int]:
        return [place for place, row in enumerate(self._rows) if row is not None]

    def _beside(self, n_new: int) -> list[int]:
        running = self._open()
        return placed(running, n_new) if running else []

    def _settle(self, beside: Sequence[int], new: Sequence[Writing | None]) -> None:
        """Notes the network's rows after a beginning."""
        joining = iter(new)
        sources = beside or [NEW] * len(new)
        self._rows = [next(joining) if one == NEW else self._rows[one] for one in sources]

    def _choose(self, logits: Floats, rows: Sequence[Writing]) -> Choice:
        tokens, logprobs = [], []
        for row, scores in zip(rows, logits, strict=True):
            self._rules[row.timestamps].apply(scores, row.tokens)
            likeliest = int(scores.argmax())
            token = (
                _draw(scores, row.temperature, row.generator) if row.temperature > 0 else likeliest
            )
            tokens.append(token)
            logprobs.append(float(scores[token] - log_sum_exp(scores, scores[likeliest])))
        return Choice(tokens, logprobs)

    def _take(self, rows: Sequence[Writing], choice: Choice) -> None:
        for row, token, logprob in zip(rows, choice.tokens, choice.logprobs, strict=True):
            row.tokens.append(token)
            row.logprobs.append(_finite(logprob))
        for row in rows:
            stopped = row.is_stopped()
            ended = row.tokens[-1] == self._end
            if ended or stopped or len(row.tokens) == row.start.room:
                row.text = _text(row, ended=ended)
        self._rows = [row if row is not None and row.text is None else None for row in self._rows]


def placed(running: Sequence[int], n_new: int = 0) -> list[int]:
    """Returns the sources of the rows of a batch: few change their place, new ones fill the gaps.

    >>> placed([1, 2, 3])
    [3, 1, 2]
    >>> placed([0, 2, 3], 2)
    [0, -1, 2, 3, -1]
    """
    size = len(running) + n_new
    staying = {place for place in running if place < size}
    moving = [place for place in running if place >= size]
    return [place if place in staying else moving.pop() if moving else NEW for place in range(size)]


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


def _text(row: Writing, *, ended: bool) -> Text:
    tokens = row.tokens[:-1] if ended else row.tokens
    mean = sum(row.logprobs) / len(row.logprobs)
    return Text(tuple(tokens), ended, tuple(row.logprobs), mean, row.no_speech)
