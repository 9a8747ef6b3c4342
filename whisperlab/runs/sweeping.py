"""Runs of one dataset read as a sweep, and the effects command's work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from whisperlab.config.build import build_metrics, build_profile
from whisperlab.errors import ConfigError, WriteError
from whisperlab.experiment.folder import read_run
from whisperlab.report.sweep import Sweep, read_sweep, shown, write_sweep


def sweep_of(folders: Sequence[Path]) -> Sweep:
    """Returns the runs in ``folders`` as a sweep, scored under the profile of the first.

    Raises:
        ConfigError: a folder holds no finished run, or the runs are over different data.
    """
    runs = [read_run(folder) for folder in folders]
    for run in runs[1:]:
        if run.card.dataset != runs[0].card.dataset:
            raise ConfigError(
                f"{run.folder}: over other data than {runs[0].folder}; name runs of one sweep"
            )
    config = runs[0].card.config
    return read_sweep(runs, build_profile(config), build_metrics(config))


def show_effects(folders: Sequence[Path], output_dir: Path) -> None:
    """Prints what the runs come to together and writes the page.

    Raises:
        ConfigError: runs over different data.
        WriteError: the folder cannot be made.
    """
    sweep = sweep_of(folders)
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{output_dir}: cannot be made ({error.strerror})") from error
    path = write_sweep(sweep, output_dir)
    for part in shown(sweep):
        Console().print(part)
    print(f"report: {path}")
