"""A campaign of ``benchmarks/faults`` as a command, and the table that it prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]


def campaign(script: str, *arguments: str) -> tuple[list[list[str]], str]:
    """Returns the rows of the table, cell by cell, and all that was printed."""
    finished = subprocess.run(
        [sys.executable, str(CHECKOUT / "benchmarks" / "faults" / script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
    )
    assert finished.returncode == 0, finished.stderr
    assert "Traceback" not in finished.stderr
    lines = [line for line in finished.stdout.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    return rows[2:], finished.stdout
