"""Help comes at once, because no command imports anything heavy for it, and it is readable."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import whisperlab
from whisperlab.__main__ import COMMANDS
from whisperlab.config.arguments import EXIT_READER_GONE
from whisperlab.errors import WriteError

HEAVY = "torch transformers gradio scipy librosa pandas matplotlib datasets jiwer av fastapi"
WIDEST = 140
PACKAGE = Path(whisperlab.__file__).parent

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


@pytest.mark.parametrize("line", ["whisperlab", "whisperlab.eval --help"])
def test_a_reader_that_has_gone_ends_a_command_without_a_word(line: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    finished = subprocess.run(
        [sys.executable, "-m", *line.split()], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (finished.returncode, finished.stderr) == (EXIT_READER_GONE, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's full device")
def test_output_that_finds_no_room_ends_a_command_with_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        finished = subprocess.run(
            [sys.executable, "-m", "whisperlab"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert finished.returncode == WriteError.exit_code
    assert finished.stderr == b"error: [Errno 28] No space left on device; free space there\n"


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("__main__.py")), ids=lambda path: path.parent.name
)
def test_every_command_ends_in_the_one_way(path: Path) -> None:
    assert path.read_text().endswith('if __name__ == "__main__":\n    end_with(main)\n')


def test_a_command_written_with_a_space_is_answered_with_its_name() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "whisperlab", "run"], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 2
    assert "python -m whisperlab.runs" in finished.stderr
    assert not finished.stdout
