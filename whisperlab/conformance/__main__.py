"""`python -m whisperlab.conformance`: does a server speak OpenAI's audio API, and say the same?"""

from __future__ import annotations

import argparse
from pathlib import Path

from whisperlab.config.arguments import ArgumentParser, end_with


def arguments() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = ArgumentParser(
        prog="python -m whisperlab.conformance",
        description="Check a server against OpenAI's audio API, rule by rule; or, with `parity`, "
        "compare its texts with those of a configuration in this process.",
        epilog="Exit codes: 0 nothing failed (all texts equal), 10 something did, 2 usage or "
        "configuration, 4 dataset, 5 model or server, 74 cannot write.",
    )
    parser.add_argument("task", nargs="?", choices=["checks", "parity"], default="checks")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help="for parity: the configuration and dataset in this process, as for whisperlab.eval "
        "(default dataset: demo_digits)",
    )
    parser.add_argument("--base-url", required=True, metavar="URL", help="http://HOST:PORT/v1")
    parser.add_argument("--model", default="whisper-1", metavar="M", help="name at the server")
    parser.add_argument("--api-key-env", metavar="NAME", help="environment variable with the key")
    parser.add_argument(
        "--timeout", type=float, default=60.0, metavar="S", help="seconds a check may take"
    )
    parser.add_argument("--output", type=Path, metavar="FILE.json", help="write the result there")
    return parser


def main() -> int:
    """Returns the exit code; heavy imports wait until the arguments are right."""
    parser = arguments()
    given = parser.parse_intermixed_args()
    if given.overrides and given.task != "parity":
        parser.error(f"unexpected {given.overrides[0]}: overrides go with parity")
    from whisperlab.conformance.command import check_parity, check_server

    common = (given.base_url, given.model, given.api_key_env, given.timeout, given.output)
    if given.task == "parity":
        return check_parity(*common, given.overrides)
    return check_server(*common)


if __name__ == "__main__":
    end_with(main)
