"""Several texts a window side by side, the best of which is kept: beam search.

Owns which continuations live on and which finished texts are kept. It does not judge its texts.

Source: transformers ``GenerationMixin._beam_search``: the scores of finished texts are divided by
their length to the power of ``length_penalty``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from whisperlab.engine.decoding.network import Floats, Network
from whisperlab.engine.decoding.rules import Rules, log_sum_exp
from whisperlab.engine.decoding.single import placed
from whisperlab.engine.decoding.start import Start, begin
from whisperlab.engine.decoding.text import Text
from whisperlab.errors import InferenceError

BLOCK = 256
"""Scores whose largest is found at once: the best ``k`` lie in the ``k`` best blocks."""

NO_SCORE = np.float32(-1e9)
"""What a beam that does not exist yet scores; transformers' value."""


@dataclass(frozen=True, slots=True)
class _Beam:
    """A text on its way, or finished: its score is the sum of its raw log probabilities."""

    tokens: tuple[int, ...] = ()
    score: np.float32 = NO_SCORE
    logprobs: tuple[float, ...] = ()
    after_rules: tuple[float, ...] = ()


class _Candidate(NamedTuple):
    score: np.float32
    beam: int
    token: int
    logprob: float
    after_rules: float


@dataclass(slots=True)
class _Search:
    """The beams of one window."""

    position: int
    room: int
    running: list[_Beam]
    finished: list[_Beam] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)
    """The beam that each running one continues."""


@dataclass(frozen=True, slots=True)
class BeamRules:
    """How beams compete: how many there are, and when their window is done."""

    n_beams: int
    end: int
    length_penalty: float
    early_stopping: bool | Literal["never"]


def decode(
    network: Network,
    starts: Sequence[Start],
    rules: Rules,
    beams: BeamRules,
    is_stopped: Callable[[int], bool],
) -> list[Text]:
    """Returns the best text of each start; ``is_stopped`` is asked after every step."""
    beginning = begin(network, starts)
    n_beams = beams.n_beams
    logits = beginning.logits
    searches = [
        _Search(position, start.room, [_Beam(score=np.float32(0))])
        for position, start in enumerate(starts)
    ]
    texts: dict[int, Text] = {}
    while searches:
        done = set()
        width = len(logits) // len(searches)  # one row a window after the prompts, then n_beams
        for index, search in enumerate(searches):
            scores = logits[index * width : (index + 1) * width]
            candidates = _candidates(search, scores, rules, 2 * n_beams)
            if _advance(search, candidates, beams, stopped=is_stopped(search.position)):
                done.add(index)
                texts[search.position] = _best(search, beams, beginning.no_speech[search.position])
        kept = placed([index for index in range(len(searches)) if index not in done])
        sources = [index * width + source for index in kept for source in searches[index].sources]
        searches = [searches[index] for index in kept]
        if searches:
            tokens = [beam.tokens[-1] for search in searches for beam in search.running]
            logits = network.step(tokens, sources)
    return [texts[position] for position in range(len(starts))]


def _candidates(search: _Search, logits: Floats, rules: Rules, count: int) -> list[_Candidate]:
    """Returns the ``count`` best continuations of the running beams, the best first."""
    found: list[_Candidate] = []
    for number, (beam, scores) in enumerate(zip(search.running, logits, strict=True)):
        total = log_sum_exp(scores)
        if math.isnan(total):
            raise InferenceError(
                "the model produced non-finite logits; its weights are damaged, or the precision "
                "overflows: try quantization=none",
                code="non_finite_logits",
            )
        rules.apply(scores, beam.tokens)
        allowed = log_sum_exp(scores)
        for token in best(scores, count):
            logprob = scores[token] - total
            found.append(
                _Candidate(
                    beam.score + logprob,
                    number,
                    int(token),
                    float(logprob),
                    float(scores[token] - allowed),
                )
            )
    return sorted(found, key=lambda candidate: -candidate.score)[:count]


def _advance(
    search: _Search, candidates: Sequence[_Candidate], beams: BeamRules, *, stopped: bool
) -> bool:
    """Takes one step; returns whether the search is over."""
    grown = [
        _Beam(
            (*search.running[one.beam].tokens, one.token),
            one.score,
            (*search.running[one.beam].logprobs, one.logprob),
            (*search.running[one.beam].after_rules, one.after_rules),
        )
        for one in candidates
    ]
    length = len(grown[0].tokens)
    cut = stopped or length == search.room
    closed = [cut or beam.tokens[-1] == beams.end for beam in grown]
    full = len(search.finished) == beams.n_beams
    if not (full and beams.early_stopping is True):
        just = [
            beam for beam, over in list(zip(grown, closed, strict=True))[: beams.n_beams] if over
        ]
        ranked = sorted([*search.finished, *just], key=lambda beam: -_rank(beam, beams))
        search.finished = ranked[: beams.n_beams]
    if all(closed):
        return True
    living = [index for index, over in enumerate(closed) if not over][: beams.n_beams]
    search.running = [grown[index] for index in living]
    search.sources = [candidates[index].beam for index in living]
    if len(search.finished) < beams.n_beams:
        return False
    hopeful = (
        search.room if beams.early_stopping == "never" and beams.length_penalty > 0 else length
    )
    hope = search.running[0].score / hopeful**beams.length_penalty
    return beams.early_stopping is True or not hope > _rank(search.finished[-1], beams)


def _rank(beam: _Beam, beams: BeamRules) -> float:
    return float(beam.score / len(beam.tokens) ** beams.length_penalty)


def _best(search: _Search, beams: BeamRules, no_speech: float | None) -> Text:
    beam = search.finished[0]
    ended = beam.tokens[-1] == beams.end
    return Text(
        beam.tokens[:-1] if ended else beam.tokens,
        ended,
        beam.logprobs,
        sum(beam.after_rules) / len(beam.after_rules),
        no_speech,
    )


def best(scores: Floats, count: int) -> npt.NDArray[np.intp]:
    """Returns the indices of the ``count`` largest scores, the largest first.

    >>> best(np.array([0.1, 0.7, 0.2], np.float32), 2)
    array([1, 2])
    """
    count = min(count, len(scores))
    whole = len(scores) // BLOCK * BLOCK
    blocks = scores[:whole].reshape(-1, BLOCK).max(axis=1)
    if len(blocks) > count:
        chosen = np.argpartition(blocks, -count)[-count:]
        spread = (chosen[:, None] * BLOCK + np.arange(BLOCK)).ravel()
        among = np.concatenate([spread, np.arange(whole, len(scores))])
    else:
        among = np.arange(len(scores))
    order = np.lexsort((among, -scores[among]))[:count]
    return among[order]
