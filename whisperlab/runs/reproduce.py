"""Runs a finished run again from its run.json and says what differs: exit code 0 or 10.

Owns the subcommand's arguments and exit code. What is compared is `whisperlab.experiment.reproduction`.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

EXIT_REPRODUCED = 0
EXIT_NOT_REPRODUCED = 10


def add_arguments(parser: ArgumentParser) -> None:
    """Adds what this subcommand takes."""
    parser.add_argument("run_dir", type=Path, metavar="RUN", help="folder of a finished run")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder of the new run (RUN-reproduced); the same command resumes it",
    )


def run(given: Namespace) -> int:
    """Runs it again and returns 0 when texts, states and scores are the same, else 10.

    Raises:
        ConfigError: there is no finished run, or its configuration no longer builds.
        DatasetError, ModelError: the data or the model is not what it was.
        RunInUseError, WriteError: the new folder cannot be written.
    """
    from whisperlab.runs.reproducing import reproduce

    output = given.output or given.run_dir.with_name(f"{given.run_dir.resolve().name}-reproduced")
    return EXIT_REPRODUCED if reproduce(given.run_dir, output) else EXIT_NOT_REPRODUCED
