"""Hands a finished run's settings and scores to a tracker: trackio or MLflow (extras of their names)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

TRACKERS = ("trackio", "mlflow")


def add_arguments(parser: ArgumentParser) -> None:
    """Adds what this subcommand takes."""
    parser.add_argument("run_dir", type=Path, metavar="RUN", help="folder of a finished run")
    parser.add_argument("--to", choices=TRACKERS, required=True, help="the tracker")
    parser.add_argument(
        "--project", default="whisperlab", metavar="NAME", help="project or experiment there"
    )


def run(given: Namespace) -> int:
    """Sends the run, where the tracker's own environment says, and returns 0.

    No text of a recording is sent. MLflow goes by ``MLFLOW_TRACKING_URI``, trackio by ``TRACKIO_DIR``.

    Raises:
        ConfigError: there is no finished run.
        MissingExtraError: the tracker is not installed.
    """
    from whisperlab.experiment.folder import RUN_CARD, SCORES, RunFolder
    from whisperlab.runs.tracking import no_finished_run, send

    path = given.run_dir
    if not (path / RUN_CARD).exists() or not (path / SCORES).exists():
        raise no_finished_run(path)
    folder = RunFolder(path)
    card, scores = folder.card(), folder.scores()
    if card is None or scores is None:
        raise no_finished_run(path)
    send(path.resolve().name, card, scores, given.to, given.project)
    return 0
