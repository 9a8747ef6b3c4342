"""One rank under torchrun: runs the part of its number, on the GPU of its number.

    torchrun --nproc-per-node 2 -m whisperlab.executor.torchrun_rank RUN/parts/torchrun.json

Owns the way from a rank to its part. Ranks exchange nothing, so no process group is made: accelerate's
PartialState would need one, and a rank that died would take the others' collective with it. The part
replaces the rank's own process, so that torchrun's signals and exit codes are the part's.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main() -> None:
    """Becomes the part."""
    parts = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    rank, local = int(os.environ["RANK"]), os.environ["LOCAL_RANK"]
    part = parts[rank]
    if "CUDA_VISIBLE_DEVICES" not in os.environ:
        os.environ["CUDA_VISIBLE_DEVICES"] = local
    log = os.open(part["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.execv(part["command"][0], part["command"])  # noqa: S606 - our own command line


if __name__ == "__main__":
    main()
