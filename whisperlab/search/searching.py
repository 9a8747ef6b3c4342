"""Searching: compose, race, report. The function `search` is the command's and the notebook's.

Owns the order of the parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from whisperlab.config.command import raise_if_stopped
from whisperlab.config.compose import compose
from whisperlab.experiment.folder import RunFolder
from whisperlab.experiment.loaded_engines import LoadedEngines
from whisperlab.experiment.race_run import run_race
from whisperlab.experiment.race_summary import RESULT, SearchResult, summarise
from whisperlab.report.race import race_table, sentences, write_race_report
from whisperlab.search.candidates import plan_of
from whisperlab.search.preset import write_preset
from whisperlab.search.progress import RaceBar


def search(*overrides: str, config_dir: Path | None = None) -> SearchResult:
    """Returns the finished search that the command with these overrides would do.

    ``search("dataset=manifest", "dataset.path=my.jsonl", "space=none",
    "+space.preprocess=[[],[trim]]", "search_dir=searches/first")``: the same ``search_dir`` resumes.

    Raises:
        ConfigError: a setting or a candidate is wrong, or the folder holds another search.
        DatasetError, ModelError, WriteError, RunInUseError: as the parts raise them.
    """
    return search_configured(compose("search", overrides, config_dir), overrides, config_dir)


def search_configured(
    config: Mapping[str, Any], overrides: Sequence[str], config_dir: Path | None
) -> SearchResult:
    """Returns the finished search of a composed configuration; leaves report and preset behind."""
    plan, run, settings = plan_of(config, overrides, config_dir)
    folder = Path(run.search_dir)
    with RaceBar(plan, raise_if_stopped) as progress:
        race = run_race(plan, folder, LoadedEngines(settings.keep_loaded), progress)
    result = summarise(race, resamples=run.resamples, seed=run.seed)
    if race.recommended is not None:
        chosen = plan.candidates[race.recommended]
        result = replace(result, serve=write_preset(chosen, folder))
    RunFolder(folder).write_json(RESULT, result.to_json())
    write_race_report(result)
    return result


def show(result: SearchResult) -> None:
    """Prints the table, what it means and the command that serves the recommended configuration."""
    console = Console(soft_wrap=True)
    Console().print(race_table(result))
    for sentence in sentences(result):
        console.print(sentence, highlight=False, markup=False)
