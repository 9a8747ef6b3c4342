"""The thresholds of failure analysis, each with its unit and its reason."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class FailureSettings:
    """From where on something counts as a failure; ``failures`` of conf/eval.yaml.

    Attributes:
        min_insertion_run_words: inserted words in a row.
        min_loop_repeats: times that a phrase stands in a row beyond what the reference has.
        max_loop_words: words of the longest phrase that is looked for.
        max_words_per_second: heard words / seconds of audio. Fast readers reach 5; an auctioneer 7.
        max_compression_ratio: text bytes / zlib bytes of a decoding window. Source: openai/whisper,
            ``compression_ratio_threshold``.
        worst_fraction: share of utterances that are called the worst.
        seam_seconds: an error that lies no farther from a seam is an error at the seam.
        collar_seconds: a word whose start is no farther from the truth is in place. Source: the
            0.2 s of the timestamp metrics in Bain et al. 2023 (WhisperX), section 4.
        examples: utterances of each kind that scores.json names, the worst first.
    """

    min_insertion_run_words: Annotated[int, Field(ge=2)] = 5
    min_loop_repeats: Annotated[int, Field(ge=2)] = 3
    max_loop_words: Annotated[int, Field(ge=1, le=64)] = 8
    max_words_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 7.0
    max_compression_ratio: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2.4
    worst_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.01
    seam_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    collar_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.2
    examples: Annotated[int, Field(ge=0, le=1000)] = 10
