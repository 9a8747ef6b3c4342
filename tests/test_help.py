"""Help comes at once, because no command imports anything heavy for it, and it is readable."""

from __future__ import annotations

import subprocess
import sys

import pytest

from whisperlab.__main__ import COMMANDS

HEAVY = "torch transformers gradio scipy librosa pandas matplotlib datasets jiwer av fastapi"
WIDEST = 140

CODE = """
import runpy, sys
sys.argv = ["x", "--help"]
try:
    runpy.run_module({name!r}, run_name="__main__")
except SystemExit as stop:
    assert not stop.code
loaded = [m for m in {heavy!r}.split() if m in sys.modules]
print("LOADED", *loaded)
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_help_loads_nothing_heavy(name: str) -> None:
    code = CODE.format(name=name, heavy=HEAVY)
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    said, _, loaded = finished.stdout.rpartition("LOADED")
    assert loaded.split() == []
    assert len(said.splitlines()) > 5


def test_the_list_of_commands_fits_a_terminal() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "whisperlab"], capture_output=True, text=True, check=True
    )
    printed = finished.stdout.splitlines()
    assert len(printed) == len(COMMANDS)
    assert max(map(len, printed)) <= WIDEST
