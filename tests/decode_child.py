"""A program that decodes the files named on stdin, for tests that must survive what it meets.

Reads one JSON list of paths; writes one JSON line a file: ``{"code": null | "...", "seconds": ...,
"truncated": ..., "cpu": ..., "grown_mb": ...}``; ``grown_mb`` is the peak above what the imports took.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
import time
from pathlib import Path

import av  # noqa: F401  imported before the base line is taken
import soundfile  # noqa: F401  as above
import soxr  # noqa: F401  as above

from whisperlab.audio import decode
from whisperlab.errors import AudioError


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts kilobytes


def main() -> None:
    logging.disable(logging.WARNING)
    base = _peak_mb()
    for path in json.load(sys.stdin):
        started = time.process_time()
        result: dict[str, object] = {"code": None, "seconds": None, "truncated": None}
        try:
            waveform = decode(Path(path))
        except AudioError as error:
            result["code"] = error.code
        else:
            result |= {"seconds": waveform.duration_seconds, "truncated": waveform.truncated}
            del waveform
        result |= {"cpu": time.process_time() - started, "grown_mb": _peak_mb() - base}
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
