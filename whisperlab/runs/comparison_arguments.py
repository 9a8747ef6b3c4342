"""The arguments that every subcommand takes that sets runs against each other."""

from __future__ import annotations

from argparse import ArgumentParser

from whisperlab.runs.bootstrap_arguments import add_bootstrap_arguments
from whisperlab.runs.profile_choice import add_profile_arguments


def add_comparison_arguments(parser: ArgumentParser) -> None:
    """Adds how runs are scored, which utterances count and how they are resampled."""
    add_profile_arguments(parser, default=None)
    parser.add_argument(
        "--metric", default="wer", metavar="NAME", help="compare by wer (default) or cer"
    )
    parser.add_argument(
        "--clusters",
        metavar="COLUMN",
        help="resample the values of this column (speaker, session) instead of utterances",
    )
    parser.add_argument(
        "--shared", action="store_true", help="compare the utterances that all runs share by id"
    )
    add_bootstrap_arguments(parser)
