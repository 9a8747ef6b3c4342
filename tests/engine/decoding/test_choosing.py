"""Greedy and beam choice over a network that is a table of probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whisperlab.engine.decoding import beams
from whisperlab.engine.decoding.network import NEW, Beginning, Floats
from whisperlab.engine.decoding.rules import Rules
from whisperlab.engine.decoding.single import Batch, Writing
from whisperlab.engine.decoding.start import Start
from whisperlab.engine.decoding.text import Text
from whisperlab.engine.decoding.vocabulary import Vocabulary

END = 4
SIZE = 6
VOCABULARY = Vocabulary(start=5, end=END, positions=20)
RULES = Rules(VOCABULARY, timestamps=False)
ROOM = 4


class Markov:
    """A network whose next token depends on the window and the last token alone."""

    def __init__(self, tables: Floats) -> None:
        self.tables = tables  # shape (n_windows, vocabulary, vocabulary)
        self.rows: list[int] = []
        self.widths: list[int] = []

    def hear(self, windows: Sequence[Floats], kept: Sequence[int] = ()) -> list[int]:
        """Has heard everything already."""
        raise NotImplementedError

    def begin(
        self,
        heard: Sequence[int],
        prompts: Sequence[Sequence[int]],
        from_end: int,
        beside: Sequence[int] = (),
    ) -> Beginning:
        new = iter(heard)
        sources = beside or [NEW] * len(heard)
        self.rows = [next(new) if source == NEW else self.rows[source] for source in sources]
        logits = np.stack(
            [self.tables[row, prompt[-1]] for row, prompt in zip(heard, prompts, strict=True)]
        )
        return Beginning(logits.copy(), logits.copy())

    def step(self, tokens: Sequence[int], sources: Sequence[int]) -> Floats:
        self.rows = [self.rows[source] for source in sources]
        self.widths.append(len(tokens))
        return np.stack(
            [self.tables[row, token] for row, token in zip(self.rows, tokens, strict=True)]
        ).copy()

    def attend(self, heard: int, tokens: Sequence[int]) -> Floats:
        raise NotImplementedError


def tables(seed: int, n_windows: int = 3) -> Floats:
    generator = np.random.default_rng(seed)
    return generator.normal(scale=2, size=(n_windows, SIZE, SIZE)).astype(np.float32)


def starts(n_windows: int) -> list[Start]:
    return [Start(window, (5,), 1, ROOM, None) for window in range(n_windows)]


def writings(n_windows: int, temperature: float, seed: int) -> list[Writing]:
    return [
        Writing(start, False, temperature, 0, np.random.default_rng([seed, window]), lambda: False)
        for window, start in enumerate(starts(n_windows))
    ]


def finished(batch: Batch, wanted: Sequence[Writing]) -> list[Text]:
    while any(one.text is None for one in wanted):
        batch.step()
    return [one.text for one in wanted if one.text is not None]


def greedy(network: Markov, n_windows: int, temperature: float = 0.0, seed: int = 0) -> list[Text]:
    wanted = writings(n_windows, temperature, seed)
    batch = Batch(network, {False: RULES}, END)
    batch.join(wanted)
    return finished(batch, wanted)


@given(
    st.integers(0, 2**32 - 1), st.permutations(range(6)), st.lists(st.integers(0, 2), min_size=6)
)
def test_texts_that_join_between_steps_are_written_as_if_alone(
    seed: int, order: list[int], pauses: list[int]
) -> None:
    table = tables(seed, 6)
    wanted = writings(6, 1.0, seed)
    batch = Batch(Markov(table), {False: RULES}, END)
    for window, steps in zip(order, pauses, strict=False):
        batch.join([wanted[window]])
        for _ in range(steps):
            if any(one.tokens and one.text is None for one in wanted):
                batch.step()
    assert finished(batch, wanted) == greedy(Markov(table), 6, temperature=1.0, seed=seed)


def searched(network: Markov, n_windows: int, n_beams: int) -> list[Text]:
    contest = beams.BeamRules(n_beams, END, 1.0, early_stopping=False)
    return beams.decode(network, starts(n_windows), RULES, contest, lambda _: False)


def logprob(table: Floats, tokens: Sequence[int]) -> float:
    """The log probability of a text after the prompt, by hand."""
    total, last = 0.0, 5
    for token in tokens:
        scores = table[last].astype(np.float64)
        total += scores[token] - np.log(np.exp(scores).sum())
        last = token
    return total


@given(st.integers(0, 2**32 - 1))
def test_greedy_rows_are_decoded_as_if_alone(seed: int) -> None:
    table = tables(seed)
    together = greedy(Markov(table), 3)
    for window, text in enumerate(together):
        [alone] = greedy(Markov(table[window : window + 1]), 1)
        assert text == alone
        whole = [*text.tokens, END] if text.ended else list(text.tokens)
        assert sum(text.logprobs) == pytest.approx(logprob(table[window], whole), abs=1e-4)
        assert text.ended or len(text.tokens) == ROOM


def test_rows_that_have_ended_leave_the_batch() -> None:
    table = np.zeros((3, SIZE, SIZE), np.float32)
    table[0, :, END] = 9  # ends at once
    table[1, 5, 1], table[1, 1, END] = 9, 9  # after one token
    table[2, :, 2] = 9  # never
    network = Markov(table)
    texts = greedy(network, 3)
    assert [text.tokens for text in texts] == [(), (1,), (2, 2, 2, 2)]
    assert [text.ended for text in texts] == [True, True, False]
    assert network.widths == [2, 1, 1]


@settings(max_examples=15)  # 1,296 beams each
@given(st.integers(0, 2**32 - 1))
def test_enough_beams_find_the_best_text_of_all(seed: int) -> None:
    """With as many beams as texts the search is exhaustive: the best by mean log probability."""
    table = tables(seed, 1)
    [found] = searched(Markov(table), 1, SIZE**ROOM)
    others = [token for token in range(SIZE) if token != END]
    complete = [
        [*middle, END] for length in range(ROOM) for middle in product(others, repeat=length)
    ]
    complete += [list(whole) for whole in product(others, repeat=ROOM)]
    best = max(complete, key=lambda text: logprob(table[0], text) / len(text))
    whole = [*found.tokens, END] if found.ended else list(found.tokens)
    assert logprob(table[0], whole) / len(whole) == pytest.approx(
        logprob(table[0], best) / len(best), abs=1e-4
    )


@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_beams_of_a_batch_are_searched_as_if_alone(seed: int, n_beams: int) -> None:
    table = tables(seed)
    together = searched(Markov(table), 3, n_beams)
    for window, text in enumerate(together):
        [alone] = searched(Markov(table[window : window + 1]), 1, n_beams)
        assert text == alone


def test_drawn_texts_depend_on_the_seed_and_on_no_neighbour() -> None:
    table = tables(1)
    once = greedy(Markov(table), 3, temperature=1.0, seed=7)
    assert once == greedy(Markov(table), 3, temperature=1.0, seed=7)
    assert once[:1] == greedy(Markov(table[:1]), 1, temperature=1.0, seed=7)
    others = {greedy(Markov(table), 3, temperature=1.0, seed=s)[0].tokens for s in range(20)}
    assert len(others) > 3


def test_drawing_follows_the_probabilities_at_the_temperature() -> None:
    table = np.full((1, SIZE, SIZE), -30, np.float32)
    table[0, 5, 1], table[0, 5, 2] = np.log(0.8), np.log(0.2)
    table[0, :, END] = np.where(np.arange(SIZE) == 5, -30, 9)
    drawn = [greedy(Markov(table), 1, temperature=0.5, seed=s)[0].tokens[0] for s in range(2000)]
    # At temperature 0.5 chances are squared: 0.64 / (0.64 + 0.04); 3 standard errors are 0.016.
    assert drawn.count(1) / len(drawn) == pytest.approx(0.64 / 0.68, abs=0.016)


@given(st.integers(1, 5000), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_the_best_scores_are_numpy_s(size: int, count: int, seed: int) -> None:
    scores = np.random.default_rng(seed).standard_normal(size).astype(np.float32)
    wanted = np.argsort(-scores, kind="stable")[:count]
    np.testing.assert_array_equal(beams.best(scores, count), wanted)
