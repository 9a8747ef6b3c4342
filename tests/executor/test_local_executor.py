"""The local executor: the run in one piece, whatever happens to its workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from replay_runs import content, evaluate

from whisperlab.errors import ExecutorError
from whisperlab.executor.local import LocalExecutor
from whisperlab.executor.protocol import Part

SECONDS = 0.15
"""What an utterance takes: long enough to be killed in the middle of a run."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("whole")
    subprocess.run(evaluate(folder, SECONDS), check=True, capture_output=True, timeout=300)
    return content(folder)


def test_a_worker_killed_in_mid_run_is_replaced_and_the_scores_are_those_of_one_piece(
    tmp_path: Path, whole: dict[str, Any]
) -> None:
    command = evaluate(tmp_path, SECONDS, "executor=local", "executor.workers=2")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        ledger = tmp_path / "parts" / "1" / "ledger.jsonl"
        deadline = time.monotonic() + 200
        while not ledger.exists() or ledger.read_bytes().count(b"\n") < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        (victim,) = [
            child
            for child in psutil.Process(process.pid).children()
            if "shard.index=1" in child.cmdline()
        ]
        victim.kill()
        _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert content(tmp_path) == whole
    card = json.loads((tmp_path / "parts" / "1" / "run.json").read_text(encoding="utf-8"))
    assert len(card["attempts"]) == 2  # it was resumed, not begun again


def test_stopping_the_command_stops_its_workers_and_the_same_command_goes_on(
    tmp_path: Path, whole: dict[str, Any]
) -> None:
    command = evaluate(tmp_path, SECONDS, "executor=local", "executor.workers=2")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        ledger = tmp_path / "parts" / "0" / "ledger.jsonl"
        deadline = time.monotonic() + 200
        while not ledger.exists() or not ledger.read_bytes():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        children = psutil.Process(process.pid).children()
        os.kill(process.pid, signal.SIGTERM)
        process.communicate(timeout=100)
    assert process.returncode == 143
    assert len(children) == 2
    assert not any(child.is_running() for child in children)
    assert not (tmp_path / "scores.json").exists()
    again = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert again.returncode == 0, again.stderr
    assert content(tmp_path) == whole


def test_a_command_killed_leaves_no_worker_behind_its_batch_and_goes_on(
    tmp_path: Path, whole: dict[str, Any]
) -> None:
    command = evaluate(tmp_path, SECONDS, "executor=local", "executor.workers=2")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        ledgers = [tmp_path / "parts" / part / "ledger.jsonl" for part in "01"]
        deadline = time.monotonic() + 200
        while not all(one.exists() and one.read_bytes() for one in ledgers):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        children = psutil.Process(process.pid).children()
        process.kill()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert len(children) == 2
    assert not alive
    assert not list(tmp_path.glob("parts/*/scores.json"))  # stopped, not finished
    again = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert again.returncode == 0, again.stderr
    assert content(tmp_path) == whole


TWICE = """
import sys
from pathlib import Path
from whisperlab.config.command import obey_stop_signals, raise_if_stopped
from whisperlab.executor.local import LocalExecutor
from whisperlab.executor.protocol import Part

deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
obey_stop_signals()
part = Part(0, (sys.executable, "-c", deaf), Path(sys.argv[1]))
LocalExecutor(workers=1).run([part], raise_if_stopped)
"""


def test_a_second_signal_does_not_wait_for_the_workers(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    with subprocess.Popen([sys.executable, "-c", TWICE, str(log)], stderr=subprocess.DEVNULL) as process:  # fmt: skip
        deadline = time.monotonic() + 60
        while not log.exists() or not log.read_bytes():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        (child,) = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGINT)
        process.wait(10)  # a worker has 20 s after the first
    assert not child.is_running()


def part(folder: Path, index: int, code: str) -> Part:
    return Part(index, (sys.executable, "-c", code), folder / f"{index}.log")


def unwatched() -> None: ...


def test_more_parts_than_workers_all_run_with_their_share_of_the_cores(tmp_path: Path) -> None:
    say = "import os; print(os.environ['OMP_NUM_THREADS'])"
    LocalExecutor(workers=2, threads=3).run(
        [part(tmp_path, index, say) for index in range(5)], unwatched
    )
    assert [(tmp_path / f"{index}.log").read_text() for index in range(5)] == ["3\n"] * 5


def test_a_part_that_always_dies_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    dies = "print('out of luck', flush=True); import os; os.kill(os.getpid(), 9)"
    with pytest.raises(ExecutorError, match=r"part 0 ended with signal 9 \(3 times\): .*luck"):
        LocalExecutor(workers=1, restarts=2).run([part(tmp_path, 0, dies)], unwatched)
    assert (tmp_path / "0.log").read_text() == "out of luck\n" * 3


def test_a_refused_part_is_not_tried_again_and_ends_the_others(tmp_path: Path) -> None:
    parts = [
        part(tmp_path, 0, "raise SystemExit(4)"),
        part(tmp_path, 1, "import time; time.sleep(600)"),
    ]
    with pytest.raises(ExecutorError, match=r"exit code 4 \(1 times\)") as refused:
        LocalExecutor(workers=2).run(parts, unwatched)
    assert refused.value.exit_code == 4
