"""The effects command's work: runs of one dataset as a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from whisperlab.config.build import build_metrics, build_profile
from whisperlab.errors import ConfigError, WriteError
from whisperlab.experiment.folder import read_run
from whisperlab.report.sweep import read_sweep, shown, write_sweep


def show_effects(folders: Sequence[Path], output_dir: Path) -> None:
    """Prints what the runs come to together and writes the page.

    Raises:
        ConfigError: runs over different data.
        WriteError: the folder cannot be made.
    """
    runs = [read_run(folder) for folder in folders]
    for run in runs[1:]:
        if run.card.dataset != runs[0].card.dataset:
            raise ConfigError(
                f"{run.folder}: over other data than {runs[0].folder}; name runs of one sweep"
            )
    config = runs[0].card.config
    sweep = read_sweep(runs, build_profile(config), build_metrics(config))
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{output_dir}: cannot be made ({error.strerror})") from error
    path = write_sweep(sweep, output_dir)
    for part in shown(sweep):
        Console().print(part)
    print(f"report: {path}")  # noqa: T201 - a command's face
