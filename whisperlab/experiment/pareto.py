"""Which configurations nothing beats in every respect.

Owns the front. It does not know what the costs are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whisperlab.experiment.result import Scores
from whisperlab.experiment.scoring import PRIMARY_METRIC


def front(costs: Sequence[Sequence[float]]) -> list[int]:
    """Returns the numbers of the rows that no other row dominates; smaller is better.

    A row dominates another when it is nowhere larger and somewhere smaller; equal rows both stay.

    >>> front([(0.1, 3.0), (0.2, 1.0), (0.2, 3.0), (0.1, 3.0)])
    [0, 1, 3]
    """
    return [
        number
        for number, row in enumerate(costs)
        if not any(_dominates(other, row) for other in costs)
    ]


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def costs(scores: Sequence[Scores]) -> Mapping[str, list[float]]:
    """Returns what the runs cost, by name, each smaller is better; a cost that a run lacks is left out.

    Memory counts on a GPU alone: jobs of one process share its main memory.
    """
    measured: dict[str, list[float | None]] = {
        "WER": [
            rate.value if (rate := one.scores.get(PRIMARY_METRIC)) is not None else None
            for one in scores
        ],
        "p95": [one.speed.latency_seconds.p95 for one in scores],
        "1 / RTFx": [1 / one.speed.rtfx if one.speed.rtfx else None for one in scores],
        "device memory": [one.memory.get("device_allocated_peak") for one in scores],
    }
    return {
        name: [float(value) for value in values if value is not None]
        for name, values in measured.items()
        if all(value is not None for value in values)
    }
