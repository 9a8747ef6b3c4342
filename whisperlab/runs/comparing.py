"""From folders and arguments to a Comparison, and to the recordings behind it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from whisperlab.config.build import build_dataset, build_metrics, build_profile
from whisperlab.errors import ConfigError, WhisperlabError
from whisperlab.experiment.comparison import Comparison, compare
from whisperlab.experiment.folder import read_run
from whisperlab.experiment.gate import GateResult, gate
from whisperlab.experiment.matrix import Matrix, matrix
from whisperlab.experiment.pairing import Choices, pair
from whisperlab.experiment.result import RunResult
from whisperlab.metric.bootstrap import FEWEST_UNITS
from whisperlab.metric.detectable import Spread, paired_spread, supposed_spread
from whisperlab.normalize.profile import Profile
from whisperlab.report.clips import Clips, Placement, clips
from whisperlab.report.comparison_rows import chosen
from whisperlab.runs.bootstrap_arguments import check_bootstrap
from whisperlab.runs.profile_choice import chosen_profile

PERCENT = 100
"""Percentage points of a whole: arguments are in points, everything else in fractions."""


def compare_folders(folders: Sequence[Path], given: Namespace) -> Comparison:
    """Returns the runs in ``folders`` set against the first, as the arguments ask.

    Raises:
        ConfigError: a folder holds no finished run, or the runs cannot be compared.
    """
    choices = replace(_choices(given), worst=given.worst)
    runs = [read_run(folder) for folder in folders]
    return compare(runs, _profile(runs, given), build_metrics(runs[0].card.config), choices)


def gate_folders(folder: Path, baseline: Path, given: Namespace) -> GateResult:
    """Returns the gate's result for the run in ``folder``, as the arguments ask.

    Raises:
        ConfigError: a folder holds no finished run, or the runs cannot be compared.
    """
    choices = _choices(given)
    old, new = read_run(baseline), read_run(folder)
    return gate(
        new,
        old,
        _profile([old, new], given),
        build_metrics(old.card.config),
        choices,
        max_delta=given.max_delta / PERCENT,
        alpha=given.alpha,
    )


def matrix_folders(folders: Sequence[Path], given: Namespace) -> Matrix:
    """Returns the matrix of the runs in ``folders``, as the arguments ask.

    Raises:
        ConfigError: a folder holds no finished run, or the runs do not belong into one matrix.
    """
    runs = [read_run(folder) for folder in folders]
    metrics = build_metrics(runs[0].card.config)
    return matrix(runs, _profile(runs, given), metrics, _choices(given))


def spreads(
    folders: Sequence[Path], given: Namespace, correlations: Sequence[float]
) -> list[Spread]:
    """Returns the spread between two pilot runs, or of one with each supposed correlation.

    Raises:
        ConfigError: a folder holds no finished run, or there is too little in it to know a spread.
    """
    runs = [read_run(folder) for folder in folders]
    profile, metrics = _profile(runs, given), build_metrics(runs[0].card.config)
    choices = _choices(given)
    # one run alone is a pair with itself: the same checks, the same order
    pairing = pair([runs[0], runs[-1]], profile, metrics, choices)
    first, second = (pairing.counts(number, choices.metric) for number in (0, 1))
    found = (
        [supposed_spread(first, each, pairing.clusters) for each in correlations]
        if len(runs) == 1
        else [paired_spread(first, second, pairing.clusters)]
    )
    known = [spread for spread in found if spread is not None]
    if not known:
        units = "utterances" if choices.clusters is None else f"values of {choices.clusters}"
        raise ConfigError(
            f"{folders[0]}: expected {FEWEST_UNITS} {units} with reference words, got fewer; "
            "use a larger pilot"
        )
    return known


def _choices(given: Namespace) -> Choices:
    check_bootstrap(given)
    return Choices(
        metric=given.metric,
        clusters=given.clusters,
        shared_only=given.shared,
        resamples=given.resamples,
        seed=given.seed,
    )


def _profile(runs: Sequence[RunResult], given: Namespace) -> Profile:
    """Returns the profile that the arguments name, else the one that all runs are scored under."""
    if given.profile is not None:
        return chosen_profile(given)
    if given.lexicon or given.substitutions or given.overrides:
        raise ConfigError("--lexicon, --substitutions, --set: name the profile too: --profile P")
    return shared_profile(runs)


def shared_profile(runs: Sequence[RunResult]) -> Profile:
    """Returns the profile that all runs are scored under.

    Raises:
        ConfigError: they are scored under different ones.
    """
    profiles = [build_profile(run.card.config) for run in runs]
    for run, profile in zip(runs[1:], profiles[1:], strict=True):
        if profile.hash != profiles[0].hash:
            raise ConfigError(
                f"{runs[0].folder} is scored under {profiles[0].name} ({profiles[0].hash}), "
                f"{run.folder} under {profile.name} ({profile.hash}); choose one: --profile P"
            )
    return profiles[0]


def recordings(comparison: Comparison, folder: Path, placement: Placement) -> Clips:
    """Returns what a page in ``folder`` can play: the first run's recordings.

    A dataset that is no longer where the run read it costs the page its sound, nothing else.
    """
    outcomes = [comparison.scored[0][number].outcome for number in chosen(comparison)]
    wanted = {outcome.id for outcome in outcomes}
    if placement == "none":
        return clips({}, 0.0, folder, placement)
    try:
        dataset = build_dataset(comparison.runs[0].run.card.config)
        sources = {item.id: item.audio for item in dataset if item.id in wanted}
    except WhisperlabError as error:
        return Clips({}, f"no audio: {error}")
    seconds = sum(outcome.audio_seconds or 0.0 for outcome in outcomes)
    return clips(sources, seconds, folder, placement)
