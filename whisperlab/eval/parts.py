"""A run in parts: their progress, the merged run.

Owns the folders: the parts lie in ``run_dir/parts/INDEX``, the merged run in ``run_dir``. The same
command resumes every part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from whisperlab.config.build import build_dataset, build_metrics, build_profile
from whisperlab.config.command import own_config_dir, raise_if_stopped
from whisperlab.config.parts import parts_of
from whisperlab.eval.progress import TerminalProgress
from whisperlab.executor.protocol import Executor
from whisperlab.experiment.checked_lines import RecordCount
from whisperlab.experiment.folder import LEDGER, read_run
from whisperlab.experiment.merging import in_order, merge
from whisperlab.experiment.result import RunResult


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
    # Failures are counted over all parts, at the end: torchrun would run a part again that ends with 3.
    overrides = [*overrides, "max_failed_fraction=1"]
    parts = parts_of(
        "whisperlab.eval", "run_dir", run_dir, executor.parts, overrides, own_config_dir()
    )
    ledgers, count = [part.log.parent / LEDGER for part in parts], RecordCount()
    with TerminalProgress(raise_if_stopped) as progress:
        progress.started(len(build_dataset(config)), 0)
        executor.run(parts, lambda: progress.reached(count.of(ledgers)))
    finished = in_order([read_run(part.log.parent) for part in parts])
    return merge(finished, run_dir, build_profile(config), build_metrics(config))
