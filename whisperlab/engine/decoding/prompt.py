"""What stands before a window's text: language, task, and the text before it.

Owns the order of the tokens. It does not know how many tokens may follow.

Source: Radford et al. 2022, figure 1 and section 4.5; transformers ``_retrieve_init_tokens`` and
``_prepare_decoder_input_ids``.
"""

from __future__ import annotations

from collections.abc import Sequence

from whisperlab.engine.decoding.vocabulary import Vocabulary
from whisperlab.engine.options import Task


def opening(
    vocabulary: Vocabulary, language: int | None, task: Task | None, *, timestamps: bool
) -> list[int]:
    """Returns <|startoftranscript|>, the language, the task and <|notimestamps|>, as they apply.

    ``language`` is an id and ``None`` for a checkpoint without languages, ``task`` likewise.
    """
    tokens: list[int | None] = [vocabulary.start]
    if task is None:
        tokens.extend(vocabulary.forced)
    if language is not None:
        tokens[1:2] = [language]
    if task is not None:
        tokens.append(vocabulary.task_id(task))
    marker = vocabulary.no_timestamps
    if marker is not None and timestamps and tokens[-1] == marker:
        tokens.pop()
    elif marker is not None and not timestamps and tokens[-1] != marker:
        tokens.append(marker)
    return [token for token in tokens if token is not None]


def with_context(
    vocabulary: Vocabulary,
    opening_tokens: Sequence[int],
    prompt: Sequence[int] | None,
    before: Sequence[Sequence[int]],
    *,
    condition: bool,
) -> list[int]:
    """Returns the opening behind <|startofprev|> and the text before, if there is any.

    ``prompt`` are the ids of a prompt without <|startofprev|>; ``before`` the segments of the sound
    so far. Where the text before counts, it is the prompt with all segments, its last part; else
    the prompt alone. Of two timestamps at the end of a segment one is left out.
    """
    previous = [] if vocabulary.previous is None else [vocabulary.previous]
    segments = [*([prompt] if prompt is not None else []), *before]
    if condition and segments:
        text = [token for segment in segments for token in _without_double(vocabulary, segment)]
        return [*previous, *text[-vocabulary.longest_context :], *opening_tokens]
    if prompt is not None:
        return [*previous, *prompt, *opening_tokens]
    return list(opening_tokens)


def _without_double(vocabulary: Vocabulary, segment: Sequence[int]) -> Sequence[int]:
    pair = 2
    if len(segment) > pair and segment[-pair] >= vocabulary.first_timestamp:
        return segment[:-1]
    return segment
