"""What stands before a text, against transformers' own assembly of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import WhisperForConditionalGeneration

from whisperlab.engine.decoding.prompt import opening, with_context
from whisperlab.engine.decoding.vocabulary import Vocabulary, read_vocabulary
from whisperlab.engine.model import EMBEDDED_FOLDER
from whisperlab.errors import ModelError, UnsupportedOptionError

MULTILINGUAL = Vocabulary(
    start=50258, end=50257, positions=448, no_timestamps=50363, previous=50361,
    languages={"en": 50259, "de": 50261}, tasks={"transcribe": 50359, "translate": 50358},
)  # fmt: skip
ENGLISH = replace(MULTILINGUAL, start=50257, end=50256, no_timestamps=50362, languages=None, tasks=None, forced=(50362,))  # fmt: skip


def test_a_multilingual_opening_names_language_and_task() -> None:
    assert opening(MULTILINGUAL, 50261, "translate", timestamps=False) == [
        50258, 50261, 50358, 50363,
    ]  # fmt: skip
    assert opening(MULTILINGUAL, 50259, "transcribe", timestamps=True) == [50258, 50259, 50359]


def test_an_english_only_opening_drops_the_forced_marker_for_timestamps() -> None:
    """openai/whisper-tiny.en forces <|notimestamps|> in its generation_config.json."""
    assert opening(ENGLISH, None, None, timestamps=False) == [50257, 50362]
    assert opening(ENGLISH, None, None, timestamps=True) == [50257]


def reference(prompt: list[int] | None, before: list[list[int]], *, condition: bool) -> list[int]:
    config = SimpleNamespace(
        prev_sot_token_id=MULTILINGUAL.previous,
        prompt_condition_type="first-segment",
        pad_token_id=MULTILINGUAL.end,
        cache_implementation=None,
    )
    marked = None if prompt is None else torch.tensor([50361, *prompt])
    segments: Any = WhisperForConditionalGeneration._prepare_segments(marked, 1, config)
    segments[0] += [{"tokens": torch.tensor(tokens)} for tokens in before]
    ids, _ = WhisperForConditionalGeneration._prepare_decoder_input_ids(
        cur_bsz=1,
        init_tokens=torch.tensor([[50258, 50259, 50359]]),
        current_segments=segments,
        batch_idx_map=[0],
        do_condition_on_prev_tokens=[condition],
        prompt_ids=marked,
        generation_config=config,
        config=SimpleNamespace(max_target_positions=448),
        device="cpu",
        suppress_tokens=None,
        timestamp_begin=MULTILINGUAL.first_timestamp,
        kwargs={},
    )
    return [int(token) for token in ids[0]]


@pytest.mark.parametrize("condition", [True, False])
@pytest.mark.parametrize("prompt", [None, [11, 12, 13]])
@pytest.mark.parametrize(
    "before",
    [
        [],
        [[50364, 7, 8, 50400], [50400, 9, 50420, 50420]],  # the last of two timestamps is left out
        [[50364, *range(300), 50900]],  # more than fits
    ],
)
def test_the_text_before_is_assembled_as_in_transformers(
    prompt: list[int] | None, before: list[list[int]], condition: bool
) -> None:
    begun = [50258, 50259, 50359]
    got = with_context(MULTILINGUAL, begun, prompt, before, condition=condition)
    assert got == reference(prompt, before, condition=condition)


def test_the_embedded_checkpoint_s_ids_are_read() -> None:
    folder = EMBEDDED_FOLDER / "whisperlab-digits"
    vocabulary = read_vocabulary(folder)
    config = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    assert vocabulary.first_timestamp == config["no_timestamps_token_id"] + 1
    assert vocabulary.no_speech == config["no_timestamps_token_id"] - 1
    assert vocabulary.language_id("en") == config["lang_to_id"]["<|en|>"]
    assert vocabulary.task_id("translate") == config["task_to_id"]["translate"]
    assert vocabulary.alignment_heads[0] == tuple(config["alignment_heads"][0])
    assert vocabulary.suppressed == tuple(config["suppress_tokens"])
    with pytest.raises(UnsupportedOptionError, match="knows af, am"):
        vocabulary.language_id("xx")


def test_a_configuration_without_ids_is_a_damaged_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"max_target_positions": 448}', encoding="utf-8")
    with pytest.raises(ModelError, match="decoder_start_token_id"):
        read_vocabulary(tmp_path)
