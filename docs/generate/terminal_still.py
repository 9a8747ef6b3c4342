"""The still of a terminal in README.md: runs a command and draws what it really printed.

``python docs/generate/terminal_still.py``, in a checkout, on a machine that does nothing else. The
figures in the picture are of the machine that drew it. With a file, draws what the command printed
into it: ``make eval > FILE`` in a fresh clone, from the line "run folder" on.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

CHECKOUT: Final = Path(__file__).parents[2]
PICTURE: Final = CHECKOUT / "docs" / "make-eval.svg"
TITLE: Final = "make eval"
COMMAND: Final = "python -m whisperlab.eval latency_utterances=10 run_dir=runs/first"
"""What ``make eval`` runs, in a folder whose name is short."""

WIDTH: Final = 100
_FONTS: Final = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)
"""Rich's own format fetches a font from elsewhere; the reader's monospace does."""


def printed(command: str) -> str:
    """Returns what a command prints in an empty folder, colours left out."""
    words = [sys.executable if word == "python" else word for word in shlex.split(command)]
    with tempfile.TemporaryDirectory() as folder:
        finished = subprocess.run(
            words,
            cwd=folder,
            env={**os.environ, "COLUMNS": str(WIDTH), "PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            text=True,
            check=True,
        )
    return finished.stdout


def picture(title: str, output: str) -> str:
    """Returns a terminal as SVG that fetches nothing."""
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text(f"$ {title}", style="bold"))
    console.print(Text(output.rstrip()))
    drawn = console.export_svg(
        title=title, code_format=_FONTS.sub("", CONSOLE_SVG_FORMAT), unique_id="still"
    )
    return "\n".join(line.rstrip() for line in drawn.splitlines()) + "\n"


if __name__ == "__main__":
    given = sys.argv[1:]
    output = Path(given[0]).read_text(encoding="utf-8") if given else printed(COMMAND)
    PICTURE.write_text(picture(TITLE, output), encoding="utf-8")
