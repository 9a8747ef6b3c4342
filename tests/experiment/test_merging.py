"""Merging shards: the unsharded scores exactly, or a refusal that names what is wrong."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from whisperlab.config.compose import compose
from whisperlab.config.experiment import build_experiment, run_settings
from whisperlab.errors import ConfigError
from whisperlab.experiment.folder import LEDGER, read_run, scores_to_json
from whisperlab.experiment.ledger import outcome_to_json, read_ledger
from whisperlab.experiment.result import RunResult
from whisperlab.experiment.runner import run_experiment
from whisperlab.runs.merging import merge_folders
from whisperlab.utterance import Outcome

COUNT = 3
REPLAY = (
    "engine=replay",
    "engine.default_text=one two three",
    "dataset=demo_digits",
    "batch_size=2",
)
EMBEDDED = ("dataset=demo_digits", "dataset.subset=7", "batch_size=2", "decode.language=en")
QUICK = ("latency_utterances=0", "resamples=200", "device=cpu")


class Unwatched:
    def started(self, total: int, already_done: int) -> None: ...

    def advanced(self, outcomes: Sequence[Outcome]) -> None: ...

    def stage(self, name: str) -> None: ...


def run(folder: Path, *overrides: str) -> RunResult:
    config = compose("eval", [*QUICK, *overrides, f"run_dir={folder}"])
    return run_experiment(build_experiment(config, run_settings(config), []), folder, Unwatched())


def shards(folder: Path, *overrides: str, count: int = COUNT) -> list[Path]:
    """Runs every shard; returns their folders in another order than their indices'."""
    folders = [folder / f"part-{index}" for index in range(count)]
    for index, part in enumerate(folders):
        run(part, *overrides, f"shard.index={index}", f"shard.count={count}")
    return [*folders[1:], folders[0]]


def identity(result: RunResult) -> tuple[Any, ...]:
    """What two runs must share to be the same: INTERFACES, run folder."""
    records = [outcome_to_json(outcome) for outcome in result.outcomes]
    for record in records:
        del record["timings"], record["attempt"]
    content = scores_to_json(result.scores)
    return (
        content["utterances"],
        content["scores"],
        content["profile"],
        content["failures"],
        content["fingerprint"],
        records,
    )


@pytest.mark.parametrize("overrides", [REPLAY, EMBEDDED], ids=["replay", "embedded checkpoint"])
def test_merged_shards_are_the_run_in_one_piece(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    whole = run(tmp_path / "whole", *overrides)
    merged = merge_folders(shards(tmp_path, *overrides), tmp_path / "merged")
    assert identity(merged) == identity(whole)
    assert identity(read_run(tmp_path / "merged")) == identity(whole)
    assert whole.scores.scores["wer"].value is not None
    assert merged.scores.speed.rtfx is None


def test_more_shards_than_batches_merge_too(tmp_path: Path) -> None:
    few = (*REPLAY, "dataset.subset=3")
    whole = run(tmp_path / "whole", *few)
    merged = merge_folders(shards(tmp_path, *few, count=4), tmp_path / "merged")
    assert identity(merged) == identity(whole)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return shards(tmp_path_factory.mktemp("shards"), *REPLAY)


def test_a_merged_run_tells_what_one_worker_did(finished: list[Path], tmp_path: Path) -> None:
    parts = [read_run(folder) for folder in finished]
    audio = [sum(outcome.audio_seconds or 0.0 for outcome in part.outcomes) for part in parts]
    rates = [part.scores.speed.rtfx for part in parts]
    walls = [seconds / rate for seconds, rate in zip(audio, rates, strict=True) if rate]
    speed = merge_folders(finished, tmp_path / "merged").scores.speed
    assert (speed.rtfx, speed.shards, speed.resumed) == (None, len(walls), False)
    assert speed.rtfx_of_shards == pytest.approx(sum(audio) / sum(walls))


def test_a_missing_shard_is_named(finished: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"all 3 shards, missing: 2"):
        merge_folders([part for part in finished if part.name != "part-2"], tmp_path / "merged")


def test_a_shard_given_twice_is_refused(finished: list[Path], tmp_path: Path) -> None:
    again = tmp_path / "copy"
    shutil.copytree(finished[0], again)
    with pytest.raises(ConfigError, match=r"copy: shard 1 stands twice"):
        merge_folders([*finished, again], tmp_path / "merged")


def test_a_shard_of_another_run_is_refused_with_what_differs(
    finished: list[Path], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    run(other, *REPLAY, "preprocess=[trim]", "shard.index=2", "shard.count=3")
    kept = [part for part in finished if part.name != "part-2"]
    with pytest.raises(ConfigError, match=r"preprocess\.trim") as refused:
        merge_folders([*kept, other], tmp_path / "merged")
    assert refused.value.code == "fingerprint_differs"


def test_a_shard_of_another_split_is_refused(finished: list[Path], tmp_path: Path) -> None:
    other = tmp_path / "other"
    run(other, *REPLAY, "shard.index=2", "shard.count=4")
    with pytest.raises(ConfigError, match=r"shard\.count: 3 -> 4"):
        merge_folders([*finished, other], tmp_path / "merged")


def test_a_run_in_one_piece_is_no_shard(finished: list[Path], tmp_path: Path) -> None:
    run(tmp_path / "whole", *REPLAY)
    with pytest.raises(ConfigError, match="expected a shard, found a run in one piece"):
        merge_folders([*finished, tmp_path / "whole"], tmp_path / "merged")


def test_a_shard_without_its_last_utterance_is_refused(
    finished: list[Path], tmp_path: Path
) -> None:
    from whisperlab.experiment.merging import in_order

    results = [read_run(part) for part in finished]
    short = dataclasses.replace(results[0], outcomes=results[0].outcomes[:-1])
    with pytest.raises(ConfigError, match="expected 8 of the dataset's 24 utterances, found 7"):
        in_order([short, *results[1:]])


def test_an_utterance_in_two_shards_is_refused(finished: list[Path]) -> None:
    from whisperlab.experiment.merging import in_order

    results = [read_run(part) for part in finished]
    stolen = (*results[0].outcomes[:-1], results[1].outcomes[0])
    with pytest.raises(ConfigError, match="stands in two shards"):
        in_order([dataclasses.replace(results[0], outcomes=stolen), *results[1:]])


def test_a_merge_that_was_cut_off_goes_on_to_the_same_ledger(
    finished: list[Path], tmp_path: Path
) -> None:
    merge_folders(finished, tmp_path / "merged")
    ledger = tmp_path / "merged" / LEDGER
    complete = ledger.read_bytes()
    (tmp_path / "merged" / "scores.json").unlink()
    ledger.write_bytes(complete[: len(complete) // 2])
    merge_folders(finished, tmp_path / "merged")
    assert ledger.read_bytes() == complete
    assert len({outcome.id for outcome in read_ledger(ledger)}) == 24


def test_another_shard_may_not_go_on_in_a_shard_s_folder(
    finished: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "part"
    run(folder, *REPLAY, "shard.index=0", "shard.count=3")
    with pytest.raises(ConfigError, match=r"shard\.index: 0 -> 1"):
        run(folder, *REPLAY, "shard.index=1", "shard.count=3")
