"""What each factor of a sweep does to the error rate, and what two of them do together.

Owns the estimates and their intervals. It does not know where runs come from or how effects are shown.

The runs are a full factorial: every combination of the factors' levels once, over the same utterances.
With ``rate(a, b)`` the pooled error rate of a cell and the first level of each factor as its reference,

- the **main effect** of level a is ``rate(a, ·) - rate(a0, ·)``, the mean over all other factors;
- the **interaction** of a and b is ``(rate(a, b) - rate(a0, b)) - (rate(a, b0) - rate(a0, b0))``, the mean
  over the remaining factors: how much more a does where b is chosen.

Intervals are the bootstrap's over utterances. An utterance is drawn for all cells at once, so what is
hard for all of them cancels out.

Source: Montgomery 2017, "Design and Analysis of Experiments", chapter 5, for the contrasts; the bounds are
those of `whisperlab.metric.bootstrap`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whisperlab.errors import ConfigError
from whisperlab.metric.bootstrap import FEWEST_UNITS, bounds
from whisperlab.metric.counts import ErrorCounts

Floats = NDArray[np.float64]

_RESAMPLES_AT_ONCE: Final = 500
"""Rows of the drawn weights: 500 x 100,000 utterances are 400 MB."""


@dataclass(frozen=True, slots=True)
class Effect:
    """A contrast of error rates as a fraction with its interval; ``levels`` are against ``references``.

    One factor is a main effect, two are an interaction. ``None`` bounds: fewer than four utterances.
    """

    factors: tuple[str, ...]
    levels: tuple[str, ...]
    references: tuple[str, ...]
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Effects:
    """All effects of a factorial, main effects first; ``grand_rate`` is the mean over all cells."""

    factors: Mapping[str, tuple[str, ...]]
    grand_rate: float
    utterances: int
    level: float
    found: tuple[Effect, ...]


def effects(
    factors: Mapping[str, Sequence[str]],
    counts: Sequence[Sequence[ErrorCounts]],
    *,
    resamples: int,
    seed: int,
    level: float = 0.95,
) -> Effects:
    """Returns the effects of ``factors`` (a value a run) on runs with these counts by utterance.

    Raises:
        ConfigError: a combination of levels is missing or stands twice, or no word was said.
    """
    levels = {name: tuple(dict.fromkeys(values)) for name, values in factors.items()}
    place = _cells(factors, levels, len(counts))
    errors = np.array([[one.errors for one in run] for run in counts], dtype=np.float64)
    words = np.array([[one.reference_length for one in run] for run in counts], dtype=np.float64)
    if not len(counts) or not (words.sum(axis=1) > 0).all():
        raise ConfigError(
            "expected reference words in every run, got a run without; check the data"
        )
    contrasts = _contrasts(levels, place)
    weights = np.array([contrast for _, contrast in contrasts])
    rates = errors.sum(axis=1) / words.sum(axis=1)
    utterances = errors.shape[1]
    drawn = None
    if utterances >= FEWEST_UNITS and len(weights):
        drawn = weights @ _resampled_rates(errors, words, resamples, seed)
    found = []
    for number, (names, contrast) in enumerate(contrasts):
        low, high = (None, None) if drawn is None else bounds(drawn[number], utterances, level)
        found.append(
            Effect(
                factors=tuple(name for name, _ in names),
                levels=tuple(value for _, value in names),
                references=tuple(levels[name][0] for name, _ in names),
                value=float(contrast @ rates),
                low=low,
                high=high,
            )
        )
    return Effects(levels, float(rates.mean()), utterances, level, tuple(found))


def _cells(
    factors: Mapping[str, Sequence[str]], levels: Mapping[str, tuple[str, ...]], runs: int
) -> dict[tuple[str, ...], int]:
    """Returns each combination's run; refuses holes and repeats."""
    place: dict[tuple[str, ...], int] = {}
    for run in range(runs):
        cell = tuple(values[run] for values in factors.values())
        if cell in place:
            raise ConfigError(
                f"two runs with {_shown(factors, cell)}; effects need each combination once"
            )
        place[cell] = run
    for cell in itertools.product(*levels.values()):
        if cell not in place:
            raise ConfigError(
                f"no run with {_shown(factors, cell)}; effects need every combination of "
                f"{' x '.join(str(len(values)) for values in levels.values())} levels"
            )
    return place


def _shown(factors: Mapping[str, Sequence[str]], cell: Sequence[str]) -> str:
    return " ".join(f"{name}={value}" for name, value in zip(factors, cell, strict=True))


_Names = tuple[tuple[str, str], ...]


def _contrasts(
    levels: Mapping[str, tuple[str, ...]], place: Mapping[tuple[str, ...], int]
) -> list[tuple[_Names, Floats]]:
    """Returns the weights by run of every main effect and two-factor interaction."""
    axes = list(levels)
    found: list[tuple[_Names, Floats]] = []
    for size in (1, 2):
        for chosen in itertools.combinations(axes, size):
            others = 1
            for name in axes:
                others *= 1 if name in chosen else len(levels[name])
            for values in itertools.product(*(levels[name][1:] for name in chosen)):
                weights = np.zeros(len(place))
                for cell, run in place.items():
                    sign = 1.0
                    for name, value in zip(chosen, values, strict=True):
                        own = cell[axes.index(name)]
                        sign *= (own == value) - (own == levels[name][0])
                    weights[run] = sign / others
                found.append((tuple(zip(chosen, values, strict=True)), weights))
    return found


def _resampled_rates(errors: Floats, words: Floats, resamples: int, seed: int) -> Floats:
    """Returns every run's rate in every resample, shape (n_runs, n_defined_resamples)."""
    generator = np.random.default_rng(seed)
    utterances = errors.shape[1]
    parts = []
    for start in range(0, resamples, _RESAMPLES_AT_ONCE):
        count = min(_RESAMPLES_AT_ONCE, resamples - start)
        times = generator.multinomial(utterances, np.full(utterances, 1 / utterances), size=count)
        said = words @ times.T
        made = errors @ times.T
        defined = (said > 0).all(axis=0)
        parts.append(made[:, defined] / said[:, defined])
    return np.hstack(parts)
