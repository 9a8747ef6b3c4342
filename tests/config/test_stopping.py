"""A stop signal is obeyed, also when C code swallows the exception that it raised."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import os, signal, sys
from whisperlab.config.command import raise_if_stopped, run_command

def task(config):
    try:
        os.kill(os.getpid(), signal.{name})
        for _ in range(100000):
            pass
    except BaseException:  # as cffi does around a callback
        pass
    raise_if_stopped()
    return 0

sys.argv = ["test", "engine=replay"]
sys.exit(run_command("eval", task))
"""


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_swallowed_stop_is_raised_again_between_batches(name: str, code: int) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", CODE.format(name=name)], capture_output=True, text=True, check=False
    )
    assert finished.returncode == code, finished.stderr
