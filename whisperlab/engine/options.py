"""How to decode, for every engine alike: one set of options with one set of defaults.

Owns names, ranges and defaults. An engine that cannot honour a value raises
``UnsupportedOptionError``; it never ignores it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

Task = Literal["transcribe", "translate"]
Timestamps = Literal["none", "segment", "word"]

WHISPER_MAX_NEW_TOKENS = 444
"""Prompt plus text must fit the decoder's 448 positions; the shortest prompt has 4 tokens."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class DecodeOptions:
    """Decoding options; the defaults are greedy transcription with segment times.

    ``language`` is an ISO 639-1 code, ``None`` detects it. ``timestamps`` says how finely times are
    wanted. ``max_new_tokens`` caps one 30 s window, ``None`` takes what fits the decoder; text cut
    by the cap makes the utterance ``truncated``. ``timeout_seconds`` bounds one utterance's inference, ``None`` does not.
    """

    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")] | None = None
    task: Task = "transcribe"
    timestamps: Timestamps = "segment"
    beam_size: Annotated[int, Field(ge=1, le=64)] = 1
    max_new_tokens: Annotated[int, Field(ge=1, le=WHISPER_MAX_NEW_TOKENS)] | None = None
    timeout_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
