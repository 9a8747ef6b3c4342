"""A stop signal is obeyed, also when C code swallows what it raised, and where the way out hangs."""

from __future__ import annotations

import subprocess
import sys

import pytest


def command(code: str) -> subprocess.CompletedProcess[str]:
    """Runs ``code`` in a process of its own."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


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
    finished = command(CODE.format(name=name))
    assert finished.returncode == code, finished.stderr


UNRAISABLE = """
import os, signal, sys
from whisperlab.config.command import raise_if_stopped, run_command

def ends_with(work):
    try:
        yield
    finally:
        work()

def task(config):
    for work in (lambda: os.kill(os.getpid(), signal.{name}), lambda: 1 / 0):
        ending = ends_with(work)
        next(ending)
        del ending
    raise_if_stopped()
    return 0

sys.argv = ["test", "engine=replay"]
sys.exit(run_command("eval", task))
"""


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_of_a_stop_that_cannot_raise_nothing_is_said_but_of_a_mistake(name: str, code: int) -> None:
    finished = command(UNRAISABLE.format(name=name))
    assert finished.returncode == code, finished.stderr
    assert finished.stderr.count("Traceback") == 1
    assert "ZeroDivisionError" in finished.stderr


STUCK = """
import os, signal, sys, threading
from whisperlab.config import command

def task(config):
    never = threading.Event()
    try:
        os.kill(os.getpid(), signal.{name})
        never.wait()
    finally:
        never.wait()  # as the end of a pool of threads does

command.STUCK_SECONDS = 0.2
sys.argv = ["test", "engine=replay"]
sys.exit(command.run_command("eval", task))
"""


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_process_whose_way_out_hangs_is_ended(name: str, code: int) -> None:
    stuck = [sys.executable, "-c", STUCK.format(name=name)]
    finished = subprocess.run(stuck, capture_output=True, text=True, check=False, timeout=60)
    assert finished.returncode == code, finished.stderr


CONCLUDED = """
import os, signal, sys
from whisperlab.config.command import run_command

def conclude():
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(100000):
        pass

sys.argv = ["test", "engine=replay"]
sys.exit(run_command("eval", lambda config: 0, conclude))
"""


def test_a_stop_behind_the_last_job_of_a_sweep_is_no_traceback() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", CONCLUDED], capture_output=True, text=True, check=False
    )
    assert (finished.returncode, finished.stderr) == (130, "")
