"""Rows that join a network's running batch, against each text alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from whisperlab.engine.decoding.network import NEW, Floats, Network

CLOSE = 2e-4
"""Libraries and passes of other sizes add in different orders; the logits are of the order of 10."""


def check_joining(
    ours: Network, n_mels: int, logits_of: Callable[[Floats, list[int]], Floats]
) -> None:
    """Three rows of which one ends at a time; others with long and short prompts take their places.

    ``logits_of`` gives those of all tokens of a text of a window, shape ``(n_tokens, vocabulary)``.
    """
    generator = np.random.default_rng(5)
    made = [generator.standard_normal((n_mels, 3000)).astype(np.float32) for _ in range(6)]
    assert ours.hear(made[:3]) == [0, 1, 2]
    ours.begin([0, 1, 2], [[5, 6, 7], [9, 10], [4, 11]], 1)
    texts = {0: [5, 6, 7], 1: [9, 10], 2: [4, 11]}  # by place: prompt and tokens
    heard = {0: 0, 1: 1, 2: 2}

    def step(tokens: list[int], sources: list[int]) -> None:
        nonlocal texts, heard
        found = ours.step(tokens, sources)
        texts = {i: [*texts[source], tokens[i]] for i, source in enumerate(sources)}
        heard = {i: heard[source] for i, source in enumerate(sources)}
        for place, text in texts.items():
            wanted = logits_of(made[heard[place]], text)[-1]
            np.testing.assert_allclose(found[place], wanted, atol=CLOSE, rtol=CLOSE)

    step([20, 21, 22], [0, 1, 2])
    assert ours.hear([made[3]], [0, 2]) == [1]  # row 1 has ended
    begun = ours.begin([1], [[3, 4, 5, 6, 7, 8]], 2, [0, NEW, 2])
    wanted = logits_of(made[3], [3, 4, 5, 6, 7, 8])
    np.testing.assert_allclose(begun.at_start[0], wanted[-2], atol=CLOSE, rtol=CLOSE)
    np.testing.assert_allclose(begun.at_end[0], wanted[-1], atol=CLOSE, rtol=CLOSE)
    texts[1], heard[1] = [3, 4, 5, 6, 7, 8], 3
    step([23, 24, 25], [0, 1, 2])
    step([26, 27], [2, 1])  # row 0 has ended, the last takes its place
    assert ours.hear([made[4], made[5]], [2, 1]) == [0, 3]  # more than ever: the memory grows
    ours.begin([0, 3], [[12], [13, 14]], 1, [NEW, 1, 0, NEW])
    texts = {0: [12], 1: texts[1], 2: texts[0], 3: [13, 14]}
    heard = {0: 4, 1: heard[1], 2: heard[0], 3: 5}
    step([28, 29, 30, 31], [0, 1, 2, 3])
    step([32, 33], [3, 1])
    step([34, 35], [0, 1])
