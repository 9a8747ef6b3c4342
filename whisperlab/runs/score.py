"""Scores transcripts that exist already, without audio: trn, stm with ctm, jsonl, NeMo, Kaldi."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from whisperlab.runs.bootstrap_arguments import add_bootstrap_arguments, check_bootstrap
from whisperlab.runs.profile_choice import add_profile_arguments

FORMATS = ("trn", "stm", "ctm", "jsonl", "kaldi")


def add_arguments(parser: ArgumentParser) -> None:
    """Adds what this subcommand takes."""
    parser.add_argument("reference", type=Path, metavar="REFERENCE", help="what was said")
    parser.add_argument("hypothesis", type=Path, metavar="HYPOTHESIS", help="what was heard")
    add_profile_arguments(parser)
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write the scores there, as JSON"
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="of both files (default: by the name's ending; a folder is Kaldi's)",
    )
    parser.add_argument(
        "--encoding",
        metavar="NAME",
        help="of both files, e.g. gb18030 (default: UTF-8; NIST's formats also ISO 8859-1)",
    )
    parser.add_argument(
        "--glm", type=Path, metavar="FILE", help="NIST global mapping file for both transcripts"
    )
    add_bootstrap_arguments(parser)


def run(given: Namespace) -> int:
    """Prints the scores, writes them to ``--output`` and returns 0.

    Raises:
        ConfigError: the profile or another argument is wrong.
        DatasetError: a transcript is damaged, or the ids do not match.
        WriteError: the output cannot be written.
    """
    from rich.console import Console

    from whisperlab.runs.profile_choice import chosen_profile
    from whisperlab.runs.transcript_scores import score_transcripts, scores_table, write_json

    check_bootstrap(given)
    profile = chosen_profile(given)
    scores = score_transcripts(
        given.reference,
        given.hypothesis,
        profile,
        given.format,
        glm=given.glm,
        encoding=given.encoding,
        resamples=given.resamples,
        seed=given.seed,
    )
    Console().print(scores_table(scores))
    if given.output is not None:
        write_json(given.output, scores)
    return 0
