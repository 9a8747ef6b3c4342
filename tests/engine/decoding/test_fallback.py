"""When a window is decoded again: the thresholds against transformers' ``_need_fallback``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import WhisperForConditionalGeneration
from transformers.generation.logits_process import WhisperNoSpeechDetection

from whisperlab.engine.decoding.fallback import (
    Thresholds,
    Verdict,
    judge,
    token_compression_ratio,
)
from whisperlab.engine.decoding.text import Text

SIZE = 300
END = 299


class Judge(WhisperForConditionalGeneration):  # type: ignore[misc] # transformers is untyped
    """transformers' judgement without its network."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)


def reference(
    tokens: list[int], scores: torch.Tensor, thresholds: Thresholds, no_speech: float
) -> Verdict:
    config = SimpleNamespace(
        compression_ratio_threshold=thresholds.compression_ratio,
        logprob_threshold=thresholds.logprob,
        no_speech_threshold=thresholds.no_speech,
    )
    detector = WhisperNoSpeechDetection(0, 1)
    detector._no_speech_prob = [no_speech]
    outputs: list[dict[str, Any]] = [{"scores": list(scores)}]
    again, silent = Judge()._need_fallback(
        torch.tensor(tokens), outputs, 0, [detector], config, SIZE, 0.0
    )
    if silent:
        return Verdict.SILENT
    return Verdict.UNSURE if again else Verdict.ACCEPTED


@given(
    tokens=st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=60),
    seed=st.integers(0, 2**32 - 1),
    ratio=st.sampled_from([None, 1.0, 2.4]),
    logprob=st.sampled_from([-6.5, -6.0, -5.5]),
    no_speech=st.sampled_from([None, 0.6]),
    chance=st.floats(0, 1),
)
def test_verdicts_are_transformers(
    tokens: list[int],
    seed: int,
    ratio: float | None,
    logprob: float,
    no_speech: float | None,
    chance: float,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    whole = [*tokens, END]
    scores = torch.randn(len(whole), SIZE, generator=generator)
    chances = scores.log_softmax(-1)
    logprobs = tuple(float(chances[step, token]) for step, token in enumerate(whole))
    text = Text(
        tuple(tokens), ended=True, logprobs=logprobs,
        logprob=sum(logprobs) / len(logprobs), no_speech=chance,
    )  # fmt: skip
    thresholds = Thresholds(ratio, logprob, no_speech)
    verdict = judge(text, thresholds, end=END, vocabulary_size=SIZE)
    assert verdict is reference(whole, scores, thresholds, chance)


@pytest.mark.parametrize("size", [200, 51865, 70_000])
def test_the_ratio_of_token_bytes_is_transformers(size: int) -> None:
    tokens = [1, 5, 5, 5, 190] * 9
    wanted = WhisperForConditionalGeneration._retrieve_compression_ratio(torch.tensor(tokens), size)
    assert token_compression_ratio(tokens, size) == wanted
