"""A process of its own: the real ``run_server`` around the small application.

``python front_child.py HOST '{"drain_seconds": 1}'``; prints ``draining`` and ``reloading`` when told.
"""

from __future__ import annotations

import json
import sys

from front_server import Front, application, settings

from whisperlab.errors import WhisperlabError
from whisperlab.serve.server import run_server


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> int:
    host, limits = sys.argv[1], json.loads(sys.argv[2])
    chosen = settings(host=host, limits=limits)
    try:
        return run_server(
            application(chosen, Front()),
            chosen,
            on_drain=lambda: say("draining"),
            on_reload=lambda: say("reloading"),
            on_refusal=lambda error: say(f"refused {error.code}"),
        )
    except WhisperlabError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
