"""Batches that go elsewhere: what travels, in which order it may come back, and what the run is then."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from replay_runs import REPLAY, content

from whisperlab.config.compose import compose
from whisperlab.config.experiment import build_experiment, run_settings
from whisperlab.errors import ConfigError
from whisperlab.eval.batches import Workers, loaded_steps
from whisperlab.executor.protocol import BlockExecutor, Load
from whisperlab.experiment.ledger import read_ledger
from whisperlab.experiment.provenance import versions
from whisperlab.experiment.result import RunResult
from whisperlab.experiment.runner import run_experiment
from whisperlab.utterance import Outcome


class Backwards:
    """A worker behind a wire: everything passes through pickle, the last batch comes first."""

    def __init__(self, stops_behind: int = 10**6) -> None:
        self._stops_behind = stops_behind
        self.batches = 0

    def each(self, load: Load, blocks: Iterable[Any], watch: Callable[[], None]) -> Iterator[Any]:
        steps = pickle.loads(pickle.dumps(load))()
        for block in reversed(list(blocks)):
            if self.batches == self._stops_behind:
                raise KeyboardInterrupt
            made = pickle.loads(pickle.dumps(block))
            for step in steps:
                made = step(made)
            self.batches += 1
            watch()
            yield pickle.loads(pickle.dumps(made))


class Unseen:
    """A progress that nobody looks at."""

    def started(self, total: int, already_done: int) -> None: ...

    def advanced(self, outcomes: list[Outcome]) -> None: ...

    def stage(self, name: str) -> None: ...


def run(folder: Path, executor: BlockExecutor | None = None) -> RunResult:
    config = compose("eval", [*REPLAY, "latency_utterances=3", "device=cpu", f"run_dir={folder}"])
    experiment = build_experiment(config, run_settings(config), [])
    if executor is not None:
        experiment = replace(experiment, elsewhere=Workers(executor, config, lambda: None))
    return run_experiment(experiment, folder, Unseen())  # type: ignore[arg-type]


def test_the_run_is_the_run_in_one_piece_in_whatever_order_the_batches_come(
    tmp_path: Path,
) -> None:
    whole, spread = run(tmp_path / "whole"), run(tmp_path / "spread", Backwards())
    assert content(tmp_path / "spread") == content(tmp_path / "whole")
    assert [one.batch_size for one in spread.outcomes] == [one.batch_size for one in whole.outcomes]
    assert spread.scores.speed.rtfx is None  # nobody measured it in one piece
    assert spread.scores.speed.latency_seconds.utterances == 0
    assert set(spread.scores.memory.values()) == {None}


def test_what_came_back_before_a_stop_is_not_done_again(tmp_path: Path) -> None:
    run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "spread", Backwards(stops_behind=3))
    assert len(list(read_ledger(tmp_path / "spread" / "ledger.jsonl"))) == 6
    rest = Backwards()
    run(tmp_path / "spread", rest)
    assert rest.batches == 9
    assert content(tmp_path / "spread") == content(tmp_path / "whole")


def test_a_worker_with_other_versions_is_refused(tmp_path: Path) -> None:
    config = compose("eval", [*REPLAY, "device=cpu"])
    wanted = {**versions(), "torch": "0.1"}
    with pytest.raises(ConfigError, match=r"torch .* \(command: 0\.1\); install the same there"):
        loaded_steps(config, 1, wanted, os.getcwd())
