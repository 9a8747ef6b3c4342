"""Every compared utterance as data for the page's script.

Owns the JSON that ``page/comparison.js`` reads and which utterances it holds::

    {"labels": ["A", "B"], "columns": ["speaker"], "total": 265,
     "rows": [{"id": "a-1", "audio": 2.5, "clip": "../audio/a-1.flac", "words": 3, "errors": [1, 0],
               "slices": ["p225"], "reference": "A cat sat.", "texts": ["the cat sat", "a cat sat"],
               "aligned": [["a", ["the", 1], 0.1], ["cat", [1, 1], 0.4], ["sat", [1, 1], 0.9]]}]}

A column is reference word (``""`` for an insertion), hypotheses, second. A hypothesis is its word,
``""`` where it has none, or 1 for the reference's own word.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from whisperlab.experiment.comparison import Comparison
from whisperlab.experiment.scoring import ScoredUtterance
from whisperlab.report.aligned_words import (
    Column,
    Normalise,
    columns,
    hypothesis_words,
    same_reference,
    word_starts,
)
from whisperlab.report.markup import Markup

MOST_ROWS = 2000
"""A page of 2,000 utterances of 25 words is about 5 MB without sound."""

TIME_DECIMALS = 2
"""10 ms: finer than a word's start is known."""


def chosen(comparison: Comparison) -> list[int]:
    """Returns the numbers of the utterances that the page shows, in order of id.

    Where there are more than ``MOST_ROWS``: those whose error counts differ most between runs, then
    those with most errors.
    """
    metric = comparison.choices.metric

    def interest(number: int) -> tuple[int, int]:
        errors = [items[number].counts[metric].errors for items in comparison.scored]
        return max(errors) - min(errors), max(errors)

    numbers = sorted(range(comparison.utterances), key=interest, reverse=True)
    return sorted(numbers[:MOST_ROWS])


def embedded(comparison: Comparison, clips: Mapping[str, str]) -> Markup:
    """Returns the rows as JSON that cannot end the script element that holds it (see rows.py)."""
    # a word's own normalisation is asked for once, however often it was said
    cached = lru_cache(maxsize=None)(comparison.profile.normalize)
    shown = chosen(comparison)
    first = comparison.scored[0]
    slices = list(dict.fromkeys(name for n in shown for name in first[n].outcome.slices))
    rows = []
    for number in shown:
        items = [run[number] for run in comparison.scored]
        rows.append(_row(items, comparison.choices.metric, slices, clips, cached))
    content = {
        "labels": [run.label for run in comparison.runs],
        "columns": slices,
        "total": comparison.utterances,
        "rows": rows,
    }
    written = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return Markup(written.replace("<", "\\u003c"))


def _row(
    items: list[ScoredUtterance],
    metric: str,
    slices: list[str],
    clips: Mapping[str, str],
    normalise: Normalise,
) -> dict[str, Any]:
    outcome = items[0].outcome
    alignments = same_reference([item.edits for item in items])
    starts = [
        word_starts(item.outcome, hypothesis_words(edits), normalise)
        for item, edits in zip(items, alignments, strict=True)
    ]
    return {
        "id": outcome.id,
        "audio": outcome.audio_seconds,
        "clip": clips.get(outcome.id),
        "words": items[0].counts[metric].reference_length,
        "errors": [item.counts[metric].errors for item in items],
        "slices": [outcome.slices.get(name) for name in slices],
        "reference": outcome.reference,
        "texts": [item.outcome.text for item in items],
        "aligned": [_cell(column) for column in columns(alignments, starts)],
    }


def _cell(column: Column) -> list[Any]:
    words = [1 if word and word == column.reference else word for word in column.hypotheses]
    start = None if column.start is None else round(column.start, TIME_DECIMALS)
    return [column.reference, words, start]
