"""Every utterance as data for the page's script.

Owns the JSON that ``page/report.js`` reads, which is not the ledger's::

    {"columns": ["speaker"],
     "rows": [{"id": "a-1", "state": "ok", "audio": 2.5, "total": 0.4, "batch": 8, "language": "en",
               "errors": 1, "words": 3, "slices": ["p225"], "reference": "A cat sat.",
               "text": "the cat sat", "edits": [["a", "the"], "cat sat"], "error": null,
               "failures": ["loop"]}]}

An edit is a string of words that agree, or a pair ``[reference, hypothesis]`` with ``""`` where
there is none. ``failures`` is absent where there is none. ``errors``, ``words`` and ``edits`` are null for an utterance without alignment.

A report of several pages packs it: gzip, then base64, in a script element of type ``application/gzip``.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from whisperlab.metric.alignment import Edit, count
from whisperlab.report.markup import Markup
from whisperlab.utterance import Outcome

TIME_DECIMALS = 4
"""0.1 ms: finer than any clock reading here means anything."""


def embedded(
    outcomes: Sequence[Outcome],
    alignments: Mapping[str, tuple[Edit, ...]],
    marks: Mapping[str, Sequence[str]],
) -> Markup:
    """Returns the rows as JSON that cannot end the script element that holds it.

    ``marks`` are the kinds of failure by utterance id. ``<`` is written as an escape, so neither ``</script>`` nor ``<!--`` can occur (HTML Standard, 4.12.1.3).

    >>> embedded([], {}, {})
    '{"columns":[],"rows":[]}'
    """
    columns = list(dict.fromkeys(column for outcome in outcomes for column in outcome.slices))
    content = {
        "columns": columns,
        "rows": [
            {**_row(outcome, alignments.get(outcome.id), columns), **_marked(outcome, marks)}
            for outcome in outcomes
        ],
    }
    written = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return Markup(written.replace("<", "\\u003c"))


def packed(rows: Markup) -> Markup:
    """Returns the JSON compressed, the same for the same rows: about a fifth of the size.

    >>> gzip.decompress(base64.b64decode(packed(embedded([], {}, {}))))
    b'{"columns":[],"rows":[]}'
    """
    return Markup(base64.b64encode(gzip.compress(rows.encode(), compresslevel=6, mtime=0)).decode())


def _marked(outcome: Outcome, marks: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Returns the row's failures; most rows have none, and then no key."""
    return {"failures": marks[outcome.id]} if outcome.id in marks else {}


def _row(
    outcome: Outcome, edits: tuple[Edit, ...] | None, columns: Sequence[str]
) -> dict[str, Any]:
    aligned = edits if outcome.state.scored else None
    counts = None if aligned is None else count(aligned)
    return {
        "id": outcome.id,
        "state": outcome.state.value,
        "audio": _rounded(outcome.audio_seconds),
        "total": _rounded(outcome.timings.get("total")),
        "batch": outcome.batch_size,
        "language": outcome.language,
        "errors": None if counts is None else counts.errors,
        "words": None if counts is None else counts.reference_length,
        "slices": [outcome.slices.get(column) for column in columns],
        "reference": outcome.reference,
        "text": outcome.text,
        "edits": None if aligned is None else runs(aligned),
        "error": None if outcome.error is None else [outcome.error.code, outcome.error.message],
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, TIME_DECIMALS)


def runs(edits: Sequence[Edit]) -> list[str | list[str]]:
    """Returns the alignment with the words that agree joined.

    >>> runs((Edit("equal", "a", "a"), Edit("equal", "b", "b"), Edit("deletion", "c", "")))
    ['a b', ['c', '']]
    """
    found: list[str | list[str]] = []
    for agree, run in groupby(edits, key=lambda edit: edit.kind == "equal"):
        if not agree:
            found += [[edit.reference, edit.hypothesis] for edit in run]
            continue
        # the second half of a compound has no word: it stands in the column before
        words = [edit.reference for edit in run if edit.reference or not edit.hypothesis]
        if words:
            found.append(" ".join(words))
    return found
