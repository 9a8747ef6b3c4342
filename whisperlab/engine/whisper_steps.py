"""What is noted at each step of Whisper's decoding: chances of tokens, and how close each call was.

A row of a batch goes through other kernels than a row alone, so its logits differ in their last bits.
Where the best two choices lie further apart than that, the choice is the same; where they do not, the
row has to be decoded alone to be sure. Owns those margins. It does not know batches or sounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

import torch
from transformers import LogitsProcessor, WhisperTimeStampLogitsProcessor

from whisperlab.errors import InferenceError

NEAR_TIE: Final = 1e-3
"""Choices whose logits lie closer than this might turn out otherwise in another batch. In float32 a
batch changed no logit by more than 1.9e-5 (1,200 rows in batches of 2 to 8, whisperlab-digits, CPU)."""


class Margins:
    """The smallest margin of each row's choices so far, in logits; only rows that still decode count."""

    def __init__(self) -> None:
        self._smallest: torch.Tensor | None = None

    def note(self, margins: torch.Tensor, decoding: torch.Tensor) -> None:
        """Takes the margins of one choice and which rows made it, both of shape ``(n_rows,)``."""
        counted = margins.float().masked_fill(~decoding, math.inf)
        if self._smallest is None:
            self._smallest = counted
        else:
            self._smallest = torch.minimum(self._smallest, counted)

    def near_ties(self) -> list[int]:
        """Returns the rows that were once closer than ``NEAR_TIE``."""
        if self._smallest is None:
            return []
        return [row for row, margin in enumerate(self._smallest.tolist()) if margin < NEAR_TIE]


def gap(scores: torch.Tensor) -> torch.Tensor:
    """Returns by how much each row's best score leads, shape ``(n_rows,)``; infinite without rival.

    >>> gap(torch.tensor([[1.0, 4.0, 3.5], [2.0, -math.inf, -math.inf]])).tolist()
    [0.5, inf]
    """
    best = scores.float().topk(2, dim=-1).values
    return best[:, 0] - best[:, 1]


class TimestampRule(WhisperTimeStampLogitsProcessor):  # type: ignore[misc] # transformers is untyped
    """transformers' rule of timestamps, which notes how close its last part was.

    That part: where all timestamps together are likelier than the likeliest text token, it must be
    a timestamp (openai/whisper, ``ApplyTimestampRules``).
    """

    def __init__(self, generation_config: Any, begin_index: int, margins: Margins | None) -> None:
        super().__init__(generation_config, begin_index, _detect_timestamp_from_logprob=False)
        self._margins = margins

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Returns the scores of what is allowed; shape ``(n_rows, vocabulary)``."""
        allowed: torch.Tensor = super().__call__(input_ids, scores)
        logprobs = allowed.float().log_softmax(dim=-1)
        times = logprobs[:, self.timestamp_begin :].logsumexp(dim=-1)
        text = logprobs[:, : self.timestamp_begin].max(dim=-1).values
        if self._margins is not None:
            self._margins.note((times - text).abs(), input_ids[:, -1] != self.eos_token_id)
        allowed[:, : self.timestamp_begin].masked_fill_((times > text)[:, None], -math.inf)
        return allowed


class KeepLogprobs(LogitsProcessor):  # type: ignore[misc] # transformers is untyped
    """Keeps the log probabilities of a step until the token is chosen; refuses NaN.

    Stands last among the rules and before sampling's temperature, so that a probability is the
    model's under the rules, at temperature 1.
    """

    def __init__(self, *, keep: bool, ends: Iterable[int], margins: Margins | None) -> None:
        self._keep = keep
        self._ends = torch.tensor(list(ends))
        self._margins = margins
        self._begin_index: int | None = None
        self.last: torch.Tensor | None = None

    def set_begin_index(self, begin_index: int) -> None:
        """``generate`` says at which position a window's first new token stands."""
        self._begin_index = begin_index

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Returns ``scores`` unchanged; shape ``(n_rows, vocabulary)``."""
        if input_ids.shape[-1] == self._begin_index and bool(torch.isnan(scores).any()):
            raise InferenceError(
                "the model produced non-finite logits; its weights are damaged, or the precision "
                "overflows: try quantization=none",
                code="non_finite_logits",
            )
        if self._keep:
            self.last = scores.float().log_softmax(dim=-1)
        if self._margins is not None:
            ended = torch.isin(input_ids[:, -1], self._ends.to(input_ids.device))
            self._margins.note(gap(scores), ~ended)
        return scores
