"""Our rules against transformers' logits processors, on random texts and scores."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
    WhisperTimeStampLogitsProcessor,
)

from whisperlab.engine.decoding.rules import Rules, log_sum_exp
from whisperlab.engine.decoding.vocabulary import Vocabulary

SIZE = 60
VOCABULARY = Vocabulary(
    start=31, end=30, positions=448, no_timestamps=39, suppressed=(3, 31, 35), suppressed_at_begin=(7, 30)
)  # fmt: skip
PROMPT = [31, 33, 34]

TEXTS = st.lists(st.one_of(st.integers(0, 29), st.integers(40, SIZE - 1)), max_size=8)
SCORES = st.lists(
    st.floats(-20, 20, width=32, allow_subnormal=False), min_size=SIZE, max_size=SIZE, unique=True
)


def reference(
    scores: list[float], text: list[int], *, timestamps: bool, last_initial: int | None
) -> torch.Tensor:
    begin = len(PROMPT)
    processors = [
        SuppressTokensAtBeginLogitsProcessor(VOCABULARY.suppressed_at_begin, begin),
        SuppressTokensLogitsProcessor(VOCABULARY.suppressed),
    ]
    if timestamps:
        config = SimpleNamespace(
            no_timestamps_token_id=VOCABULARY.no_timestamps,
            eos_token_id=VOCABULARY.end,
            bos_token_id=VOCABULARY.end,
            max_initial_timestamp_index=last_initial,
        )
        processors.append(WhisperTimeStampLogitsProcessor(config, begin))
    ids = torch.tensor([PROMPT + text])
    values = torch.tensor([scores], dtype=torch.float32)
    for processor in processors:
        values = processor(ids, values)
    return values[0]


@given(scores=SCORES, text=TEXTS, timestamps=st.booleans(), last_initial=st.sampled_from([None, 4]))
def test_the_same_tokens_are_allowed_as_in_transformers(
    scores: list[float], text: list[int], timestamps: bool, last_initial: int | None
) -> None:
    wanted = reference(scores, text, timestamps=timestamps, last_initial=last_initial)
    vocabulary = replace(VOCABULARY, last_initial_timestamp=last_initial)
    got = np.array(scores, np.float32)
    Rules(vocabulary, timestamps=timestamps).apply(got, text)
    np.testing.assert_array_equal(got, wanted.numpy())


def test_timestamps_win_when_they_are_likelier_together_than_any_text() -> None:
    scores = np.full(SIZE, -10, np.float32)
    scores[5] = 1.0  # the likeliest text
    scores[45:48] = 0.5  # three timestamps: e^0.5 * 3 > e^1
    Rules(VOCABULARY, timestamps=True).apply(scores, [40, 1])
    assert np.isneginf(scores[:40]).all()
    assert scores[46] == np.float32(0.5)


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=200))
def test_log_sum_exp_is_torch_s(scores: list[float]) -> None:
    wanted = float(torch.tensor(scores, dtype=torch.float32).logsumexp(0))
    assert float(log_sum_exp(np.array(scores, np.float32))) == pytest.approx(wanted, abs=1e-4)


def test_nothing_but_impossible_scores_sum_to_nothing() -> None:
    assert log_sum_exp(np.full(3, -np.inf, np.float32)) == -np.inf
    assert log_sum_exp(np.zeros(0, np.float32)) == -np.inf
