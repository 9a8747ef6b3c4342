"""The merge command's work: the shards' own profile and metrics, the merged run, its report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from whisperlab.config.build import build_metrics, build_profile
from whisperlab.experiment.failures import analyse_run
from whisperlab.experiment.folder import read_run
from whisperlab.experiment.merging import in_order, merge
from whisperlab.experiment.result import RunResult
from whisperlab.experiment.scoring import score_outcomes, slice_scores
from whisperlab.report.html import write_report
from whisperlab.report.table import run_table


def merge_folders(folders: Sequence[Path], output: Path) -> RunResult:
    """Returns the merged run after writing its report and printing its table."""
    shards = in_order([read_run(folder) for folder in folders])
    config = shards[0].card.config
    profile, metrics = build_profile(config), build_metrics(config)
    result = merge(shards, output, profile, metrics)
    scored = score_outcomes(result.outcomes, profile, metrics)
    report = write_report(
        result,
        {item.outcome.id: item.edits for item in scored if item.outcome.state.scored},
        slice_scores(scored, resamples=int(config["resamples"]), seed=result.card.seed),
        analyse_run(scored, profile, result.card.config).findings,
    )
    Console().print(run_table(result))
    print(f"report: {report}")
    return result
