"""How close each choice of a decode step was, against numbers worked out by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from transformers import WhisperTimeStampLogitsProcessor

from whisperlab.engine.whisper_steps import NEAR_TIE, KeepLogprobs, Margins, TimestampRule

END, NO_TIMES, FIRST_TIME, VOCABULARY = 4, 5, 6, 10
CONFIG = SimpleNamespace(no_timestamps_token_id=NO_TIMES, eos_token_id=END, bos_token_id=END)


def test_a_rows_smallest_margin_counts_while_it_decodes() -> None:
    margins = Margins()
    both = torch.tensor([True, True])
    margins.note(torch.tensor([0.5, NEAR_TIE / 2]), both)
    margins.note(torch.tensor([NEAR_TIE * 2, 3.0]), both)
    assert margins.near_ties() == [1]
    margins.note(torch.tensor([0.0, 0.0]), torch.tensor([False, False]))
    assert margins.near_ties() == [1]
    margins.note(torch.tensor([0.0, 3.0]), torch.tensor([True, False]))
    assert margins.near_ties() == [0, 1]


def test_a_row_that_has_ended_has_no_ties_any_more() -> None:
    margins = Margins()
    keep = KeepLogprobs(keep=False, ends=[END], margins=margins)
    tied = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    keep(torch.tensor([[END], [0]]), tied)
    assert margins.near_ties() == [1]


@pytest.mark.parametrize(
    ("time_logits", "near"),
    [
        ([math.log(0.25)] * 4, True),  # together as likely as the text token
        ([math.log(0.3)] * 4, False),
        ([math.log(0.2)] * 4, False),
    ],
)
def test_the_rule_of_timestamps_is_transformers_own_and_tells_its_ties(
    time_logits: list[float], near: bool
) -> None:
    scores = torch.full((1, VOCABULARY), -20.0)
    scores[0, 1] = 0.0  # probability 1, as the four timestamps of 0.25 have together
    scores[0, FIRST_TIME:] = torch.tensor(time_logits)
    ids = torch.tensor([[0, 2, 3]])
    margins = Margins()
    theirs = WhisperTimeStampLogitsProcessor(CONFIG, begin_index=1)(ids, scores.clone())
    ours = TimestampRule(CONFIG, 1, margins)(ids, scores.clone())
    assert bool(margins.near_ties()) is near
    if not near:
        assert torch.equal(ours, theirs)
