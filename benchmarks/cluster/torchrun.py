"""Two ranks under torchrun: the scores of one piece, also after a kill -9.

    python benchmarks/cluster/torchrun.py [engine=pocketsphinx ...]

torchrun starts and ends the ranks itself. Needs psutil.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from trial import part_under_way, stop_by_terminating, trial, worker_of_part


def main() -> None:
    """Runs the trial under torchrun."""
    os.chdir(Path(__file__).parents[2])
    stop_by_terminating()
    trial("torchrun, 2 ranks", sys.argv[1:], ["executor=torchrun"], part_under_way, worker_of_part)


if __name__ == "__main__":
    main()
