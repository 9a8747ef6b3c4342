"""The token ids that decoding by rule needs, from a checkpoint's generation_config.json.

Owns which id means what. It does not know texts: the tokenizer has those.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from whisperlab.engine.options import Task
from whisperlab.errors import ModelError, UnsupportedOptionError


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Ids and limits of one checkpoint; ``None`` and empty where the checkpoint names none.

    ``languages`` maps ISO 639-1 codes to ids. ``first_timestamp`` is <|0.00|>, ``no_speech`` the
    token before <|notimestamps|>, ``previous`` <|startofprev|>. ``forced`` are the prompt tokens of
    older configurations, used when neither language nor task is asked for. ``positions`` is how
    many tokens fit, prompt included.

    Source: transformers ``generation_whisper.py``, ``_retrieve_init_tokens``.
    """

    start: int
    end: int
    positions: int
    no_timestamps: int | None = None
    previous: int | None = None
    languages: Mapping[str, int] | None = None
    tasks: Mapping[str, int] | None = None
    suppressed: tuple[int, ...] = ()
    suppressed_at_begin: tuple[int, ...] = ()
    forced: tuple[int | None, ...] = ()
    last_initial_timestamp: int | None = None
    alignment_heads: tuple[tuple[int, int], ...] = ()
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False

    @property
    def first_timestamp(self) -> int:
        """The id of <|0.00|>; beyond every vocabulary where there are no timestamps."""
        return 1 << 30 if self.no_timestamps is None else self.no_timestamps + 1

    @property
    def no_speech(self) -> int | None:
        """The id of <|nospeech|>."""
        return None if self.no_timestamps is None else self.no_timestamps - 1

    @property
    def longest_context(self) -> int:
        """Tokens of previous text that a prompt takes: half of the positions, less one."""
        return self.positions // 2 - 1

    def language_id(self, code: str) -> int:
        """Returns the id of a language; raises ``UnsupportedOptionError`` for an unknown one."""
        if self.languages is None or code not in self.languages:
            known = ", ".join(sorted(self.languages or ()))
            raise UnsupportedOptionError(
                f"decode.language={code}: this checkpoint knows {known or 'no language tokens'}; "
                "choose one of them"
            )
        return self.languages[code]

    def task_id(self, task: Task) -> int:
        """Returns the id of a task; raises ``UnsupportedOptionError`` where there is none."""
        if self.tasks is None or task not in self.tasks:
            raise UnsupportedOptionError(
                f"decode.task={task}: this checkpoint's generation_config.json has no task_to_id "
                "with it; add model.multilingual=false, or give a multilingual checkpoint"
            )
        return self.tasks[task]


def read_vocabulary(folder: Path) -> Vocabulary:
    """Returns the ids of the checkpoint in ``folder``.

    What generation_config.json leaves out is taken from config.json, as transformers takes it.

    Raises:
        ModelError: a file is no JSON object or lacks an id.
    """
    config = _object(folder / "config.json")
    path = folder / "generation_config.json"
    generation = _object(path) if path.is_file() else {}
    merged = {**config, **generation}
    suppressed = tuple(merged.get("suppress_tokens") or ())
    end = merged.get("eos_token_id")
    try:
        return Vocabulary(
            start=int(merged["decoder_start_token_id"]),
            end=int(end[0] if isinstance(end, list) else merged["eos_token_id"]),
            positions=int(config["max_target_positions"]),
            no_timestamps=generation.get("no_timestamps_token_id"),
            previous=generation.get("prev_sot_token_id", _previous(suppressed)),
            languages=_languages(generation.get("lang_to_id")),
            tasks=generation.get("task_to_id"),
            suppressed=suppressed,
            suppressed_at_begin=tuple(merged.get("begin_suppress_tokens") or ()),
            forced=_forced(merged.get("forced_decoder_ids") or []),
            last_initial_timestamp=generation.get("max_initial_timestamp_index"),
            alignment_heads=tuple(
                (int(layer), int(head)) for layer, head in generation.get("alignment_heads") or ()
            ),
            length_penalty=float(generation.get("length_penalty", 1.0)),
            early_stopping=generation.get("early_stopping", False),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path}: expected the token ids of a Whisper checkpoint, got "
            f"{type(error).__name__}: {str(error)[:120]}; download the checkpoint again",
            code="damaged_checkpoint",
        ) from error


def _object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: expected a JSON file, got {error}", code="damaged_checkpoint") from error  # fmt: skip
    if not isinstance(content, dict):
        raise ModelError(
            f"{path}: expected a JSON object, got {type(content).__name__}",
            code="damaged_checkpoint",
        )
    return content


def _previous(suppressed: tuple[int, ...]) -> int | None:
    """Returns <|startofprev|> of configurations that do not name it: the last but one suppressed."""
    return suppressed[-2] if suppressed[1:] else None


def _languages(ids: Mapping[str, int] | None) -> dict[str, int] | None:
    return None if ids is None else {name.strip("<|>"): int(at) for name, at in ids.items()}


def _forced(pairs: list[list[int | None]]) -> tuple[int | None, ...]:
    """Returns the ids of ``[[1, id], [2, id], ...]``, as far as the positions go on from 1."""
    ids = []
    for place, (position, token) in enumerate(pairs, start=1):
        if position != place:
            break
        ids.append(token)
    return tuple(ids)
