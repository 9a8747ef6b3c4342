"""A run in parts: commands for an executor, their progress, the merged run.

Owns the folders: the parts lie in ``run_dir/parts/INDEX``, the merged run in ``run_dir``. The same
command resumes every part.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from whisperlab.config.build import build_dataset, build_metrics, build_profile
from whisperlab.config.command import own_config_dir, raise_if_stopped
from whisperlab.errors import WriteError
from whisperlab.eval.progress import TerminalProgress
from whisperlab.executor.protocol import Executor, Part
from whisperlab.experiment.folder import LEDGER, read_run
from whisperlab.experiment.merging import in_order, merge
from whisperlab.experiment.result import RunResult

PARTS = "parts"
OWN_KEYS = ("run_dir", "shard", "executor")
"""Keys that a part is given anew."""


def run_in_parts(
    config: Mapping[str, Any], executor: Executor, overrides: Sequence[str]
) -> RunResult:
    """Returns the merged run of all parts, run or resumed as far as is needed.

    ``overrides`` are those that compose ``config``.

    Raises:
        ExecutorError: a part does not finish.
        WhisperlabError: as `merge` raises.
    """
    run_dir = Path(str(config["run_dir"]))
    kept = [one for one in overrides if not _is_own(one)]
    parts = [_part(run_dir, kept, index, executor.parts) for index in range(executor.parts)]
    with TerminalProgress(raise_if_stopped) as progress:
        progress.started(len(build_dataset(config)), 0)
        executor.run(parts, lambda: progress.reached(sum(_recorded(part) for part in parts)))
    finished = in_order([read_run(part.log.parent) for part in parts])
    return merge(finished, run_dir, build_profile(config), build_metrics(config))


def _part(run_dir: Path, overrides: Sequence[str], index: int, count: int) -> Part:
    folder = run_dir / PARTS / str(index)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(
            f"{folder}: cannot be made ({error.strerror}); choose another run_dir"
        ) from error
    own_dir = own_config_dir()
    command = (
        *(sys.executable, "-m", "whisperlab.eval"),
        *(() if own_dir is None else ("--config-dir", str(own_dir))),
        *overrides,
        *(f"run_dir={folder}", f"shard.index={index}", f"shard.count={count}", "executor=here"),
    )
    return Part(index, command, folder / "worker.log")


def _is_own(override: str) -> bool:
    key = override.lstrip("+~").partition("=")[0]
    return key.partition(".")[0] in OWN_KEYS


def _recorded(part: Part) -> int:
    ledger = part.log.parent / LEDGER
    return ledger.read_bytes().count(b"\n") if ledger.exists() else 0
