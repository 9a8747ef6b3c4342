"""`python -m whisperlab.serve.keys create|list|revoke`: the API keys of a server."""

from __future__ import annotations

import sys

from whisperlab.config.arguments import end_with
from whisperlab.errors import WhisperlabError
from whisperlab.serve.keys.commands import arguments, create, revoke, show


def main() -> int:
    """Returns the exit code."""
    given = arguments().parse_args()
    try:
        match given.command:
            case "create":
                create(given, out=sys.stdout, notes=sys.stderr)
            case "list":
                show(given, out=sys.stdout)
            case "revoke":
                revoke(given, notes=sys.stderr)
    except WhisperlabError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    end_with(main)
