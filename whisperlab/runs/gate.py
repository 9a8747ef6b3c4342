"""Says whether a run is a regression against a baseline: exit code 0 or 10, one sentence.

Owns the subcommand's arguments and exit code. The rule is `whisperlab.experiment.gate`.
"""

from __future__ import annotations

import math
from argparse import ArgumentParser, Namespace
from pathlib import Path

from whisperlab.errors import ConfigError
from whisperlab.runs.comparison_arguments import add_comparison_arguments

EXIT_PASSED = 0
EXIT_NOT_PASSED = 10


def add_arguments(parser: ArgumentParser) -> None:
    """Adds what this subcommand takes."""
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of the run on trial")
    parser.add_argument(
        "--baseline",
        type=Path,
        required=True,
        metavar="RUN",
        help="folder of the run to hold it to",
    )
    parser.add_argument(
        "--max-delta",
        type=float,
        required=True,
        metavar="POINTS",
        help="how much worse the run may be, in percentage points of the error rate",
    )
    parser.add_argument(
        "--alpha",
        type=float,
        default=0.05,
        metavar="P",
        help="how often a run that is worse than allowed may pass (0.05)",
    )
    parser.add_argument(
        "--inconclusive",
        choices=("fail", "pass"),
        default="fail",
        help="what a dataset too small to tell comes to (fail)",
    )
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML there")
    add_comparison_arguments(parser)


def run(given: Namespace) -> int:
    """Prints the sentence and returns 0 when the gate is passed, else 10.

    Raises:
        ConfigError: a folder holds no finished run, or the runs cannot be compared.
        WriteError: the JUnit file cannot be written.
    """
    if not math.isfinite(given.max_delta):
        raise ConfigError(f"--max-delta: expected percentage points, got {given.max_delta}")
    from whisperlab.experiment.gate import Verdict
    from whisperlab.report.document import write
    from whisperlab.report.gate_report import junit, sentence
    from whisperlab.runs.comparing import gate_folders

    result = gate_folders(given.run, given.baseline, given)
    passed = result.verdict is Verdict.PASSED or (
        result.verdict is Verdict.INCONCLUSIVE and given.inconclusive == "pass"
    )
    if given.junit is not None:
        write(given.junit, junit(result, given.run, given.baseline, passed=passed))
    print(sentence(result, passed=passed))
    return EXIT_PASSED if passed else EXIT_NOT_PASSED
