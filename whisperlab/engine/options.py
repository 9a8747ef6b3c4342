"""How to decode, for every engine alike: one set of options with one set of defaults.

Owns names, ranges and defaults. An engine that cannot honour a value raises
``UnsupportedOptionError``; it never ignores it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.errors import UnsupportedOptionError

Task = Literal["transcribe", "translate"]
Timestamps = Literal["none", "segment", "word"]

WHISPER_MAX_NEW_TOKENS = 444
"""Prompt plus text must fit the decoder's 448 positions; the shortest prompt has 4 tokens."""


Temperature = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Threshold = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class DecodeOptions:
    """Decoding options; the defaults are greedy transcription with segment times, no fallback.

    ``language`` is an ISO 639-1 code, ``None`` detects it. ``timestamps`` says how finely times are
    wanted. ``max_new_tokens`` caps one 30 s window, ``None`` takes what fits the decoder; text cut
    by the cap makes the utterance ``truncated``. ``timeout_seconds`` bounds one utterance's
    inference, ``None`` does not.

    **Fallback.** ``temperatures`` are tried in order until a window passes: its compression ratio
    is at most ``compression_ratio_threshold`` and its mean log probability at least
    ``logprob_threshold``. A window whose no-speech probability is above ``no_speech_threshold`` and
    whose mean log probability fails is silence. ``None`` leaves a test out. Above temperature 0
    tokens are sampled, seeded by ``seed``, one beam.

    **Context.** ``prompt`` is text that comes before the first window. With
    ``condition_on_previous_text`` each window of long form sees the text before it; off by default,
    as in transformers (openai/whisper and faster-whisper have it on).

    Source: Radford et al. 2022, section 4.5; openai/whisper ``transcribe.py`` (its defaults are
    ``decode=openai``).
    """

    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")] | None = None
    task: Task = "transcribe"
    timestamps: Timestamps = "segment"
    beam_size: Annotated[int, Field(ge=1, le=64)] = 1
    max_new_tokens: Annotated[int, Field(ge=1, le=WHISPER_MAX_NEW_TOKENS)] | None = None
    timeout_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    # A configuration file can only write a list.
    temperatures: Annotated[tuple[Temperature, ...], Field(strict=False, min_length=1)] = (0.0,)
    compression_ratio_threshold: Threshold | None = None
    logprob_threshold: Threshold | None = None
    no_speech_threshold: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    prompt: str | None = None
    condition_on_previous_text: bool = False
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    def __post_init__(self) -> None:
        if self.no_speech_threshold is not None and self.logprob_threshold is None:
            raise UnsupportedOptionError(
                "decode.no_speech_threshold judges a window together with decode.logprob_threshold; "
                "set both or neither"
            )
