"""Sounds are made ready by processes as here; what dies there harms one sound, and nothing is left."""

from __future__ import annotations

import importlib
import pickle
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from replay_runs import content, evaluate
from troubled_step import Trouble

from whisperlab.audio import AudioLimits, Source, Waveform
from whisperlab.config.build import build_transcriber
from whisperlab.config.compose import compose
from whisperlab.dataset.demo import FOLDER as DEMO
from whisperlab.errors import (
    AudioError,
    ConfigError,
    ExecutorError,
    MissingExtraError,
    WhisperlabError,
)
from whisperlab.experiment import preparing
from whisperlab.experiment.preparing import Preparers
from whisperlab.experiment.read_ahead import ahead
from whisperlab.preparation import Preparation
from whisperlab.segmentation.silero_vad import SileroVad
from whisperlab.segmentation.whole import WholeUtterance

CONF = Path(__file__).parents[2] / "conf"
FILES = [DEMO / f"digits-{number:02}.flac" for number in range(6)]


def sound(first: float) -> Waveform:
    return Waveform(np.array([first, *[0.0] * 1600], np.float32))


def preparation(*steps: Trouble) -> Preparation:
    return Preparation(steps, WholeUtterance(), AudioLimits())


@pytest.fixture
def two() -> Iterator[Preparers]:
    preparers = Preparers(preparation(Trouble()), 2)
    yield preparers
    preparers.close()
    assert children() == []


def children(of: psutil.Process | None = None) -> list[psutil.Process]:
    return [
        child
        for child in (of or psutil.Process()).children()
        if "whisperlab.experiment.preparing" in " ".join(child.cmdline())
    ]


def test_jobs_are_those_made_here_and_in_order(two: Preparers) -> None:
    batch: list[Source] = [*FILES, DEMO / "absent.flac", sound(0.5)]
    expected = [preparation()(source) for source in batch]
    for found, known in zip(two(batch), expected, strict=True):
        assert found.audio_seconds == known.audio_seconds
        assert str(found.error) == str(known.error)
        assert getattr(found.error, "code", None) == getattr(known.error, "code", None)
        assert len(found.pieces) == len(known.pieces)
        for one, other in zip(found.pieces, known.pieces, strict=True):
            assert np.array_equal(one.samples, other.samples)
        assert found.stopwatch.seconds.keys() == known.stopwatch.seconds.keys()
    assert len(children()) == 2


def test_a_process_that_dies_costs_its_sound_alone_and_is_replaced(two: Preparers) -> None:
    jobs = two([sound(0), sound(1), sound(0), sound(3), sound(1), sound(0)])
    assert [job.error and job.error.code for job in jobs] == [
        None, "invalid_audio", None, "preprocess_failed", "invalid_audio", None,
    ]  # fmt: skip
    assert isinstance(jobs[1].error, AudioError)
    assert "died (-9)" in str(jobs[1].error)
    assert [job.error for job in two([sound(0)] * 4)] == [None] * 4


def test_what_no_sound_can_pass_is_raised_and_ends_the_processes(two: Preparers) -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'whisperlab\[none\]'"):
        two([sound(0), sound(2), sound(0)])
    assert children() == []
    with pytest.raises(WhisperlabError, match="closed"):
        two([sound(0)])


@pytest.mark.parametrize(
    ("slow_seconds", "later_seconds"), [(0.3, 0.0), (0.0, 0.0), (0.0, 0.1), (0.0, 2.0)]
)
def test_closing_ends_a_process_that_hangs_and_who_waits_for_it(
    two: Preparers, monkeypatch: pytest.MonkeyPatch, slow_seconds: float, later_seconds: float
) -> None:
    popen = subprocess.Popen

    def slowly(*given: Any, **options: Any) -> subprocess.Popen[bytes]:
        process: subprocess.Popen[bytes] = popen(*given, **options)
        time.sleep(slow_seconds)  # closed before it is known to have started
        return process

    monkeypatch.setattr(subprocess, "Popen", slowly)
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            two([sound(4)])
        except WhisperlabError as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    while not children():
        thread.join(0.001)
    thread.join(later_seconds)
    two.close()
    thread.join(20)
    assert not thread.is_alive()
    assert len(raised) == 1
    assert children() == []


def test_a_step_that_another_process_cannot_import_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Local(Trouble):
        pass

    (tmp_path / "fleeting.py").write_text(
        "from troubled_step import Trouble as T\nclass U(T): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    fleeting = importlib.import_module("fleeting")
    (tmp_path / "fleeting.py").unlink()
    shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
    for step in (Local(), fleeting.U()):
        preparers = Preparers(preparation(step), 1)
        with pytest.raises(ConfigError, match="set prepare_processes=0"):
            preparers([sound(0)])
        assert children() == []


@pytest.mark.parametrize(
    "choice",
    [
        *(f"preprocess=[{path.stem}]" for path in sorted((CONF / "preprocess").glob("*.yaml"))),
        *(f"segmentation={path.stem}" for path in sorted((CONF / "segmentation").glob("*.yaml"))),
    ],
)
def test_every_step_of_ours_can_be_sent(choice: str) -> None:
    built = build_transcriber(compose("transcriber", ["engine=replay", "model=none", choice]))
    for step in (*built.preprocessors, built.segmentation):
        if isinstance(step, SileroVad):
            step.cut(Waveform(np.zeros(16_000, np.float32)))  # a model that was loaded stays behind
    sent = pickle.loads(pickle.dumps(built.preparation))
    assert sent == built.preparation


def test_a_process_that_cannot_start_ends_the_run_and_not_every_sound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(preparing, "PROGRAM", "raise SystemExit(7)")
    preparers = Preparers(preparation(), 2)
    with pytest.raises(ExecutorError, match=r"started \(7\).*prepare_processes=0"):
        preparers([sound(0)] * 4)
    assert children() == []


def test_no_more_than_one_batch_is_ready_ahead(two: Preparers) -> None:
    asked: list[int] = []

    def prepare(batch: Sequence[Path]) -> int:
        asked.append(len(batch))
        return len(two(batch))

    ready = ahead([FILES[:2], FILES[2:4], FILES[4:]], prepare)
    assert next(ready) == 2
    assert len(asked) <= 2
    assert list(ready) == [2, 2]


def test_an_evaluation_with_processes_leaves_what_one_without_leaves(tmp_path: Path) -> None:
    for processes in ("0", "2"):
        command = evaluate(tmp_path / processes, 0.0, f"prepare_processes={processes}")
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert content(tmp_path / "0") == content(tmp_path / "2")
    assert len(content(tmp_path / "2")["records"]) == 24


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_run_that_is_stopped_or_killed_leaves_no_process(
    tmp_path: Path, stop: signal.Signals, code: int
) -> None:
    command = evaluate(tmp_path / "run", 1.0, "prepare_processes=2")
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ledger, parent = tmp_path / "run" / "ledger.jsonl", psutil.Process(run.pid)
    try:
        while not (ledger.is_file() and ledger.stat().st_size > 1000):
            assert run.poll() is None
            time.sleep(0.05)
        found = children(parent)
        assert len(found) == 2
        run.send_signal(stop)
        assert run.wait(60) == code
        gone, alive = psutil.wait_procs(found, timeout=20)
        assert (len(gone), alive) == (2, [])
    finally:
        run.kill()
        run.wait()
