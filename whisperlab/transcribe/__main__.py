"""`python -m whisperlab.transcribe FILE...`: transcripts of files, in the formats people use."""

from __future__ import annotations

import argparse
from pathlib import Path

from whisperlab.config.arguments import ArgumentParser, end_with

FORMATS = ("txt", "srt", "vtt", "tsv", "json")


def arguments() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = ArgumentParser(
        prog="python -m whisperlab.transcribe",
        description="Transcribe sound files with one configuration.",
        epilog="Exit codes: 0 done, 2 usage or configuration, 3 a file failed, 5 model, 74 cannot write.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="sound or video file")
    parser.add_argument("--preset", help="a named configuration of conf/preset")
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an override of the configuration, as for whisperlab.eval (repeatable)",
    )
    parser.add_argument("--output-dir", type=Path, metavar="D", help="write files there")
    parser.add_argument(
        "--format",
        default="txt",
        metavar="F[,F...]",
        help=f"comma-separated formats: {', '.join(FORMATS)} (default: txt)",
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def main() -> int:
    """Returns the exit code; heavy imports wait until the arguments are right."""
    parser = arguments()
    given = parser.parse_args()
    formats = given.format.split(",")
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        parser.error(f"--format {unknown[0]}: expected one of {', '.join(FORMATS)}")
    from whisperlab.transcribe.files import transcribe_files

    return transcribe_files(
        given.files, given.preset, given.overrides, given.output_dir, formats, debug=given.debug
    )


if __name__ == "__main__":
    end_with(main)
