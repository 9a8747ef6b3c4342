"""Runs as a matrix: a row a configuration, a column a condition, each cell set against its row's first.

Owns which run stands where and what is tested. It does not know how a matrix is shown.

A condition is what was done to the recordings: the perturbations that the dataset's identity names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from whisperlab.dataset.perturbed import PERTURBATION_KEYS, PERTURBATIONS
from whisperlab.errors import ConfigError
from whisperlab.experiment.pairing import UNHEARD_IDENTITY, Choices, pair
from whisperlab.experiment.result import Rate, RunCard, RunResult
from whisperlab.experiment.scoring import rates, score_outcomes
from whisperlab.metric.paired import Difference
from whisperlab.metric.protocol import Metric
from whisperlab.normalize.profile import Profile

CLEAN = "clean"
"""The condition of recordings that nothing was done to."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A run's rate over what it has a text for, and its difference to the row's first condition.

    ``difference`` is paired, over the utterances that both have a text for; ``None`` in the first
    column, in a row without it, and where it is undefined.
    """

    run: RunResult
    rate: Rate
    difference: Difference | None


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of one configuration by condition; a condition that was not run is absent."""

    configuration_hash: str
    cells: Mapping[str, Cell]

    @property
    def card(self) -> RunCard:
        """The card of the row's first run, for what its configuration is."""
        return next(iter(self.cells.values())).run.card


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows in the order in which their first runs were given, conditions likewise, clean first."""

    conditions: tuple[str, ...]
    rows: tuple[Row, ...]
    profile: Profile
    choices: Choices
    utterances: int


def condition(card: RunCard) -> str:
    """Returns what was done to the recordings of a run, in words."""
    return str(card.dataset.get(PERTURBATIONS) or CLEAN)


def matrix(
    runs: Sequence[RunResult], profile: Profile, metrics: Sequence[Metric], choices: Choices
) -> Matrix:
    """Returns the runs as a matrix, all scored under ``profile``.

    Raises:
        ConfigError: no runs, runs over different utterances, two runs in one place, or an unknown
            metric.
    """
    _check_data(runs)
    if choices.metric not in {metric.name for metric in metrics}:
        known = ", ".join(metric.name for metric in metrics)
        raise ConfigError(f"metric {choices.metric!r}: expected one of {known}")
    found = dict.fromkeys(condition(run.card) for run in runs)
    conditions = tuple(sorted(found, key=lambda name: name != CLEAN))  # stable: clean goes first
    placed: dict[str, dict[str, RunResult]] = {}
    for run in runs:
        row = placed.setdefault(run.card.configuration_hash, {})
        there = row.setdefault(condition(run.card), run)
        if there is not run:
            raise ConfigError(
                f"{there.folder} and {run.folder} are one configuration under one condition "
                f"({condition(run.card)}); leave one of them out"
            )
    rows = tuple(
        Row(hash_, _cells(row, conditions, profile, metrics, choices))
        for hash_, row in placed.items()
    )
    return Matrix(conditions, rows, profile, choices, len(runs[0].outcomes))


def _check_data(runs: Sequence[RunResult]) -> None:
    if not runs:
        raise ConfigError("expected runs for the matrix, got none")
    unlike = {*PERTURBATION_KEYS, *UNHEARD_IDENTITY}
    first = {key: value for key, value in runs[0].card.dataset.items() if key not in unlike}
    for run in runs[1:]:
        other = {key: value for key, value in run.card.dataset.items() if key not in unlike}
        if other != first:
            differing = sorted(
                key for key in first.keys() | other.keys() if first.get(key) != other.get(key)
            )
            raise ConfigError(
                f"{runs[0].folder} and {run.folder} are over different utterances: their datasets "
                f"differ in {', '.join(differing)}; one matrix is over one dataset"
            )


def _cells(
    row: Mapping[str, RunResult],
    conditions: Sequence[str],
    profile: Profile,
    metrics: Sequence[Metric],
    choices: Choices,
) -> dict[str, Cell]:
    first = row.get(conditions[0])
    cells = {}
    for name in conditions:
        run = row.get(name)
        if run is None:
            continue
        scored = score_outcomes(run.outcomes, profile, metrics)
        found = rates(scored, metrics, resamples=choices.resamples, seed=choices.seed)
        tested = (
            None
            if first is None or run is first
            else _against(first, run, profile, metrics, choices)
        )
        cells[name] = Cell(run, found[choices.metric], tested)
    return cells


def _against(
    first: RunResult,
    run: RunResult,
    profile: Profile,
    metrics: Sequence[Metric],
    choices: Choices,
) -> Difference | None:
    """Returns the paired difference to ``first``; by id, as the audio differs on purpose."""
    shared = replace(choices, shared_only=True)
    return pair([first, run], profile, metrics, shared).difference(1, shared)
