"""Blocks on Ray's actors: every block comes back once, whoever dies meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from ray_stand_in import StandIn
from replay_runs import content, evaluate

from whisperlab.errors import ExecutorError, MissingExtraError, ModelError
from whisperlab.executor.ray_actors import RayExecutor


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setitem(sys.modules, "ray", stand_in)
    return stand_in


def unwatched() -> None: ...


def doubling() -> Sequence[Callable[[Any], Any]]:
    return (lambda block: block + 1, lambda block: 2 * (block - 1))


def test_every_block_goes_through_the_steps_once(ray: StandIn) -> None:
    made = list(RayExecutor(workers=2, num_gpus=0.5).each(doubling, range(9), unwatched))
    assert sorted(made) == [0, 2, 4, 6, 8, 10, 12, 14, 16]
    assert made != sorted(made)
    assert len(ray.actors) == 2
    assert not any(actor.alive for actor in ray.actors)
    assert ray.options["num_gpus"] == 0.5
    assert ray.connected == [None, "shut down"]


def test_no_more_actors_are_hired_than_there_are_blocks_to_give(ray: StandIn) -> None:
    assert list(RayExecutor(workers=5).each(doubling, [], unwatched)) == []
    assert ray.actors == []


def test_an_actor_that_dies_is_replaced_and_its_blocks_are_done_again(ray: StandIn) -> None:
    tries: Counter[int] = Counter()

    def frail() -> Sequence[Callable[[Any], Any]]:
        def step(block: int) -> int:
            tries[block] += 1
            if block in (3, 5) and tries[block] == 1:
                raise SystemExit
            return block

        return (step,)

    made = list(RayExecutor(workers=2).each(frail, range(8), unwatched))
    assert sorted(made) == list(range(8))
    assert len(ray.actors) == 4
    assert tries[3] == tries[5] == 2


def test_a_block_that_ends_every_actor_ends_the_run(ray: StandIn) -> None:
    def deadly() -> Sequence[Callable[[Any], Any]]:
        def step(block: int) -> int:
            if block == 4:
                raise SystemExit
            return block

        return (step,)

    with pytest.raises(ExecutorError, match="3 workers in a row died at batch"):
        list(RayExecutor(workers=1, restarts=2).each(deadly, range(8), unwatched))
    assert not any(actor.alive for actor in ray.actors)


def test_actors_that_die_while_loading_are_given_up(ray: StandIn) -> None:
    def dies() -> Sequence[Callable[[Any], Any]]:
        raise SystemExit

    with pytest.raises(ExecutorError, match="2 workers in a row died at loading"):
        list(RayExecutor(workers=1, restarts=1).each(dies, range(8), unwatched))


def test_what_a_worker_raised_on_purpose_is_raised_here(ray: StandIn) -> None:
    def absent() -> Sequence[Callable[[Any], Any]]:
        raise ModelError("no such model")

    with pytest.raises(ModelError, match="no such model"):
        list(RayExecutor().each(absent, range(3), unwatched))

    def broken() -> Sequence[Callable[[Any], Any]]:
        return (lambda block: 1 // block,)

    with pytest.raises(ExecutorError, match="a worker failed: ZeroDivisionError"):
        list(RayExecutor().each(broken, range(3), unwatched))


def test_a_stop_ends_the_actors(ray: StandIn) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(RayExecutor().each(doubling, range(3), stop))
    assert ray.actors
    assert not any(actor.alive for actor in ray.actors)
    assert ray.connected[-1] == "shut down"


def test_workers_that_find_no_place_are_not_waited_for_without_end(
    ray: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "wait", lambda calls, **_: ([], calls))
    with pytest.raises(ExecutorError, match=r"num_gpus=1\.0, the cluster has \{'CPU': 2\.0\}"):
        list(
            RayExecutor(num_gpus=1.0, start_timeout_seconds=0.01).each(
                doubling, range(3), unwatched
            )
        )


def test_no_cluster_says_how_to_start_one_and_sigterm_stays_ours(ray: StandIn) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ExecutorError, match="ray start --head"):
        list(RayExecutor(address="nowhere:1").each(doubling, range(3), unwatched))
    assert signal.getsignal(signal.SIGTERM) is before


def test_without_ray_the_install_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'whisperlab\[ray\]'"):
        list(RayExecutor().each(doubling, range(3), unwatched))


def begun(command: list[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "RAY_worker_niceness": "0"}
    return subprocess.Popen(command, stderr=subprocess.PIPE, env=environment)


def actors(process: subprocess.Popen[bytes], ledger: Path, utterances: int) -> list[psutil.Process]:
    """The actors' processes, as soon as so many utterances are recorded."""
    deadline = time.monotonic() + 300
    while not ledger.exists() or ledger.read_bytes().count(b"\n") < utterances:
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    children = psutil.Process(process.pid).children(recursive=True)
    return [one for one in children if "ray::Hand" in " ".join(one.cmdline())]


def test_a_run_on_ray_itself_is_stopped_and_loses_an_actor_and_is_the_run_in_one_piece(
    tmp_path: Path,
) -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install 'whisperlab[ray]'")
    whole, spread = tmp_path / "whole", tmp_path / "spread"
    subprocess.run(evaluate(whole, 0.2), check=True, capture_output=True, timeout=300)
    command = evaluate(spread, 0.2, "executor=ray", "executor.address=local")
    ledger = spread / "ledger.jsonl"
    with begun(command) as process:
        hired = actors(process, ledger, 2)
        process.terminate()
        process.communicate(timeout=100)
    assert process.returncode == 143
    assert hired
    assert not any(one.is_running() for one in hired)
    done = ledger.read_bytes().count(b"\n")
    assert done < 24
    with begun(command) as process:
        actors(process, ledger, done + 2)[0].kill()
        _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert content(spread) == content(whole)
