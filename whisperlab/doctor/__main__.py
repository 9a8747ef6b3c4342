"""`python -m whisperlab.doctor`: versions, devices, what is missing, a self-test."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from whisperlab.config.arguments import ArgumentParser, end_with


def arguments() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = ArgumentParser(
        prog="python -m whisperlab.doctor",
        description="Say what works here: versions, devices, precisions, optional parts, caches, "
        "and one clip transcribed by the model inside the package. For issues; names no folder and no key.",
        epilog="Exit codes: 0 the self-test passed, 1 it did not.",
    )
    parser.add_argument("--json", action="store_true", help="the same for programs")
    parser.add_argument("--quick", action="store_true", help="no precisions but the default one")
    return parser


def main() -> int:
    """Returns the exit code; torch is imported when the arguments are right."""
    given = arguments().parse_args()
    from whisperlab.doctor.examination import examine
    from whisperlab.doctor.words import lines

    found = examine(precisions=("none",) if given.quick else None)
    if given.json:
        print(json.dumps(asdict(found), indent=2))
    else:
        print("\n".join(lines(found)))
    return 0 if found.self_test.passed else 1


if __name__ == "__main__":
    end_with(main)
